"""Shelly generation 2 to 4: status topics, notifications and answers to requests; a packet per measuring channel.

Source: https://shelly-api-docs.shelly.cloud/gen2/ (ComponentsAndServices/Mqtt, General/Notifications). Channel 0 speaks
under the device's own id, a further one and every input under `<id>/<component>:<n>`: each may be enrolled by itself.
"""

import re
from typing import Any

from devices.codecs import CODECS, encode
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

COMPONENT = re.compile(r"([a-z][a-z0-9_]{0,30}):(\d{1,4})", re.ASCII)
ALONE = frozenset(("input", "blutrv", "bthomesensor", "bthomedevice"))
"""Components that are a thing of their own whatever their number: a button, a radiator valve behind a gateway."""
VIRTUAL = frozenset(
    ("script", "schedule", "boolean", "number", "text", "enum", "button", "group", "object", "ui", "service")
)
"""Components that measure nothing: scripts and what users define (whose meaning is theirs alone)."""
MAX_CHANNELS = 200
_NO_MEASUREMENT = frozenset(
    (
        *("id", "source", "output", "state", "timer_started_at", "timer_duration", "transition", "errors", "flags"),
        *("last_direction", "pos_control"),
    )
)
_TELLING = (
    *(("target_C", "blutrv"), ("total_act_power", "em"), ("total_act_ret", "emdata"), ("act_power", "em1")),
    *(("total_act_energy", "em1data"), ("current_pos", "cover"), ("brightness", "light"), ("output", "switch")),
    *(("apower", "pm1"), ("tC", "temperature"), ("rh", "humidity"), ("lux", "illuminance"), ("counts", "input")),
    *(("battery", "devicepower"), ("state", "input")),
)
_BESIDE_DATA = "data"  # em1data:1 holds the counters of em1:1


def open_shelly(route: Route) -> Opener:
    """The opener of a route of Shelly devices; `…/<id>/status/<component>`, `…/<id>/events/rpc`, `…/<id>/online`."""
    del route
    return open_message


def open_message(topic: str, payload: bytes) -> Opened:
    """One message: readings of its channels, or what it tells about the device."""
    device, what = device_and_rest(topic)
    if what == "online":
        said = payload.strip().lower()
        kind = {b"true": "online", b"false": "offline"}.get(said, "other")
        return [Notice(device, kind, f"online: {shown(payload.decode(errors='replace'))}"[:200])]  # type: ignore[arg-type]
    document = CODECS["json"](payload)
    if isinstance(document, Rejected):
        return [Packet(device, document, payload)]
    if not isinstance(document, dict):
        detail = f"{shown(document)}; expected an object: a status, a notification or an answer"
        return [Packet(device, Rejected("envelope", Reason.WRONG_SHAPE, None, shown(document), detail), payload)]
    if isinstance(document.get("src"), str) and document["src"] and document.keys() & {"method", "result", "error"}:
        device = clean(document["src"]) if device is None or what == "rpc" else device
    return opened(device, what, document, payload)


def device_and_rest(topic: str) -> tuple[str | None, str]:
    """`a/shelly-1/status/switch:0` → (`a/shelly-1`, `switch:0`); the answers' topic `…/rpc` names the asker."""
    levels = clean(topic).split("/")
    for place in range(len(levels) - 1, 0, -1):
        if levels[place] in ("status", "events"):
            return "/".join(levels[:place]) or None, "/".join(levels[place + 1 :])
    name = "/".join(levels[:-1]) or None
    return (name, levels[-1]) if levels[-1] in ("online", "rpc") else (None, "")


def opened(device: str | None, what: str, document: dict[str, Any], payload: bytes) -> Opened:
    """The channels of a message; a notice when it has none."""
    if document.get("method") == "NotifyEvent" or "error" in document:
        return [Notice(device, "other", shown(document)[:200])]
    inner = next((document[key] for key in ("params", "result") if isinstance(document.get(key), dict)), document)
    if not any(COMPONENT.fullmatch(name) for name in inner):
        component = what if COMPONENT.fullmatch(what) else likely_component(inner)
        inner = {component: inner} if component else inner
    channels = by_channel(inner)
    found = {name: said for name, said in channels.items() if measures(said)}
    if len(found) > MAX_CHANNELS:
        detail = f"{len(found)} channels; expected at most {MAX_CHANNELS}: no device has more"
        return [Packet(device, Rejected("envelope", Reason.TOO_LARGE, None, str(len(found)), detail), payload)]
    if not found:
        return [Notice(device, "other", f"{what or 'message'} without a measurement: {shown(document)}"[:200])]
    alone = len(found) == 1
    return [channel_packet(device, name, said, inner, payload, alone) for name, said in found.items()]


def likely_component(status: dict[str, Any]) -> str | None:
    """The component that a status is of, by what only it has; None when nothing tells."""
    number = status.get("id")
    kind = next((kind for key, kind in _TELLING if key in status), None)
    return f"{kind}:{number}" if kind and type(number) is int and 0 <= number < 10_000 else None


def by_channel(inner: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Channel (`""` for the device's own, else `switch:1`) → its components by kind."""
    channels: dict[str, dict[str, Any]] = {}
    for name, said in inner.items():
        match = COMPONENT.fullmatch(name)
        if match is None or not isinstance(said, dict) or match[1] in VIRTUAL:
            continue
        kind, number = match[1], int(match[2])
        owner = kind.removesuffix(_BESIDE_DATA)
        channel = "" if number == 0 and kind not in ALONE else f"{owner}:{number}"
        channels.setdefault(channel, {})[kind] = said
    return channels


def measures(components: dict[str, Any]) -> bool:
    """Whether a channel holds more than names, errors and the position of a relay; of an input its state is enough."""
    for kind, said in components.items():
        if kind == "input":
            if any(said.get(key) is not None for key in ("state", "percent", "counts", "freq")):
                return True
        elif (
            kind in ("light", "rgb", "rgbw", "cct")
            or any(value is not None and key not in _NO_MEASUREMENT for key, value in said.items())
            or ("output" in said and said["output"] is not None)
        ):
            return True
    return False


def channel_packet(
    device: str | None, channel: str, components: dict[str, Any], inner: dict[str, Any], payload: bytes, alone: bool
) -> Packet:
    """The components of a channel by kind, with the message's time; the device's own with all else that it says."""
    others = {name: said for name, said in inner.items() if not COMPONENT.fullmatch(name)}
    shared: dict[str, Any] = (
        others if channel == "" else {name: others[name] for name in ("ts", "sys") if name in others}
    )
    if isinstance(shared.get("sys"), dict) and channel:
        shared = {**shared, "sys": {"unixtime": shared["sys"].get("unixtime")}}
    virtual = {name: inner[name] for name in inner if (m := COMPONENT.fullmatch(name)) and m[1] in VIRTUAL}
    document: dict[str, Any] = shared | components | (virtual if channel == "" else {})
    name = device if not channel else f"{device}/{channel}" if device else None
    return Packet(name, document, payload if alone else encode(document, payload))
