"""Who is told by Grafana: contact points and the policies that route to them, by severity and by area."""

import re
from dataclasses import dataclass
from typing import Any

from devices.area import ZONES

Document = dict[str, Any]
SEVERITIES = ("critical", "major", "warning")
OURS = "dothi"  # the label that every rule of ours carries
ADDRESS = re.compile(r"[^@\s;,]+@[^@\s;,]+\.[^@\s;,]+|[^@\s;,]+@localhost")


class ContactsRefused(ValueError):
    """A file of contacts that cannot be used; the message names the place and what is allowed."""


@dataclass(frozen=True, slots=True)
class Contacts:
    """Addresses: for everything, and besides for a severity and for an area. An address is e-mail or http(s)."""

    everything: tuple[str, ...]
    severity: dict[str, tuple[str, ...]]
    area: dict[str, tuple[str, ...]]


def contacts_from(found: object) -> Contacts:
    """Contacts from a file: `default: [address, …]`, `severity: {critical: [address, …]}`, `area: {"213": […]}`.

    Raises ContactsRefused.
    """
    if not isinstance(found, dict) or not found.get("default") or found.keys() - {"default", "severity", "area"}:
        raise ContactsRefused("the keys default, severity and area are allowed, and default is needed")
    zones = [zone.code for zone in ZONES]
    return Contacts(
        addresses("default", found["default"]),
        by_key("severity", found.get("severity") or {}, SEVERITIES),
        by_key("area", found.get("area") or {}, zones),
    )


def by_key(name: str, found: object, allowed: "list[str] | tuple[str, ...]") -> dict[str, tuple[str, ...]]:
    """Addresses by severity or area."""
    if not isinstance(found, dict):
        raise ContactsRefused(f"{name} is {found}; expected a mapping to lists of addresses")
    for key in found:
        if str(key) not in allowed:
            raise ContactsRefused(f"{name}: {key} is not known; allowed are {', '.join(allowed)}")
    return {str(key): addresses(f"{name}.{key}", value) for key, value in found.items()}


def addresses(name: str, found: object) -> tuple[str, ...]:
    """A list of addresses."""
    if not isinstance(found, list) or not found:
        raise ContactsRefused(f"{name} is {found}; expected a list of addresses")
    for one in found:
        if not isinstance(one, str) or not (ADDRESS.fullmatch(one) or one.startswith(("http://", "https://"))):
            raise ContactsRefused(f"{name}: {one} is neither an e-mail address nor http(s)://…")
    return tuple(found)


def receivers(contacts: Contacts) -> dict[str, tuple[str, ...]]:
    """Every contact point by name."""
    return {
        OURS: contacts.everything,
        **{f"{OURS}-severity-{key}": value for key, value in contacts.severity.items()},
        **{f"{OURS}-area-{key}": value for key, value in contacts.area.items()},
    }


def points(contacts: Contacts) -> list[Document]:
    """Contact points in the interface's shape: those of one name are told together."""
    made: list[Document] = []
    for name, told in receivers(contacts).items():
        mails = [one for one in told if not one.startswith("http")]
        hooks = [one for one in told if one.startswith("http")]
        if mails:
            made.append(point(name, "mail", "email", {"addresses": ";".join(mails), "singleEmail": True}))
        made += [
            point(name, f"hook{place}", "webhook", {"url": url, "httpMethod": "POST"})
            for place, url in enumerate(hooks, start=1)
        ]
    return made


def point(name: str, suffix: str, kind: str, settings: Document) -> Document:
    """One contact point."""
    uid = f"{name}-{suffix}"
    return {"uid": uid, "name": name, "type": kind, "settings": settings, "disableResolveMessage": False}


def route(contacts: Contacts) -> Document:
    """The branch of the policy tree that is ours: everything, then besides by severity and by area."""
    inner = [("severity", key, f"{OURS}-severity-{key}") for key in contacts.severity]
    inner += [("area", key, f"{OURS}-area-{key}") for key in contacts.area]
    routes = [{"receiver": OURS, "object_matchers": [[OURS, "=~", ".+"]], "continue": True}] if inner else []
    routes += [
        {"receiver": receiver, "object_matchers": [[label, "=", value]], "continue": True}
        for label, value, receiver in inner
    ]
    return {
        "receiver": OURS,
        "object_matchers": [[OURS, "=~", ".+"]],
        "group_by": ["alertname", "area"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "4h",
        **({"routes": routes} if routes else {}),
    }


def merged(tree: Document, ours: Document | None) -> Document:
    """A policy tree with our branch first, and nothing else of it changed; without our branch when that is None."""
    others = [one for one in tree.get("routes") or [] if not is_ours(one)]
    kept = {key: value for key, value in tree.items() if key not in ("routes", "provenance")}
    return kept | {"routes": [*([ours] if ours else []), *others]}


def is_ours(one: Document) -> bool:
    """Whether a branch of the tree was made here."""
    return any(matcher[0] == OURS for matcher in one.get("object_matchers") or [])


def as_file(contacts: Contacts) -> Document:
    """Contact points and the whole policy tree in the shape of a provisioning file, which replaces the tree."""
    made: dict[str, list[Document]] = {}
    for one in points(contacts):
        made.setdefault(one["name"], []).append({key: value for key, value in one.items() if key != "name"})
    whole = {"orgId": 1, "receiver": OURS, "group_by": ["grafana_folder", "alertname"], "routes": [route(contacts)]}
    return {
        "apiVersion": 1,
        "contactPoints": [{"orgId": 1, "name": name, "receivers": made[name]} for name in made],
        "policies": [whole],
    }
