"""Foreign systems: their topics, how their messages are opened, what names the device; one file each in `routes/`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from devices.documents import read_yaml
from devices.paths import Path, path

NATIVE_TOPIC = re.compile(r"dothi/v1/([^/]+)/([^/]+)/up")


@dataclass(frozen=True, slots=True)
class Route:
    """A foreign system's topics (MQTT filters) and how its messages are opened (`envelope`, a name of `ENVELOPES`).

    `kind`: whose profiles and aliases it uses; several routes may share one (all LoRaWAN servers do).
    For the plain envelope, `codec` reads the payload and the device's foreign id stands in topic level `device_level`
    (from 0) or at the first of `device_paths`; `entities`: where a message lists several. `private`: undecodable bytes
    are not kept, since they may hold what must never be stored.
    `retained`: filters, within `topics`, of what devices say of themselves once and for all: what the broker holds of
    it is wanted again at every connect, because whoever reads the route next has not heard it."""

    name: str
    kind: str
    envelope: str
    title: dict[str, str]
    topics: tuple[str, ...]
    codec: str
    device_level: int | None
    device_paths: tuple[Path, ...]
    entities: Path | None
    private: bool
    retained: tuple[str, ...] = ()


def route_from(name: str, document: dict[str, Any]) -> Route:
    """The route that a file describes. Raises KeyError, TypeError on a faulty file."""
    device = document.get("device", {})
    return Route(
        name=name,
        kind=document.get("kind", name),
        envelope=document.get("envelope", "plain"),
        title=document["title"],
        topics=tuple(document["topics"]),
        codec=document.get("codec", "json"),
        device_level=device.get("level"),
        device_paths=tuple(path(text) for text in device.get("paths", ())),
        entities=path(document["entities"]) if "entities" in document else None,
        private=document.get("private", False),
        retained=tuple(document.get("retained", ())),
    )


ROUTES: dict[str, Route] = {name: route_from(name, document) for name, document in read_yaml("routes").items()}


def matches(pattern: str, topic: str) -> bool:
    """Whether an MQTT topic filter takes the topic."""
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))


def exactness(pattern: str) -> tuple[int, ...]:
    """How much a filter says, from the left: a word before `+` before `#`; compare with `<`, smaller is more exact."""
    return tuple({"+": 1, "#": 2}.get(level, 0) for level in pattern.split("/"))


def route_of(topic: str) -> Route | None:
    """The foreign route that takes the topic, if any; of several the one whose filter is the most exact."""
    found = [(exactness(pattern), name) for name, pattern in _filters() if matches(pattern, topic)]
    return ROUTES[min(found)[1]] if found else None


def rivals_of(route: Route, routes: Iterable[Route]) -> tuple[str, ...]:
    """Filters of other routes that take a topic away from this one: they overlap with one of its own and rank before
    it. A broker hands a message to the inbox of every route that subscribes to its topic; one of them reads it."""
    return tuple(
        pattern
        for other in routes
        if other.name != route.name
        for pattern in other.topics
        if any(
            overlap(pattern, own) and (exactness(pattern), other.name) < (exactness(own), route.name)
            for own in route.topics
        )
    )


def overlap(one: str, other: str) -> bool:
    """Whether some topic passes both filters."""
    return _overlap(one.split("/"), other.split("/"))


def _overlap(one: list[str], other: list[str]) -> bool:
    if "#" in (one[:1] + other[:1]):
        return True
    if not one or not other:
        return one == other
    return (one[0] == other[0] or "+" in (one[0], other[0])) and _overlap(one[1:], other[1:])


def _filters() -> Iterator[tuple[str, str]]:
    return ((name, pattern) for name, route in ROUTES.items() for pattern in route.topics)


def routes_of(kind: str) -> list[Route]:
    """The routes that share a kind; first the one of that very name, which takes any message of the kind."""
    return sorted((route for route in ROUTES.values() if route.kind == kind), key=lambda route: route.name != kind)


def native_topic(topic: str) -> tuple[str, str] | None:
    """Area and device of a native uplink topic, or None when it is none."""
    match = NATIVE_TOPIC.fullmatch(topic)
    return (match[1], match[2]) if match else None
