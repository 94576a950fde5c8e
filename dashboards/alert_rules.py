"""Alert rules that Grafana judges, in the shape of its files and in the shape of its interface."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from dashboards.pen import SOURCE_UID
from dashboards.statements import per_family, statements
from dashboards.words import LANGUAGES, Words
from devices.documents import parse_yaml
from devices.family import FAMILIES

Document = dict[str, Any]
GROUP = "dothi"
FOLDER = "cảnh báo"  # what the title of the rules' own folder adds, when they come from files
INTERVAL_S = 60
LOOK_BACK_S = 600
EXPRESSION = {"type": "__expr__", "uid": "__expr__"}  # Grafana's own arithmetic instead of a data source
KEYS = {"name", "title", "about", "severity", "for", "empty"}
SIDES = {"above": "gt", "below": "lt"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: fires for every row of `sql` whose number is `side` (above or below) `limit` for as long as `lasts`."""

    name: str
    title: dict[str, str]
    about: dict[str, str]
    severity: str
    side: str
    limit: float
    lasts: str
    empty: str
    sql: str

    @property
    def uid(self) -> str:
        """Its uid in Grafana."""
        return f"dothi-{self.name}"


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule. A faulty file is a fault of the program: KeyError, ValueError."""
    entries = parse_yaml(files("dashboards").joinpath("alert_rules.yaml").read_text("utf-8"))
    return tuple(rule_of(entry) for entry in entries)


def rule_of(entry: Document) -> Rule:
    """One entry of the file."""
    sides = entry.keys() - KEYS
    if not entry.keys() >= KEYS or len(sides) != 1 or not sides <= SIDES.keys():
        raise ValueError(
            f"alert rule {entry.get('name')}: keys are {sorted(entry)}; expected {sorted(KEYS)} and a limit"
        )
    side = min(sides)
    named = {key: entry[key] for key in ("name", "title", "about", "severity", "empty")}
    return Rule(**named, side=side, limit=entry[side], lasts=entry["for"], sql=sql_of(entry["name"]))


def sql_of(name: str) -> str:
    """The query of a rule."""
    texts = statements("alert_rules")
    feeds = texts.get(f"{name}.feed")
    if feeds is None:
        return texts[name]
    return texts[name].format(feeds=per_family(feeds, ", ", tuple(FAMILIES.values()), Words(LANGUAGES[0])))


def document(rule: Rule, kind: str) -> Document:
    """What both shapes of a rule share; `kind` is the id of the data source's plugin."""
    query: Document = {
        "refId": "A",
        "datasource": {"type": kind, "uid": SOURCE_UID},
        "editorMode": "code",
        "format": "table",
    }
    query |= {"rawQuery": True, "rawSql": rule.sql, "intervalMs": 1000, "maxDataPoints": 1000}
    condition = {"evaluator": {"type": SIDES[rule.side], "params": [rule.limit]}}
    judge = {"refId": "B", "type": "threshold", "datasource": EXPRESSION, "expression": "A", "conditions": [condition]}
    return {
        "uid": rule.uid,
        "title": f"{rule.title['vi']} / {rule.title['en']}",
        "condition": "B",
        "data": [asked("A", SOURCE_UID, query), asked("B", "__expr__", judge)],
        "noDataState": rule.empty,
        "execErrState": "Error",  # a database that does not answer is an alert of its own
        "for": rule.lasts,
        "annotations": {"summary": rule.about["vi"], "description": rule.about["en"]},
        "labels": {"dothi": rule.name, "severity": rule.severity},
        "isPaused": False,
    }


def asked(ref: str, source: str, model: Document) -> Document:
    """One step of a rule."""
    return {
        "refId": ref,
        "relativeTimeRange": {"from": LOOK_BACK_S, "to": 0},
        "datasourceUid": source,
        "model": model,
    }


def as_file(kind: str, folder: str) -> Document:
    """The shape of a provisioning file; `folder` is the folder's title."""
    group = {"orgId": 1, "name": GROUP, "folder": folder, "interval": f"{INTERVAL_S}s"}
    return {"apiVersion": 1, "groups": [group | {"rules": [document(rule, kind) for rule in rules()]}]}


def as_interface(kind: str, folder: str) -> list[Document]:
    """The shape of `/api/v1/provisioning/alert-rules`; `folder` is the folder's uid."""
    place = {"orgID": 1, "folderUID": folder, "ruleGroup": GROUP}
    return [document(rule, kind) | place for rule in rules()]
