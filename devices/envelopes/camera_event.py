"""One event of a camera, whatever carried it → packets for what the camera is enrolled as.

A camera is up to three devices of different families: `<camera>` (what it sees), `<camera>/<rule>` (a counter or an
occupancy, each with a count of its own), `<camera>/health`.
"""

import re
from typing import Any, NamedTuple

from devices.envelopes.camera_topics import UNKNOWN, About, about
from devices.envelopes.packet import Notice, Opened, Packet
from devices.raw import clean

Document = dict[str, Any]
STATE_NAMES = frozenset(
    (
        *("state", "active", "ismotion", "isinside", "issounddetected", "logicalstate", "ready", "failed"),
        *("istamper", "critical", "motion", "alarm", "triggered", "disruption", "triggeractive", "disk_full"),
    )
)
CLASS_NAMES = ("classtypes", "objecttype", "objectclass", "classtype", "class", "reason", "type", "label")
ACTION_NAMES = ("action", "eventtype", "ruletype")
HARMLESS = STATE_NAMES | {*CLASS_NAMES, "likelihood", "confidence", "direction", "rule"}
COUNT_NAMES = ("total", "count", "occupancy", "number")
PICTURES = frozenset(("image", "thumbnail", "snapshot", "jpeg", "cropimage"))
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
_CLASS_PATH = ("object", "appearance", "class", "type")


class Event(NamedTuple):
    """An event: its topic without namespaces; where it comes from (`source`) and what it says (`data`), by name."""

    topic: str
    source: Document
    data: Document


def opened_event(camera: str | None, event: Event, document: Document, payload: bytes) -> Opened:
    """The packet of an event, a Notice for one that says nothing we keep.

    `document`: the message in the camera's words, `event.data` within it. Beside these come, where the data tells them,
    `event_kind`, `event`, `object_class`, `count`, `total_count` and the metrics of camera_health, in our words.
    """
    found = as_counted(about(f"{event.topic}/{first_of(event.data, ACTION_NAMES) or ''}"), event.data)
    if found.part == "none":
        found = guessed(event.data)
    if found.part == "none":
        return [
            Notice(camera, "other", f"an event of topic {clean(event.topic[:100])}, which none of our families takes")
        ]
    if found.kind == "plate_read":
        forget_plate(event.data, document)
    told = {**document, **summary(found, event.data)}
    return [Packet(named(camera, found, event), told, payload)]


def forget_plate(data: Document, document: Document) -> None:
    """Take out whatever may be a plate: every camera has its own name for it, and some plates are but digits."""
    for name in [name for name in data if name.lower() not in HARMLESS]:
        data.pop(name)
        document.pop(name, None)


def guessed(data: Document) -> About:
    """What an event of an unknown topic is about: a count, or something that begins and ends."""
    if type(first_of(data, COUNT_NAMES)) is int:
        return About("counter", "count")
    return UNKNOWN if active_of(data) is None else About("event", "other")


def as_counted(found: About, data: Document) -> About:
    """Object analytics say by their values whether they count crossings (`totalCar`) or what is in view (`car`)."""
    if found.part != "event" or "total" not in data:
        return found
    crossings = "startTime" in data or any(key.startswith("total") and key != "total" for key in data)
    return About("counter" if crossings else "occupancy", "count")


def summary(found: About, data: Document) -> Document:
    """What our families ask of an event, in their words; `part` tells profiles which of a camera's devices it is."""
    active = active_of(data)
    if found.part == "health":
        return {"part": "health", **health(found, active, data)}
    told: Document = {"part": "event" if found.part == "event" else "counter", "event_kind": found.kind}
    if active is not None and found.part == "event":
        told["event"] = "new" if active else "end"
    class_word = class_of(data)
    if class_word:
        told["object_class"] = class_word
    count = None if found.part == "event" else first_of(data, COUNT_NAMES)
    if count is not None:
        told["total_count" if found.part == "counter" else "count"] = count
    return told


def health(found: About, active: bool | None, data: Document) -> Document:
    """The metric of camera_health that an event speaks of; the processor's load as a percentage or a share."""
    if found.kind == "usage":
        usage = first_of(data, ("value", "cpu_average"))
        return {} if usage is None else {"usage": usage}
    word = found.active if active is not False else found.quiet
    return {found.kind: word} if word else {}


def named(camera: str | None, found: About, event: Event) -> str | None:
    """What the device is called: counters by their rule, for a camera has several."""
    if camera is None or found.part == "event":
        return camera
    return f"{camera}/health" if found.part == "health" else f"{camera}/{rule_of(event)}"


def rule_of(event: Event) -> str:
    """The name of a rule: the source says it; else the last level of the topic (Axis's scenarios)."""
    rule = first_of(event.source, ("rule",))
    return clean(str(rule if rule not in (None, "") else event.topic.rpartition("/")[2]))[:100]


def typed(data: Any) -> Document:
    """Data without pictures, with numbers and truth values for the texts that spell them: cameras send all as text."""
    if not isinstance(data, dict):
        return {} if data is None else {"value": data}
    return {key: plain_value(str(key), value) for key, value in data.items() if str(key).lower() not in PICTURES}


def plain_value(name: str, value: Any) -> Any:
    """A text as the number or truth value that it spells; 0 and 1 are truth values where the name says state."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("true", "false"):
            return word == "true"
        if name.lower() in STATE_NAMES and word in ("0", "1"):
            return word == "1"
        if _NUMBER.fullmatch(word):
            return float(word) if "." in word else int(word)
        return value
    if name.lower() in STATE_NAMES and type(value) is int and value in (0, 1):
        return value == 1
    return value


def active_of(data: Document) -> bool | None:
    """Whether what the event speaks of begins (true) or ends (false); None when it has no duration."""
    return next((value for key, value in data.items() if key.lower() in STATE_NAMES and isinstance(value, bool)), None)


def class_of(data: Document) -> str | None:
    """What kind of object was seen, in the camera's word, small letters; the first of several."""
    by_name = {key.lower(): value for key, value in data.items()}
    for name in CLASS_NAMES:
        if isinstance(by_name.get(name), str) and by_name[name]:
            return clean(re.split(r"[,; ]", by_name[name].strip())[0].lower())[:40] or None
    return nested_class(data)


def nested_class(data: Any) -> str | None:
    """ONVIF's object description within an event: Object.Appearance.Class.Type."""
    for key in _CLASS_PATH:
        if isinstance(data, list):
            data = data[0] if data else None
        inner = {str(name).lower(): value for name, value in data.items()} if isinstance(data, dict) else {}
        data = inner.get(key)
    if isinstance(data, dict):
        data = data.get("Value", data.get("value"))
    return clean(data.lower())[:40] if isinstance(data, str) and data else None


def first_of(data: Document, names: tuple[str, ...]) -> Any:
    """The first of the names that holds something, whatever the case of its letters."""
    by_name = {key.lower(): value for key, value in data.items()}
    return next((by_name[name] for name in names if by_name.get(name) is not None), None)
