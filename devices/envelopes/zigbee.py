"""zigbee2mqtt: each device's state under `<base>/<friendly name>`, the bridge's own words under `<base>/bridge/…`.

Source: https://www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html. The state is merged and sent again
whenever one value changes: values beside the fresh one may be old, and only `last_seen` tells when the device last
spoke. A device is named by its friendly name, or by its address where the message itself states it.
"""

from typing import Any, NamedTuple

from devices.codecs import CODECS
from devices.envelopes.packet import Notice, NoticeKind, Opened, Opener, Packet
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

MAX_DEVICES = 10_000
MAX_UNITS = 64
_COMMANDS = ("set", "get")
_STATES: dict[str, NoticeKind] = {"online": "online", "offline": "offline"}


class Known(NamedTuple):
    """What the bridge's list of devices says of one: vendor and model, units by property."""

    model: str | None
    units: dict[str, str]


class Zigbee:
    """The opener of one bridge. It remembers units and models from the bridge's list of devices, so that a value
    arrives with its unit; without that list the profile's units hold."""

    def __init__(self, base: int) -> None:
        """`base`: how many topic levels stand before the friendly name."""
        self._base = base
        self._known: dict[str, Known] = {}

    def __call__(self, topic: str, payload: bytes) -> Opened:
        """One message: the state of a device, or what bridge or device say of themselves."""
        if not topic:
            return [self._state("", payload)]
        levels = clean(topic).split("/")[self._base :]
        if not levels or not levels[0]:
            detail = f"{shown(topic)} names no device; expected <base topic>/<friendly name>"
            return [Packet(None, Rejected("envelope", Reason.UNKNOWN_ROUTE, "topic", topic[:200], detail), payload)]
        if levels[0] == "bridge":
            return [self._of_bridge("/".join(levels[1:]), payload)]
        if levels[-1] == "availability" and len(levels) > 1:
            return [Notice("/".join(levels[:-1]), *presence(payload))]
        if not payload or levels[-1] in _COMMANDS or "set" in levels[1:]:
            return [Notice("/".join(levels), "other", "a command, or a state that was taken back")]
        return [self._state("/".join(levels), payload)]

    def _of_bridge(self, what: str, payload: bytes) -> Notice:
        """What the bridge says; its list of devices is remembered."""
        if what == "state":
            return Notice(None, *presence(payload))
        if what == "devices":
            self._known = known_devices(CODECS["json"](payload))
            return Notice(None, "other", f"bridge/devices: {len(self._known)} devices")
        return Notice(None, "other", f"bridge/{what}"[:200])

    def _state(self, name: str, payload: bytes) -> Packet:
        """The state of a device (or, with `output: attribute`, one attribute of it)."""
        document = CODECS["json"](payload)
        attribute = None
        if not isinstance(document, dict) and "/" in name and is_scalar(document, payload):
            name, _, attribute = name.rpartition("/")
            value = document if not isinstance(document, Rejected) else payload.decode(errors="replace")
            document = {attribute: value}
        if not isinstance(document, dict):
            return Packet(name or None, document, payload)
        foreign_id, described = identity(name, document)
        brightness = document.get("brightness")
        if isinstance(brightness, int | float) and not isinstance(brightness, bool) and 0 <= brightness <= 254:
            described["brightness_percent"] = round(brightness / 2.54, 1)  # the Zigbee scale ends at 254
        known = self._known.get(name)
        if known:
            units = {key: unit for key, unit in known.units.items() if key in document}
            described |= ({"unitCode": units} if units else {}) | ({"model": known.model} if known.model else {})
        return Packet(foreign_id or None, described, payload)


def open_zigbee(route: Route) -> Opener:
    """The opener of a route `<base topic>/#`."""
    return Zigbee(len(route.topics[0].split("/")) - 1)


def identity(name: str, document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The device's address where the message itself states it (`include_device_information`), else its friendly name;
    and the document without the bridge's long description of the device."""
    device = document.get("device")
    if not isinstance(device, dict):
        return name, dict(document)
    rest = {key: value for key, value in document.items() if key != "device"}
    address = device.get("ieeeAddr", device.get("ieee_address"))
    model = device.get("model")
    described = rest | {"friendly_name": name} | ({"model": model} if isinstance(model, str) else {})
    return (clean(address), described) if isinstance(address, str) and address else (name, described)


def presence(payload: bytes) -> tuple[NoticeKind, str]:
    """`online`, `offline`, or either as `{"state": …}`."""
    document = CODECS["json"](payload) if payload[:1] in (b"{", b'"') else payload.decode(errors="replace").strip()
    said = document.get("state") if isinstance(document, dict) else document
    return (_STATES.get(said, "other") if isinstance(said, str) else "other"), f"state: {shown(said)}"[:200]


def is_scalar(document: object, payload: bytes) -> bool:
    """Whether a payload is one value rather than a document: a number, a word, true or false."""
    if isinstance(document, Rejected):
        return len(payload) < 80 and payload.isascii() and payload[:1].isalpha()
    return isinstance(document, int | float | str)


def known_devices(listed: object) -> dict[str, Known]:
    """Friendly name → what `bridge/devices` says of the device, for at most MAX_DEVICES of them."""
    found: dict[str, Known] = {}
    for device in listed if isinstance(listed, list) else []:
        name = device.get("friendly_name") if isinstance(device, dict) else None
        definition = device.get("definition") if isinstance(device, dict) else None
        if isinstance(name, str) and isinstance(definition, dict) and len(found) < MAX_DEVICES:
            words = [word for key in ("vendor", "model") if isinstance(word := definition.get(key), str)]
            found[clean(name)] = Known("/".join(words)[:80] or None, units_of(definition.get("exposes")))
    return found


def units_of(exposes: object, depth: int = 0) -> dict[str, str]:
    """Property → unit, of all that a device exposes; features of features included."""
    units: dict[str, str] = {}
    for exposed in exposes if isinstance(exposes, list) else []:
        if not isinstance(exposed, dict):
            continue
        name, unit = exposed.get("property"), exposed.get("unit")
        if isinstance(name, str) and isinstance(unit, str) and len(units) < MAX_UNITS:
            units[name[:80]] = unit[:40]
        if depth < 3:
            units |= units_of(exposed.get("features"), depth + 1)
    return dict(list(units.items())[:MAX_UNITS])
