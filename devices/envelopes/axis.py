"""Axis cameras: their MQTT events (`axis/<serial>/event/…`, JSON `{timestamp, topic, serial, message: {source, key,
data}}`) and the DataQ application (`<prefix>/<message>/<serial>`, github.com/pandosme/DataQ, MQTT_topics.md)."""

from typing import Any

from devices.codecs import CODECS
from devices.envelopes.camera_event import PICTURES, Event, opened_event, typed
from devices.envelopes.camera_topics import plain_topic
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

Document = dict[str, Any]
ASIDE = frozenset(("timestamp", "serial", "name", "location"))
RAW = frozenset(("detections",))
"""Sent ten times a second; what they say is in tracker, path and occupancy."""
TRACKED = frozenset(("tracker", "path", "geospace"))


def open_axis(route: Route) -> Opener:
    """The opener of Axis messages; the route adds nothing to it."""
    return open_message


def open_message(topic: str, payload: bytes) -> Opened:
    """One event or one message of an application."""
    document = CODECS["json"](payload)
    if isinstance(document, Rejected):
        return [Packet(None, document._replace(layer="envelope"), payload)]
    if not isinstance(document, dict):
        return [Packet(None, not_axis(document), payload)]
    if isinstance(document.get("message"), dict):
        return event(topic, document, payload)
    return application(topic, document, payload)


def event(topic: str, document: Document, payload: bytes) -> Opened:
    """A message of the camera's own MQTT client."""
    message, said = document["message"], document.get("topic")
    about = plain_topic(said if isinstance(said, str) else topic.partition("/event/")[2])
    told = {**message, **{name: typed(message.get(name)) for name in ("source", "key", "data") if name in message}}
    found = Event(about, told.get("source", {}), told.get("data", {}))
    return opened_event(serial_of(topic, document), found, {**document, "message": told}, payload)


def serial_of(topic: str, document: Document) -> str | None:
    """The serial number: of the message, else of the topic `axis/<serial>/event/…`."""
    said = document.get("serial", document.get("SERIAL"))
    if isinstance(said, str) and said:
        return clean(said)
    before, found, _ = topic.partition("/event/")
    return clean(before.rpartition("/")[2]) or None if found else None


def application(topic: str, document: Document, payload: bytes) -> Opened:
    """A message of DataQ, which its topic names: `<prefix>/<message>/<serial>[/…]`."""
    serial = serial_of("", document)
    kind, rest = message_kind(topic, serial, document)
    if kind == "connect":
        connected = document.get("connected") is not False
        return [Notice(serial, "online" if connected else "offline", "the camera's application says so")]
    if kind == "image" or any(name in document for name in PICTURES):
        return [Notice(serial, "other", "a picture; pictures belong in the recorder and are not stored")]
    if kind in RAW:
        return [Notice(serial, "other", "raw detections; tracker, path and occupancy are stored instead")]
    if kind == "event":
        return application_event(serial, rest, document, payload)
    if kind == "occupancy":
        return [packet(serial, "occupancy", occupancy(document), payload)]
    if kind == "status":
        return [packet(serial, "health", status(document), payload)]
    if kind in TRACKED:
        return [packet(serial, "", tracked(document), payload)]
    return [Packet(serial, not_axis(document), payload)]


def message_kind(topic: str, serial: str | None, document: Document) -> tuple[str, str]:
    """Which of the application's messages this is, by its topic, else by what it holds; and the topic behind."""
    levels = topic.split("/")
    if serial in levels[1:]:
        at = levels.index(serial or "", 1)
        return levels[at - 1], "/".join(levels[at + 1 :])
    kinds = (("occupancy", "occupancy"), ("list", "detections"), ("connected", "connect"), ("CPU_average", "status"))
    kind = next((kind for name, kind in kinds if name in document), None)
    if kind is None and "class" in document:
        kind = "tracker"
    return kind or ("event" if "active" in document else ""), ""


def application_event(serial: str | None, rest: str, document: Document, payload: bytes) -> Opened:
    """A camera event passed on: `<prefix>/event/<serial>/<event topic>`."""
    data = typed({key: value for key, value in document.items() if key not in ASIDE})
    return opened_event(serial, Event(plain_topic(rest) or "RuleEngine", {}, data), {**document, **data}, payload)


def occupancy(document: Document) -> Document:
    """How many are in view: by class, and in all; nobody when the list is empty."""
    counts = document.get("occupancy")
    told = {**document, "part": "counter", "event_kind": "count"}
    if isinstance(counts, dict):
        told["count"] = sum(count for count in counts.values() if type(count) is int)
    return told


def status(document: Document) -> Document:
    """How the camera is."""
    return {**document, "part": "health", "state": "online", "usage_percent": document.get("CPU_average")}


def tracked(document: Document) -> Document:
    """One object on its way through the picture; a path is sent when it has left."""
    told: Document = {**document, "part": "event", "event_kind": "object", "event": "update"}
    if isinstance(document.get("class"), str):
        told["object_class"] = document["class"].lower()
    if "path" in document or document.get("active") is False:
        told["event"] = "end"
    elif document.get("age") == 0:
        told["event"] = "new"
    told.pop("path", None)
    return told


def packet(serial: str | None, part: str, document: Document, payload: bytes) -> Packet:
    """A packet for the camera or a part of it."""
    return Packet(f"{serial}/{part}" if serial and part else serial, document, payload)


def not_axis(document: object) -> Rejected:
    """A message of none of the forms that Axis cameras send."""
    detail = (
        'expected an event {"timestamp", "topic", "serial", "message": {"source", "key", "data"}} of the camera\'s '
        "MQTT client, or a message of DataQ (tracker, path, occupancy, event, status)"
    )
    return Rejected("envelope", Reason.WRONG_SHAPE, None, shown(document), detail)
