"""Bring a running Grafana to what is built here: what is to change, then changing it. Repeating it changes nothing."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from dashboards import alert_rules
from dashboards.contacts import Contacts, merged, points, route
from dashboards.differences import differences, essence
from dashboards.grafana_gateway import Absent, Gateway, GrafanaRefused
from dashboards.outlines import Outlines
from dashboards.pen import SOURCE_UID
from dashboards.tree import Database, SourceKind, dashboards, source_document
from dashboards.words import LANGUAGES, Words

Document = dict[str, Any]
Action = Literal["create", "change", "remove", "same"]
FOLDER = "dothi"
TAG = "dothi"
OURS = "dothi-"  # what begins with this, in our folder, is ours to take away
FIRST_WITH_NEW_KIND = 11  # the plugin is called `postgres` in the versions before
ADDED = {
    "dashboard": ("id", "version", "iteration"),
    "source": ("id", "orgId", "version", "readOnly", "typeLogoUrl", "secureJsonFields", "accessControl", "apiVersion"),
    "rule": ("id", "orgID", "updated", "provenance", "version", "guid", "record", "notification_settings", "metadata"),
    "contact": ("provenance",),
    "policies": ("provenance",),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing of Grafana's and what is to become of it; `diff` says place, what is there, what should be there."""

    kind: str
    uid: str
    action: Action
    diff: list[str] = field(default_factory=list)
    carry_out: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What Grafana should have. `database` None: its data source is left alone; `contacts` None: so is who is told;
    `outlines` None: ours."""

    database: Database | None = None
    contacts: Contacts | None = None
    outlines: Outlines | None = None


def source_kind(version: str) -> SourceKind:
    """The id of the PostgreSQL plugin in a version of Grafana."""
    return "postgres" if int(version.split(".")[0]) < FIRST_WITH_NEW_KIND else "grafana-postgresql-datasource"


def plan(gateway: Gateway, wanted: Wanted, version: str) -> list[Change]:
    """What differs, in the order in which it is to be mended: what others need comes first. Raises GrafanaRefused."""
    kind = source_kind(version)
    built = {board["uid"]: board for board in map(json.loads, dashboards(kind, wanted.outlines).values())}
    made = [folder_change(gateway), source_change(gateway, kind, wanted.database)]
    made += [board_change(gateway, board) for board in built.values()]
    if wanted.contacts is not None:
        made += contact_changes(gateway, wanted.contacts)
    made += rule_changes(gateway, kind)
    gone = [uid for uid in gateway.boards(FOLDER, TAG) if uid.startswith(OURS) and uid not in built]
    return made + [removal(gateway, "dashboard", uid) for uid in sorted(gone)]


def carry_out(changes: list[Change]) -> Iterator[Change]:
    """Make the changes one by one, yielding each that is done. Raises GrafanaRefused: what was done stays done."""
    for change in changes:
        if change.action != "same":
            change.carry_out()
            yield change


def folder_change(gateway: Gateway) -> Change:
    """The folder of all dashboards and rules."""
    title = Words(LANGUAGES[0])("folder")
    found = looked_up(gateway, f"/folders/{FOLDER}")
    diff = [] if found is None else list(differences({"title": title}, {"title": found.get("title")}))
    return judged("folder", FOLDER, found, diff, lambda: gateway.save_folder(FOLDER, title, found is not None))


def source_change(gateway: Gateway, kind: SourceKind, database: Database | None) -> Change:
    """The data source: kept as it is without a database, but it must be there."""
    found = looked_up(gateway, f"/datasources/uid/{SOURCE_UID}")
    if database is None:
        if found is None:
            raise GrafanaRefused(f"Grafana has no data source {SOURCE_UID}; give the stack that it is to ask by --dir")
        return Change("source", SOURCE_UID, "same")
    ours = source_document(kind, database)
    password_known = bool(found and (found.get("secureJsonFields") or {}).get("password"))
    visible = {key: value for key, value in ours.items() if key != "secureJsonData"}
    diff = [] if found is None else compared("source", visible, found, partly=True)
    if found is not None and not password_known:
        diff.append("password: nothing → the reader's")
    return judged("source", SOURCE_UID, found, diff, lambda: gateway.save_source(ours, found is not None))


def board_change(gateway: Gateway, board: Document) -> Change:
    """One dashboard, with the folder it lies in."""
    uid = board["uid"]
    found = looked_up(gateway, f"/dashboards/uid/{uid}")
    if found is None:
        return judged("dashboard", uid, None, [], lambda: gateway.save_board(board, FOLDER))
    diff = compared("dashboard", board, found["dashboard"])
    diff += differences({"folder": FOLDER}, {"folder": (found.get("meta") or {}).get("folderUid")})
    return judged("dashboard", uid, found, diff, lambda: gateway.save_board(board, FOLDER))


def rule_changes(gateway: Gateway, kind: SourceKind) -> list[Change]:
    """Our alert rules, and those in our folder that are ours no more."""
    theirs = {rule["uid"]: rule for rule in gateway.get("/v1/provisioning/alert-rules")}
    ours = {rule["uid"]: rule for rule in alert_rules.as_interface(kind, FOLDER)}
    changes = []
    for uid, rule in ours.items():
        found = theirs.get(uid)
        diff = compared("rule", rule, found) if found else []
        changes.append(judged("rule", uid, found, diff, saver(gateway.save_rule, rule, found is not None)))
    gone = [uid for uid, rule in theirs.items() if rule.get("folderUID") == FOLDER and uid not in ours]
    return changes + [removal(gateway, "rule", uid) for uid in sorted(gone) if uid.startswith(OURS)]


def contact_changes(gateway: Gateway, contacts: Contacts) -> list[Change]:
    """Contact points, then our branch of the policies, then contact points that nothing leads to any more."""
    theirs = {one["uid"]: one for one in gateway.get("/v1/provisioning/contact-points")}
    ours = {one["uid"]: one for one in points(contacts)}
    changes = []
    for uid, point in ours.items():
        found = theirs.get(uid)
        diff = compared("contact", point, found) if found else []
        changes.append(judged("contact", uid, found, diff, saver(gateway.save_contact, point, found is not None)))
    tree = gateway.get("/v1/provisioning/policies")
    wanted = merged(tree, route(contacts))
    changes.append(
        judged("policies", FOLDER, tree, compared("policies", wanted, tree), lambda: gateway.save_policies(wanted))
    )
    gone = [uid for uid in theirs if uid.startswith(OURS) and uid not in ours]
    return changes + [removal(gateway, "contact", uid) for uid in sorted(gone)]


def saver(save: Callable[[Document, bool], None], document: Document, known: bool) -> Callable[[], None]:
    """The call that saves a document."""
    return lambda: save(document, known)


def removal(gateway: Gateway, kind: str, uid: str) -> Change:
    """Take away what is ours and no longer built."""
    return Change(kind, uid, "remove", [f"{uid}: no longer built"], lambda: gateway.remove(kind, uid))


def judged(kind: str, uid: str, found: object, diff: list[str], act: Callable[[], None]) -> Change:
    """A change from what was found and how it differs."""
    action: Action = "create" if found is None else "change" if diff else "same"
    return Change(kind, uid, action, diff, act)


def looked_up(gateway: Gateway, path: str) -> Document | None:
    """A document, or None where there is none."""
    try:
        found: Document = gateway.get(path)
    except Absent:
        return None
    return found


def compared(kind: str, ours: Document, theirs: Document, partly: bool = False) -> list[str]:
    """How a document of Grafana's differs from ours, without what Grafana itself adds; `partly`: our keys alone."""
    added = ADDED[kind]
    one, other = ({key: value for key, value in side.items() if key not in added} for side in (ours, theirs))
    if one == other:
        return []
    one, other = essence(one), essence(other)
    if partly:
        other = {key: value for key, value in other.items() if key in ours}
        if isinstance(ours.get("jsonData"), dict):
            other["jsonData"] = {k: v for k, v in (other.get("jsonData") or {}).items() if k in ours["jsonData"]}
    return list(differences(one, other))
