"""The Homie convention 4 and 5 (homieiot.github.io): one value a message, `homie/5/<device>/<node>/<property>`.

Types and units come from the device's description, which is kept; before it is known they are guessed from the text.
"""

import json
from typing import Any

from devices.codecs.json_text import decode_json
from devices.envelopes.homie_memory import Memory, Said
from devices.envelopes.homie_values import typed
from devices.envelopes.packet import Notice, NoticeKind, Opened, Packet
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

STATES: dict[str, NoticeKind] = {
    **dict.fromkeys(("ready", "sleeping", "alert"), "online"),
    **dict.fromkeys(("lost", "disconnected"), "offline"),
}
LARGEST = 65_536
"""Bytes of a value; longer texts are no readings."""
WRAPPED = b'{"homie": '


class Homie:
    """The opener of a route. The foreign id is the device's; the document holds the value under the property's name
    and its unit under `$unit.<property>`, and the value again under `$nodes.<node>.<property>`, for devices whose nodes
    have properties of the same name."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = Memory() if memory is None else memory

    def __call__(self, topic: str, payload: bytes) -> Opened:
        levels = [clean(level) for level in topic.split("/")[1:]]
        if levels and levels[0].isdecimal():
            levels.pop(0)  # Homie 5 and later say their version here
        if not levels or levels[0].startswith("$"):
            return [Notice(None, "other", "a message to all devices")]
        if not levels[0]:
            return [Packet(None, misplaced(topic), payload)]  # `homie//…`: nobody has an empty name
        device, *rest = levels
        if rest and rest[0].startswith("$"):
            return self._attribute(device, rest, payload)
        if len(rest) > 1 and (rest[-1] == "set" or rest[1].startswith("$") or rest[-1].startswith("$")):
            return self._aside(device, rest, payload)
        if len(rest) != 2:
            return [Packet(device, misplaced(topic), payload)]
        return [self._value(device, unwrapped(rest[0], rest[1], payload) or {"/".join(rest): payload})]

    def _attribute(self, device: str, rest: list[str], payload: bytes) -> Opened:
        """What a device says of itself."""
        if rest[0] == "$state":
            word = text_of(payload)
            return [Notice(device, STATES.get(word, "other"), f"$state is {shown(word)}")]
        if rest[0] != "$description":
            return [Notice(device, "other", f"{'/'.join(rest)[:60]}: an attribute")]
        document = decode_json(payload) if payload else {}
        if isinstance(document, Rejected) or not isinstance(document, dict):
            detail = "the description is not a JSON object"
            refused = (
                document if isinstance(document, Rejected) else Rejected("", Reason.WRONG_SHAPE, None, None, detail)
            )
            said = refused._replace(layer="envelope", field="$description", detail=f"$description: {refused.detail}")
            return [Packet(device, said, payload)]
        known = self._memory.describe(device, document)
        return [Notice(device, "other", f"$description of {known} properties")]

    def _aside(self, device: str, rest: list[str], payload: bytes) -> Opened:
        """A command, a target or, in Homie 4, an attribute of a property."""
        if len(rest) == 3 and rest[2] in ("$unit", "$datatype"):
            self._memory.say(device, rest[0], rest[1], rest[2], text_of(payload))
        what = {"set": "a command", "$target": "a target, not yet a value"}.get(rest[-1], "an attribute")
        return [Notice(device, "other", f"{'/'.join(rest)[:60]}: {what}")]

    def _value(self, device: str, values: dict[str, bytes]) -> Packet | Notice:
        """The values of properties, by `node/property`; Homie itself sends one a message."""
        document: dict[str, Any] = {"$nodes": {}}
        units: dict[str, str] = {}
        for key, raw in values.items():
            node, _, name = key.partition("/")
            said = self._memory.of(device, node, name)
            value = checked(key, raw, said)
            if isinstance(value, Rejected):
                return Packet(device, value, wrapped(values))
            if value is not None:
                document[name] = value
                document["$nodes"].setdefault(node, {})[name] = value
                units |= {name: said.unit} if said and said.unit else {}
        if not document["$nodes"]:
            return Notice(device, "other", f"{next(iter(values))[:60]}: empty, the value was cleared")
        return Packet(device, {**document, **({"$unit": units} if units else {})}, wrapped(values))


def open_homie(route: Route) -> Homie:
    """An opener with a memory of its own; the route adds nothing to it."""
    return Homie()


def checked(key: str, raw: bytes, said: Said | None) -> Any:
    """The value of one property, None when it was cleared; Rejected when it is none of its type, or too long."""
    if raw in (b"", b"\0"):
        return None
    if len(raw) > LARGEST:
        detail = f"{key}: {len(raw)} bytes; expected at most {LARGEST}"
        return Rejected("envelope", Reason.TOO_LARGE, key, None, detail)
    value = typed(raw, said)
    return value._replace(field=key, detail=f"{key}: {value.detail}") if isinstance(value, Rejected) else value


def wrapped(values: dict[str, bytes]) -> bytes:
    """The values with the names of their properties: a bare `true` would be the same bytes for every property."""
    said = {key: raw[: LARGEST + 1].decode("utf-8", "replace") for key, raw in values.items()}
    return json.dumps({"homie": said}, ensure_ascii=False).encode("utf-8", "replace")


def unwrapped(node: str, name: str, payload: bytes) -> dict[str, bytes]:
    """The value of a message; or the values of such bytes, as they come back when a message is replayed."""
    document = decode_json(payload) if payload.startswith(WRAPPED) else None
    said = document.get("homie") if isinstance(document, dict) else None
    if not isinstance(said, dict) or not all("/" in key and isinstance(text, str) for key, text in said.items()):
        return {f"{node}/{name}": payload}
    return {clean(key): text.encode("utf-8", "replace") for key, text in said.items()}


def text_of(payload: bytes) -> str:
    """A short text."""
    return clean(payload[:100].decode("utf-8", "replace"))


def misplaced(topic: str) -> Rejected:
    """A topic that is neither an attribute nor a property."""
    detail = "expected homie/5/<device>/<node>/<property> or, in Homie 4, homie/<device>/<node>/<property>"
    return Rejected("envelope", Reason.WRONG_SHAPE, "topic", clean(topic[:200]), detail)
