"""Cayenne LPP: `[channel][type][value]…`, big endian, without a length or a checksum.

Types 0 to 3, 101 to 104, 113, 115, 134 and 136: Cayenne's "Low Power Payload" 1.0 (the IPSO object less 3200); the
others as the libraries CayenneLPP (Electronic Cats) and pycayennelpp have them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from devices.codecs.struct_scan import put, rejection
from devices.rejected import Reason, Rejected


class Lpp(NamedTuple):
    """A type: its name in documents, the size of a number in bytes, what it is divided by, whether it has a sign;
    `parts`: the names of several numbers of the same kind."""

    name: str
    size: int
    divisor: int = 1
    signed: bool = False
    parts: tuple[str, ...] = ()


AXES = ("x", "y", "z")
GPS, POLYLINE = 136, 240
TYPES: dict[int, Lpp] = {
    0: Lpp("digital_in", 1),
    1: Lpp("digital_out", 1),
    2: Lpp("analog_in", 2, 100, signed=True),
    3: Lpp("analog_out", 2, 100, signed=True),
    100: Lpp("generic", 4),
    101: Lpp("illuminance", 2),  # lx
    102: Lpp("presence", 1),
    103: Lpp("temperature", 2, 10, signed=True),  # Cel
    104: Lpp("humidity", 1, 2),  # %
    113: Lpp("accelerometer", 2, 1000, signed=True, parts=AXES),  # g
    115: Lpp("barometer", 2, 10),  # hPa
    116: Lpp("voltage", 2, 100),  # V
    117: Lpp("current", 2, 1000),  # A
    118: Lpp("frequency", 4),  # Hz
    120: Lpp("percentage", 1),  # %
    121: Lpp("altitude", 2, 1, signed=True),  # m
    122: Lpp("load", 3, 1000, signed=True),  # kg
    125: Lpp("concentration", 2),  # ppm
    128: Lpp("power", 2),  # W
    130: Lpp("distance", 4, 1000),  # m
    131: Lpp("energy", 4, 1000),  # kWh
    132: Lpp("direction", 2),  # deg
    133: Lpp("time", 4),  # s since 1970
    134: Lpp("gyrometer", 2, 100, signed=True, parts=AXES),  # deg/s
    135: Lpp("colour", 1, parts=("red", "green", "blue")),
    142: Lpp("switch", 1),
}
GPS_SIZE = 9
POLYLINE_HEAD = 8


def decode_cayenne(frame: bytes) -> object:
    """`{"temperature_3": 27.2, …}`: values by type and channel, a second of the same channel as `temperature_3_2`.

    Rejected when the frame ends inside a value: where that happens nothing else can be trusted either, for lengths come
    from the types alone. Behind a type that is not in the table, the rest is Rejected and what stands before is kept.
    A clock alone is nothing measured: `notice` says so.
    """
    document: dict[str, object] = {}
    at = 0
    while at < len(frame):
        if at + 2 > len(frame):
            return cut_off(frame, at, "a channel and a type", 2)
        channel, kind = frame[at], frame[at + 1]
        size = size_of(kind, frame, at + 2)
        if size is None:
            rejected = unknown_type(frame, at, kind)
            return [document, rejected] if document else rejected
        if at + 2 + size > len(frame):
            return cut_off(frame, at + 2, f"type {kind} ({name_of(kind)})", size)
        for name, value in values_of(kind, frame[at + 2 : at + 2 + size]):
            put(document, f"{name}_{channel}", value)
        at += 2 + size
    if document and all(name.startswith("time_") for name in document):
        document["notice"] = "the device's clock alone"
    return document or rejection(frame, 0, None, "an empty frame; expected channels, types and values")


def size_of(kind: int, frame: bytes, at: int) -> int | None:
    """Bytes that a value of the type takes; None for a type that is not known."""
    if kind == GPS:
        return GPS_SIZE
    if kind == POLYLINE:
        return max(frame[at], POLYLINE_HEAD) if at < len(frame) else POLYLINE_HEAD
    known = TYPES.get(kind)
    return known.size * max(len(known.parts), 1) if known else None


def name_of(kind: int) -> str:
    """The name of a known type."""
    return {GPS: "gps", POLYLINE: "polyline"}.get(kind) or TYPES[kind].name


def values_of(kind: int, raw: bytes) -> Iterator[tuple[str, object]]:
    """The values that the bytes of a type are, each with its name."""
    if kind == GPS:
        yield "latitude", number(raw[0:3], 10_000, signed=True)
        yield "longitude", number(raw[3:6], 10_000, signed=True)
        yield "gps_altitude", number(raw[6:9], 100, signed=True)
        return
    if kind == POLYLINE:
        yield "polyline", raw.hex()
        return
    known = TYPES[kind]
    if not known.parts:
        yield known.name, number(raw, known.divisor, known.signed)
    for place, part in enumerate(known.parts):
        piece = raw[place * known.size : (place + 1) * known.size]
        yield f"{known.name}_{part}", number(piece, known.divisor, known.signed)


def number(raw: bytes, divisor: int, signed: bool) -> int | float:
    """The number that big-endian bytes are."""
    value = int.from_bytes(raw, "big", signed=signed)
    return value if divisor == 1 else value / divisor


def cut_off(frame: bytes, at: int, what: str, size: int) -> Rejected:
    """The frame ends inside a value."""
    problem = (
        f"{what} takes {size} bytes and {len(frame) - at} are left; the frame was cut off, or its device writes "
        "another size than Cayenne LPP has for the type (humidity is 1 byte of 0.5 %), so no value can be trusted"
    )
    return rejection(frame, at, what, problem)


def unknown_type(frame: bytes, at: int, kind: int) -> Rejected:
    """A type without a known size ends the reading."""
    problem = (
        f"type {kind} (0x{kind:02x}) of channel {frame[at]} is no type of Cayenne LPP; its size is not known, so the "
        "rest cannot be read; describe the frame with a struct codec if the device has types of its own"
    )
    return rejection(frame, at, f"type {kind}", problem, Reason.WRONG_SHAPE)
