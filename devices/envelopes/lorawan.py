"""What LoRaWAN network servers have in common: one document for the uplinks of all, so that a profile serves them all.

    {"eui": "70b3d57ba000156b", "port": 1, "count": 26, "time": "2026-01-31T00:00:00Z", "frame": b"…",
     "decoded": {…}, "model": "brand/model", "device_name": "…", "tags": {…},
     "radio": {"rssi", "snr", "frequency_hz", "spreading_factor", "gateway"}, "server": {…}}

`frame`: the decrypted FRMPayload; `decoded`: what the server's own decoder made of it; both are absent where the server
gave none. `count`: the frame counter, which starts anew when a device joins again; with `time`, the server's own, it
names an uplink: a message delivered twice, or once by each of two gateways, has the same of both. `model`,
`device_name`, `tags`: what people entered at the server; they only help to tell what the device is. `radio` (dBm, dB,
Hz) and `server` (what else the server said, under its own names) are of the way, not of the device.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import NamedTuple

from devices.envelopes.packet import NoticeKind
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected

Json = dict[str, object]

_EUI = re.compile(r"[0-9a-f]{16}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*|(?:[0-9A-F]{2})*")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*")
_DIGITS = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,30})?", re.ASCII)
_LEAST_HEX = 12


class Uplink(NamedTuple):
    """A frame of a device: the document described above, without `eui`."""

    document: Json


class Aside(NamedTuple):
    """A message that carries no reading: `kind` as of a Notice, `detail` a sentence."""

    kind: NoticeKind
    detail: str


class Server(NamedTuple):
    """How one network server speaks. `name` for people; `eui`: where the device's EUI stands, in its own notation;
    `read`: what one message is. Neither raises."""

    name: str
    eui: Callable[[str, Json], object]
    read: Callable[[str, Json], Uplink | Aside | Rejected]


SIGNS: tuple[tuple[str, str | None, Callable[[Json], bool]], ...] = (
    ("The Things Stack v3", "v3/{application}@{tenant}/devices/{device}/up", lambda m: "end_device_ids" in m),
    ("The Things Network v2", None, lambda m: "dev_id" in m and "hardware_serial" in m),
    ("ChirpStack v4", "application/{id}/device/{eui}/event/up", lambda m: isinstance(m.get("deviceInfo"), dict)),
    ("ChirpStack v3", "application/{id}/device/{eui}/event/up", lambda m: "devEUI" in m),
    ("LORIOT", "loriot/…", lambda m: "cmd" in m and "EUI" in m),
    ("ThingPark", "thingpark/…", lambda m: any(isinstance(key, str) and key.startswith("DevEUI_") for key in m)),
    ("Helium's former console", None, lambda m: "hotspots" in m and "dev_eui" in m),
    ("AWS IoT Core for LoRaWAN", None, lambda m: "WirelessDeviceId" in m),
)
"""Servers, the topic on which their messages are expected (None: on none), and the field by which one knows them."""


READ = ", ".join(name for name, topic, _ in SIGNS if topic)


def server_of(message: Json) -> str | None:
    """The server whose words these are, if any is known to use them."""
    return next((name for name, _, sign in SIGNS if sign(message)), None)


def stranger(server: str, message: Json) -> Rejected:
    """A message that is none of this server's, with the name of the one whose it is."""
    other = server_of(message)
    if other is None or other == server:
        fields = ", ".join(clean(str(key)) for key in list(message)[:8])[:150]
        detail = f"no message of {server}: it has the fields {fields or 'none'}; does something else publish here?"
        return wrong_shape(None, None, detail)
    where = next(topic for name, topic, _ in SIGNS if name == other)
    to_do = (
        f"send it to {where}" if where else "none of its messages are read here; expected one of the servers' " + READ
    )
    return wrong_shape(None, None, f"this is a message of {other}, not of {server}; {to_do}")


def wrong_shape(field: str | None, value: str | None, detail: str) -> Rejected:
    """A message that is not built as the server's documentation says."""
    return Rejected("envelope", Reason.WRONG_SHAPE, field, value, detail)


def encrypted(field: str, what_to_do: str) -> Rejected:
    """A payload that nobody has decrypted."""
    detail = f"the payload is still encrypted ({field} says so) and no key is kept here; {what_to_do}"
    return wrong_shape(field, None, detail)


def no_eui(said: object) -> Rejected:
    """A message that does not name its device."""
    if said is None:
        return wrong_shape("eui", None, "the message names no DevEUI; expected 16 hex digits; set it at the server")
    detail = "not a DevEUI; expected 16 hex digits such as 70b3d57ba000156b"
    return wrong_shape("eui", shown(said), detail)


def normal_eui(said: object) -> str | None:
    """An EUI-64 as 16 lower-case hex digits, from any usual notation: capitals, `-`, `:`, `.` or blanks between bytes,
    `eui-` in front, base64 (protobuf's JSON). None when it is none.

    >>> normal_eui("70-B3-D5-7B-A0-00-15-6B"), normal_eui("eui-70b3d57ba000156b"), normal_eui("cLPVe6AAFWs=")
    ('70b3d57ba000156b', '70b3d57ba000156b', '70b3d57ba000156b')
    """
    if not isinstance(said, str) or len(said) > 40:
        return None
    text = said.strip().lower().removeprefix("eui-")
    digits = re.sub(r"[-:. ]", "", text)
    if _EUI.fullmatch(digits):
        return digits
    if len(said) == 12 and said.endswith("="):
        found = from_base64(said, "eui")
        return found.hex() if isinstance(found, bytes) and len(found) == 8 else None
    return None


def from_base64(said: object, field: str) -> bytes | Rejected | None:
    """The bytes of a base64 text (RFC 4648, either alphabet, padded or not), None when there are none.

    Text that can only be meant as hex is refused: as base64 it would give nonsense of three quarters of its length.
    """
    if said is None or said == "":
        return None
    if not isinstance(said, str):
        return wrong_shape(field, shown(said), f"{field}: expected a text in base64")
    to_do = "set the server's payload format to base64"
    if _surely_hex(said):
        return wrong_shape(field, shown(said), f"{field}: this is hexadecimal; expected base64; {to_do}")
    plain = said.rstrip("=") if len(said) % 4 == 0 else said
    if not _BASE64.fullmatch(plain) or len(plain) % 4 == 1:
        cause = "this is hexadecimal" if _HEX.fullmatch(said) else "the text is cut off or in another encoding"
        return wrong_shape(field, shown(said), f"{field}: not base64: {cause}; {to_do}")
    return urlsafe_b64decode(plain.replace("+", "-").replace("/", "_") + "=" * (-len(plain) % 4))


def _surely_hex(said: str) -> bool:
    """Letters of one case, at least half digits, and a length at which base64 would look so once in a million."""
    long_enough = len(said) >= _LEAST_HEX or (len(said) % 4 == 2 and len(said) > 2)
    return long_enough and _HEX.fullmatch(said) is not None and 2 * sum(map(str.isdigit, said)) >= len(said)


def from_hex(said: object, field: str) -> bytes | Rejected | None:
    """The bytes of a hexadecimal text, None when there are none."""
    if said is None or said == "":
        return None
    if not isinstance(said, str):
        return wrong_shape(field, shown(said), f"{field}: expected a text in hexadecimal")
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})*", said):
        return bytes.fromhex(said)
    cause = "an odd number of digits: the text is cut off" if re.fullmatch(r"[0-9a-fA-F]*", said) else "other letters"
    if isinstance(from_base64(said, field), bytes):
        cause = "this is base64"
    detail = f"{field}: not hexadecimal: {cause}; set the server's payload format to hex"
    return wrong_shape(field, shown(said), detail)


def whole(said: object, most: int = 2**32 - 1) -> int | None:
    """A count from 0 to `most`, also as text or as a float without a fraction; None when it is none."""
    if isinstance(said, str) and _DIGITS.fullmatch(said):
        said = int(said)
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= most else None


def number(said: object) -> float | None:
    """A number, also as text; None when it is none."""
    if isinstance(said, str) and _NUMBER.fullmatch(said):
        return float(said)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return float(said) if abs(said) < 1e15 else None


def text(said: object) -> str | None:
    """A text that says something, else None."""
    return clean(said[:200]) if isinstance(said, str) and said else None


def inner(message: object, *keys: str) -> Json:
    """The object that stands there, an empty one when none does."""
    for key in keys:
        message = message.get(key) if isinstance(message, dict) else None
    return message if isinstance(message, dict) else {}


def listed(message: Json, key: str) -> list[Json]:
    """The objects of the list that stands there."""
    found = message.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def strongest(entries: list[Json], rssi: str) -> Json:
    """What the gateway said that heard the device best; an empty object when none did."""
    return max(entries, key=lambda entry: number(entry.get(rssi)) or -999.0, default={})


def radio(rssi: object, snr: object, frequency_hz: object, spreading_factor: object, gateway: object) -> Json:
    """How the frame was heard, as far as it is known: dBm, dB, Hz, 5 to 12, the gateway's id."""
    frequency = number(frequency_hz)
    found: Json = {
        "rssi": number(rssi),
        "snr": number(snr),
        "frequency_hz": None if frequency is None else round(frequency),
        "spreading_factor": whole(spreading_factor, 12),
        "gateway": normal_eui(gateway) or text(gateway),
    }
    return {name: value for name, value in found.items() if value is not None}


def document(
    *,
    port: int | None,
    count: int | None,
    time: object,
    frame: bytes | Rejected | None,
    decoded: object,
    model: str | None,
    name: object,
    tags: object = None,
    heard: Json,
    server: Json,
) -> Uplink | Aside | Rejected:
    """The document of an uplink, without what is not there; an aside where nothing was sent, why not where the frame
    cannot be read."""
    if isinstance(frame, Rejected):
        return frame
    if frame is None and not decoded:
        return nothing_sent(count)
    found: Json = {"port": port, "count": count, "time": time}
    rest: Json = {"frame": frame, "decoded": decoded if isinstance(decoded, dict) else None, "model": model}
    rest |= {"device_name": text(name), "tags": tags if isinstance(tags, dict) and tags else None}
    rest |= {"radio": heard or None, "server": server or None}
    return Uplink(found | {name: value for name, value in rest.items() if value is not None})


def nothing_sent(count: int | None) -> Aside:
    """An uplink without payload: the network's own business, or a device that says it is there."""
    return Aside("other", f"uplink {'?' if count is None else count} carries no payload: nothing to decode")


def without(message: Json, known: frozenset[str]) -> Json:
    """What the server said besides what is known; nulls and empty things say nothing."""
    return {key: value for key, value in message.items() if key not in known and value not in (None, "", [], {})}
