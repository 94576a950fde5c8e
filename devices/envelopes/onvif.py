"""Events of ONVIF cameras over MQTT (Core specification, Event Broker; Profile M): `<prefix>/onvif-ej/<topic>[/&…]`.

The prefix names the camera. Two shapes are in use: names and values, and lists of `SimpleItem`.
"""

import re
from typing import Any

from devices.codecs import CODECS
from devices.envelopes.camera_event import Event, opened_event, typed
from devices.envelopes.camera_topics import plain_topic
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

EVENTS = "onvif-ej"
_FORMATS = re.compile(r"onvif-[a-z]{2}")


def open_onvif(route: Route) -> Opener:
    """The opener of ONVIF's events; the route adds nothing to it."""
    return open_message


def open_message(topic: str, payload: bytes) -> Opened:
    """One event; pictures, metadata frames and XML are not read."""
    prefix, form, local = split_topic(topic)
    if form not in (EVENTS, ""):
        return [Notice(prefix, "other", f"{form}: only events in JSON ({EVENTS}) are stored")]
    document = CODECS["json"](payload)
    if isinstance(document, Rejected):
        return [Packet(prefix, document._replace(layer="envelope", detail=with_hint(payload, document)), payload)]
    inner = plain_names(document)
    inner = plain_names(inner.get("Message", inner))
    if not inner.keys() & {"UtcTime", "Data", "Source"}:
        detail = 'expected an event {"UtcTime", "Source", "Data"}, as ONVIF Core, Event Broker, gives it'
        return [Packet(prefix, Rejected("envelope", Reason.WRONG_SHAPE, None, shown(document), detail), payload)]
    told: dict[str, Any] = {
        **inner,
        **{name: typed(plain_items(inner.get(name))) for name in ("Source", "Key", "Data") if name in inner},
    }
    said = plain_names(document).get("Topic")
    event = Event(plain_topic(said if isinstance(said, str) else local), told.get("Source", {}), told.get("Data", {}))
    return opened_event(prefix, event, {"topic": event.topic, **told}, payload)


def split_topic(topic: str) -> tuple[str | None, str, str]:
    """The camera's prefix (None when there is none), the payload format (`onvif-ej`), and the rest."""
    levels = topic.split("/")
    place = next((at for at, level in enumerate(levels) if _FORMATS.fullmatch(level)), None)
    if place is None:
        return clean(topic) or None, "", topic
    return clean("/".join(levels[:place])) or None, levels[place], "/".join(levels[place + 1 :])


def plain_names(document: Any) -> dict[str, Any]:
    """An object with its names as ONVIF has them in JSON: some cameras leave marks of XML (`@UtcTime`, `tt:Data`)."""
    if not isinstance(document, dict):
        return {}
    return {str(name).removeprefix("@").rpartition(":")[2]: value for name, value in document.items()}


def plain_items(items: Any) -> dict[str, Any]:
    """Names and values, from either shape."""
    if isinstance(items, dict) and ("SimpleItem" in items or "ElementItem" in items):
        listed = [entry for kind in ("SimpleItem", "ElementItem") for entry in as_list(items.get(kind))]
        return {
            str(e.get("Name", e.get("@Name"))): e.get("Value", e.get("@Value", e))
            for e in listed
            if isinstance(e, dict)
        }
    if isinstance(items, list):
        return {str(e.get("Name")): e.get("Value") for e in items if isinstance(e, dict) and "Name" in e}
    return items if isinstance(items, dict) else {}


def as_list(items: Any) -> list[Any]:
    """A list of one for what stands alone."""
    return items if isinstance(items, list) else [] if items is None else [items]


def with_hint(payload: bytes, rejected: Rejected) -> str:
    """The codec's words, and what the camera should be set to when it sends XML."""
    if payload.lstrip()[:1] == b"<":
        return "the event is XML; set the camera's MQTT payload to JSON (onvif-ej)"
    return rejected.detail
