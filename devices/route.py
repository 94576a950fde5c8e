"""Foreign systems: their topics, how their messages are opened, what names the device; one file each in `routes/`."""

import re
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
    are not kept, since they may hold what must never be stored."""

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


def routes_of(kind: str) -> list[Route]:
    """The routes that share a kind."""
    return [route for route in ROUTES.values() if route.kind == kind]


def native_topic(topic: str) -> tuple[str, str] | None:
    """Area and device of a native uplink topic, or None when it is none."""
    match = NATIVE_TOPIC.fullmatch(topic)
    return (match[1], match[2]) if match else None
