"""Shelly generation 1: one value a topic, `shellies/<id>/<component>/<channel>/<quantity>`, as text.

Source: https://shelly-api-docs.shelly.cloud/gen1/#mqtt-support. Devices of later generations whose topic prefix is
`shellies/<id>` are opened as such. A channel above 0 speaks under `<id>/<component>:<n>`.
"""

import re
from typing import Any

from devices.codecs import CODECS
from devices.envelopes.packet import Notice, NoticeKind, Opened, Opener, Packet
from devices.envelopes.shelly import open_message
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_TOPIC = re.compile(r"([a-z_]{1,30})(?:/(\d{1,3}))?(?:/([a-z_]{1,30}))?", re.ASCII)
_COMPONENTS = frozenset(("relay", "emeter", "light", "color", "white", "roller", "input", "sensor", "meter"))
_WHOLE = frozenset(("temperature", "voltage", "overtemperature", "temperature_status", "temperature_f", "loaderror"))
_PLURALS = {"relays": "relay", "meters": "meter", "emeters": "emeter", "lights": "light", "inputs": "input"}
_SENSORS = {
    "tmp": (("tC", "value"), "temperature"),
    "hum": (("value",), "humidity"),
    "lux": (("value",), "lux"),
    "bat": (("value",), "battery"),
}
_ONLINE: dict[str, NoticeKind] = {"true": "online", "false": "offline"}


def open_shelly1(route: Route) -> Opener:
    """The opener of a route `<base>/#` of Shelly devices of generation 1."""
    base = len(route.topics[0].split("/")) - 1

    def open_value(topic: str, payload: bytes) -> Opened:
        levels = clean(topic).split("/")[base:]
        if any(level in ("status", "events") for level in levels[1:]):
            return open_message("/".join(levels), payload)
        device, rest = levels[0] if levels else "", "/".join(levels[1:])
        if rest == "info":
            return [status_of(device, payload)]
        if not device or rest in ("", "announce", "command") or device in ("announce", "command"):
            return [Notice(device or None, "other", f"{rest or 'announcement'}: what the device says of itself")]
        text = payload.decode(errors="replace").strip()
        if rest == "online":
            return [Notice(device, _ONLINE.get(text.lower(), "other"), f"online: {shown(text)}"[:200])]
        return [value_of(device, rest, text, payload)]

    return open_value


def value_of(device: str, rest: str, text: str, payload: bytes) -> Packet | Notice:
    """One value as a document `{component: {quantity: value}}`; a notice for what is no measurement."""
    match = _TOPIC.fullmatch(rest)
    if match is None or (match[1] not in _COMPONENTS and match[1] not in _WHOLE):
        return Notice(device, "other", f"{shown(rest)}: no measurement"[:200])
    component, channel, quantity = match[1], match[2], match[3]
    if quantity == "command" or component in _WHOLE - {"temperature", "voltage"}:
        return Notice(device, "other", f"{rest}: no measurement")
    if not text or text.startswith(("{", "[")):
        detail = f"{rest}: {shown(text) or 'nothing'}; expected one number or word"
        return Packet(device, Rejected("envelope", Reason.WRONG_SHAPE, rest, shown(text), detail), payload)
    value: object = float(text) if _NUMBER.fullmatch(text) else clean(text[:200])
    name = f"{device}/{component}:{channel}" if channel and int(channel) else device
    return Packet(name, {component: {quantity or "state": value}}, payload)


def status_of(device: str, payload: bytes) -> Packet:
    """The whole status (`info`), its first channels under the names that the single values have."""
    status = CODECS["json"](payload)
    if not isinstance(status, dict):
        return Packet(device, status, payload)
    document: dict[str, Any] = {"time": status["unixtime"]} if status.get("unixtime") else {}
    for plural, component in _PLURALS.items():
        listed = status.get(plural)
        if isinstance(listed, list) and listed and isinstance(listed[0], dict):
            document[component] = {**document.get(component, {}), **listed[0]}
    if isinstance(ison := document.get("relay", {}).get("ison"), bool):
        document["relay"]["state"] = "on" if ison else "off"
    for name in ("temperature", "voltage"):
        if isinstance(status.get(name), int | float):
            document[name] = {"state": status[name]}
    for place, (names, quantity) in _SENSORS.items():
        found = status.get(place)
        value = next((found[name] for name in names if name in found), None) if isinstance(found, dict) else None
        if value is not None:
            document.setdefault("sensor", {})[quantity] = value
    return Packet(device, document, payload)
