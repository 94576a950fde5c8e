"""Foreign systems: their topics, the codec that reads them, what names the device; one file each under `routes/`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from devices.codecs import encode
from devices.documents import read_yaml
from devices.paths import MISSING, Path, find, path
from devices.raw import clean

NATIVE_TOPIC = re.compile(r"dothi/v1/([^/]+)/([^/]+)/up")


@dataclass(frozen=True, slots=True)
class Route:
    """A foreign system's topics (MQTT filters). The device's foreign id stands in topic level `device_level` (from 0)
    or at the first of `device_paths`. `entities`: where a message lists several. `private`: undecodable bytes are not
    kept, since they may hold what must never be stored."""

    name: str
    title: dict[str, str]
    topics: tuple[str, ...]
    codec: str
    device_level: int | None
    device_paths: tuple[Path, ...]
    entities: Path | None
    private: bool


def route_from(name: str, document: dict[str, Any]) -> Route:
    """The route that a file describes. Raises KeyError, TypeError on a faulty file."""
    device = document["device"]
    return Route(
        name=name,
        title=document["title"],
        topics=tuple(document["topics"]),
        codec=document["codec"],
        device_level=device.get("level"),
        device_paths=tuple(path(text) for text in device.get("paths", ())),
        entities=path(document["entities"]) if "entities" in document else None,
        private=document.get("private", False),
    )


ROUTES: dict[str, Route] = {name: route_from(name, document) for name, document in read_yaml("routes").items()}


def matches(pattern: str, topic: str) -> bool:
    """Whether an MQTT topic filter takes the topic."""
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))


def route_of(topic: str) -> Route | None:
    """The foreign route that takes the topic, if any."""
    return next((route for route in ROUTES.values() if any(matches(pattern, topic) for pattern in route.topics)), None)


def native_topic(topic: str) -> tuple[str, str] | None:
    """Area and device of a native uplink topic, or None when it is none."""
    match = NATIVE_TOPIC.fullmatch(topic)
    return (match[1], match[2]) if match else None


def foreign_entities(
    route: Route, topic: str, document: object, payload: bytes
) -> Iterator[tuple[str | None, object, bytes]]:
    """Each thing that a message speaks of, at least one: foreign id (None when it is not named), its part of the
    document, the bytes of that part (the whole payload when it is alone)."""
    parts = _parts(route, document)
    for part in parts:
        raw = payload if len(parts) == 1 else encode(part, payload)
        yield _name(route, topic, part), part, raw


def foreign_id(route: Route, topic: str, document: object) -> str | None:
    """What the foreign system calls the device; None when the message names none, or several."""
    names = {_name(route, topic, part) for part in _parts(route, document)}
    return names.pop() if len(names) == 1 else None


def _parts(route: Route, document: object) -> list[object]:
    listed = document
    if route.entities is not None:
        inner = find(document, route.entities)
        listed = document if inner is MISSING else inner
    return listed if isinstance(listed, list) and listed else [document]


def _name(route: Route, topic: str, part: object) -> str | None:
    if route.device_level is not None:
        levels = topic.split("/")
        return (clean(levels[route.device_level]) or None) if route.device_level < len(levels) else None
    found = (find(part, keys) for keys in route.device_paths)
    return next((clean(name) for name in found if isinstance(name, str) and name), None)
