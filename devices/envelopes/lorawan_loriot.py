"""LORIOT: the JSON of its application outputs.

Source: LORIOT documentation, "Uplink Data Message" (`rx`) and "Gateway Information" (`gw`): an uplink comes as `rx`
and, where so configured, a little later again as `gw` with all gateways that heard it, of the same `ts` and `fcnt`.
"""

import re

from devices.envelopes import lorawan
from devices.envelopes.lorawan import Aside, Json, Server, Uplink, listed
from devices.raw import shown
from devices.rejected import Rejected
from devices.time import parse_time, show

NAME = "LORIOT"
_UPLINKS = ("rx", "gw")
_TAKEN = frozenset(
    (
        *("cmd", "EUI", "ts", "fcnt", "port", "data", "decoded", "freq", "rssi", "snr", "dr", "gws", "seqno", "toa"),
        *("ack", "confirmed", "devaddr", "offline"),
    )
)
_DATA_RATE = re.compile(r"SF(\d{1,2})")
_CODEC_WORDS = frozenset(("data", "errors", "warnings"))


def _eui(_: str, message: Json) -> object:
    return message.get("EUI")


def _read(_: str, message: Json) -> Uplink | Aside | Rejected:
    command = message.get("cmd")
    if not isinstance(command, str):
        return lorawan.stranger(NAME, message)
    if command not in _UPLINKS:
        return Aside("other", f"message {lorawan.text(command)} of the network, no uplink")
    return _uplink(message)


def _uplink(message: Json) -> Uplink | Aside | Rejected:
    if message.get("encdata") and not message.get("data"):
        return lorawan.encrypted("encdata", "assign the AppSKey to the device at LORIOT")
    frame = lorawan.from_hex(message.get("data"), "data")
    if isinstance(frame, Rejected):
        return frame
    count = lorawan.whole(message.get("fcnt"))
    decoded = _decoded(message.get("decoded"))
    if isinstance(decoded, Aside):
        return decoded if frame is None else _document(message, count, frame, None)
    if frame is None and not decoded:
        return lorawan.nothing_sent(count)
    return _document(message, count, frame, decoded)


def _decoded(said: object) -> Json | Aside | None:
    """What LORIOT's decoder made of it; decoders of the LoRa Alliance's form put it under `data`."""
    if not isinstance(said, dict):
        return None
    if said.keys() <= _CODEC_WORDS and said.get("errors"):
        return Aside("codec_error", f"decoder: {shown(said['errors'])}")
    inside = said.get("data")
    return inside if said.keys() <= _CODEC_WORDS and isinstance(inside, dict) else said or None


def _document(message: Json, count: int | None, frame: bytes | None, decoded: object) -> Uplink | Aside | Rejected:
    time = message.get("ts")
    if time is not None:
        time = parse_time(time, "ms")
        if isinstance(time, Rejected):
            return time
    best = lorawan.strongest(listed(message, "gws"), "rssi") or message
    rate = _DATA_RATE.match(str(message.get("dr"))[:20])
    return lorawan.document(
        port=lorawan.whole(message.get("port"), 255),
        count=count,
        time=None if time is None else show(time),
        frame=frame,
        decoded=decoded,
        model=None,
        name=None,
        heard=lorawan.radio(
            best.get("rssi"), best.get("snr"), message.get("freq"), rate and rate[1], best.get("gweui")
        ),
        server=lorawan.without(message, _TAKEN),
    )


LORIOT = Server(NAME, _eui, _read)
