"""Tasmota: telemetry under `tele/<device>/…`, answers under `stat/<device>/…` (the default full topic).

Sources: https://tasmota.github.io/docs/MQTT/ and …/JSON-Status-Responses/.
"""

from typing import Any

from devices.codecs import CODECS, encode
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.envelopes.tasmota_sensors import flattened, measures
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

PREFIXES = ("tele", "stat")
MAX_DEVICES = 20_000
MAX_BRIDGED = 500
_WRAPPERS = ("StatusSNS", "StatusSTS")
_TEXTS = ("UPTIME", "POWER")


class Tasmota:
    """The opener of Tasmota devices. It remembers which of them have sensors: what these say of their relay between
    two readings is a notice, since their profile has no use for it; of a plug or a relay it is a reading."""

    def __init__(self) -> None:
        """With nothing seen yet."""
        self._with_sensors: set[str] = set()

    def __call__(self, topic: str, payload: bytes) -> Opened:
        """One message: readings of its sensors, or what it tells about the device."""
        named = device_and_kind(topic)
        if named is None:
            return [Packet(None, wrong_topic(topic), payload)]
        device, kind = named
        if kind == "LWT":
            return [presence(device, payload)]
        if kind.startswith(_TEXTS) or not payload:
            return [Notice(device, "other", f"{kind}: {shown(payload.decode(errors='replace'))}"[:200])]
        document = CODECS["json"](payload)
        if isinstance(document, Rejected):
            return [Packet(device, document, payload)]
        if not isinstance(document, dict):
            detail = f"{kind}: {shown(document)}; expected an object"
            return [Packet(device, Rejected("envelope", Reason.WRONG_SHAPE, None, shown(document), detail), payload)]
        return [self._quiet(part) for part in parts_of(device, kind, document, payload)]

    def _quiet(self, part: Packet | Notice) -> Packet | Notice:
        """The part; a notice instead where a device with sensors only speaks of its relay."""
        if isinstance(part, Notice) or not isinstance(part.document, dict) or part.foreign_id is None:
            return part
        if "sensor" in part.document:
            if len(self._with_sensors) >= MAX_DEVICES:
                self._with_sensors.clear()
            self._with_sensors.add(part.foreign_id)
            return part
        if "ENERGY" in part.document or part.foreign_id not in self._with_sensors:
            return part
        return Notice(part.foreign_id, "other", f"only switches: {shown(part.document)}"[:200])


def open_tasmota(route: Route) -> Opener:
    """The opener of a route of Tasmota devices; a device is named by the `%topic%` part of its topics."""
    del route
    return Tasmota()


def device_and_kind(topic: str) -> tuple[str | None, str] | None:
    """`tele/a/b/SENSOR` → (`a/b`, `SENSOR`); also `a/b/tele/SENSOR`, the other order that Tasmota can be set to.

    Without a topic (a message in a file) it is a reading of some device.
    """
    if not topic:
        return None, "SENSOR"
    levels = clean(topic).split("/")
    device = ""
    if len(levels) >= 3 and levels[0] in PREFIXES:
        device = "/".join(levels[1:-1])
    elif len(levels) >= 3 and levels[-2] in PREFIXES:
        device = "/".join(levels[:-2])
    return (device, levels[-1]) if device and levels[-1] else None


def wrong_topic(topic: str) -> Rejected:
    """A topic in which prefix and device cannot be told apart."""
    detail = "expected tele/<device>/SENSOR and alike; set the device's FullTopic to %prefix%/%topic%/"
    return Rejected("envelope", Reason.UNKNOWN_ROUTE, "topic", topic[:200], f"{shown(topic)}: {detail}")


def presence(device: str | None, payload: bytes) -> Notice:
    """The last will: Online or Offline."""
    text = payload.decode(errors="replace").strip()
    kind = {"online": "online", "offline": "offline"}.get(text.lower(), "other")
    return Notice(device, kind, f"LWT: {shown(text)}"[:200])  # type: ignore[arg-type]  # one of the kinds


def parts_of(device: str | None, kind: str, document: dict[str, Any], payload: bytes) -> Opened:
    """What a JSON message holds: the sensors of the device, and of those that it bridges (`ZbReceived`)."""
    wrapper = next((name for name in _WRAPPERS if isinstance(document.get(name), dict)), None)
    inner: dict[str, Any] = document[wrapper] if wrapper else document
    bridged = inner.get("ZbReceived")
    if isinstance(bridged, dict) and len(bridged) > MAX_BRIDGED:
        detail = f"{len(bridged)} devices; expected at most {MAX_BRIDGED} in a message"
        return [
            Packet(device, Rejected("envelope", Reason.TOO_LARGE, "ZbReceived", str(len(bridged)), detail), payload)
        ]
    if isinstance(bridged, dict) and bridged:
        return [bridged_part(device, address, said, payload, len(bridged) == 1) for address, said in bridged.items()]
    flat = flattened(inner)
    if measures(flat, kind):
        return [Packet(device, flat, payload)]
    return [Notice(device, "other", f"{kind}: no sensor; {shown(document)}"[:200])]


def bridged_part(device: str | None, address: str, said: object, payload: bytes, alone: bool) -> Packet:
    """A Zigbee device behind a Tasmota bridge: named by the bridge and its own name, or its short address."""
    name = next((said[key] for key in ("Name", "Device") if isinstance(said, dict) and said.get(key)), address)
    return Packet(
        clean(f"{device}/{name}" if device else str(name))[:300],
        said,
        payload if alone else encode({address: said}, payload),
    )
