"""What each layer makes of a message, one after the other: envelope, codec, mapping, values."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from devices.envelopes import Notice, Opened, Packet, opener_of
from devices.mapping import first_below
from devices.outcome import metrics_of, refused_of
from devices.paths import MISSING, find
from devices.profile import Profile
from devices.raw import TooDeep, storable
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import Route, native_topic, route_of, routes_of
from devices.table import Table
from devices.time import show

MOST = 100
"""Of a list, shown: it may have ten thousand."""


class Layer(NamedTuple):
    """A layer's result as JSON has it; `ok`: whether the message came through."""

    layer: Literal["envelope", "codec", "mapping", "values"]
    ok: bool
    result: Any


def layers(profile: Profile, topic: str, payload: bytes) -> Iterator[Layer]:
    """Each layer until the message, or all of it, is refused. Never raises, whatever the bytes."""
    route = of_profile(profile, topic)
    native = native_topic(topic)
    own = Packet(native[1] if native else None, profile.decode(payload), payload)
    parts: Opened = opener_of(route)(topic, payload) if route else [own]
    packets = [part for part in parts if isinstance(part, Packet)]
    yield Layer("envelope", bool(packets), envelope(route, parts))
    words = [profile.words(packet.document) for packet in packets]
    documents = [one for word in words for one in (word if isinstance(word, list) else [word])]
    shown = [plain(one) for one in documents[:MOST]]
    yield Layer("codec", any(not isinstance(one, Rejected) for one in documents), shown)
    if profile.table:
        rows = [taken(profile.table, one) for one in documents[:MOST] if isinstance(one, dict)]
        yield Layer("mapping", any(rows), rows)
    results = [result for packet in packets for result in profile.map(packet.document, packet.payload)]
    read = [value_of(profile, result) for result in results[:MOST]]
    yield Layer("values", any(isinstance(result, Reading) for result in results), read)


def of_profile(profile: Profile, topic: str) -> Route | None:
    """The route that opens the message; None for our own."""
    if profile.route is None:
        return None
    found, routes = route_of(topic), routes_of(profile.route)
    return found if found in routes else next(iter(routes), None)


def envelope(route: Route | None, parts: Opened) -> dict[str, Any]:
    """Which route opened it, of whom its parts speak, and what of it is no reading by design."""
    return {
        "route": route.name if route else "native",
        "devices": [part.foreign_id for part in parts if isinstance(part, Packet)],
        "notices": [f"{part.kind}: {part.detail}" for part in parts if isinstance(part, Notice)],
    }


def taken(table: Table, document: dict[str, object]) -> list[dict[str, Any]]:
    """Which field of the document each metric is taken from, with the raw value and the unit it is read in."""
    root = next((keys for keys in table.roots if isinstance(find(document, keys), dict)), ())
    rows = []
    for field in table.fields:
        keys, raw = first_below(document, root, field.paths)
        if raw is not MISSING:
            unit = "" if field.metric.states else field.unit
            rows.append({"metric": field.metric.name, "path": ".".join(keys), "raw": plain(raw), "unit": unit})
    return rows


def value_of(profile: Profile, result: Reading | Rejected) -> dict[str, Any]:
    """A reading's metrics, or the rejection."""
    if isinstance(result, Rejected):
        return {"rejected": plain(result)}
    return {
        "time": None if result.time is None else show(result.time),
        "metrics": metrics_of(profile.family, result),
        "refused": refused_of(profile.family, profile, result),
    }


def plain(value: object) -> Any:
    """The value as JSON can have it; a rejection as its sentence."""
    if isinstance(value, Rejected):
        return f"rejected in {value.layer}: {value.reason.value}: {value.detail}"
    try:
        return storable(value)
    except (TooDeep, RecursionError):
        return "nested too deeply to be shown"
