"""The protocol buffers wire format (protobuf.dev/programming-guides/encoding) by tables: bytes ↔ plain values.

A message is described by a `Shape`: field number → `Part`. Only what telemetry uses is read: varints, fixed 32 and 64,
lengths; groups, which proto2 gave up, are refused. Nothing but BadWire is ever raised by the reader.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

MAX_DEPTH = 24
MAX_REPEATED = 20_000
MAX_FIELDS = 150_000
"""Of a message with all messages in it: what costs time is their number, not their bytes."""
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
Kind = Literal["uint32", "uint64", "bool", "float", "double", "string", "bytes", "message"]
WIRE: dict[str, int] = {
    **dict.fromkeys(("uint32", "uint64", "bool"), VARINT),
    **dict.fromkeys(("string", "bytes", "message"), LENGTH),
    "float": FIXED32,
    "double": FIXED64,
}
_WIDTH = {FIXED64: 8, FIXED32: 4}
_FORMAT = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}


class BadWire(ValueError):
    """Bytes that are no message of the expected shape; the text says what was found and where."""


class TooDeepWire(BadWire):
    """Messages within messages beyond MAX_DEPTH."""


class Part(NamedTuple):
    """A field of a message: its name and kind; `repeated`: gathered in a list; `shape`: of a message in the message."""

    name: str
    kind: Kind
    repeated: bool = False
    shape: "Shape | None" = None


Shape = dict[int, Part]


class Budget:
    """How many fields may still be read of a message."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_FIELDS


def decode(payload: bytes, shape: Shape, depth: int = 0, budget: Budget | None = None) -> dict[str, Any]:
    """The message by the names of its fields; absent fields are absent, unknown ones are left out. Raises BadWire.

    A field that comes twice counts as it came last, a message is merged into the earlier one, a repeated field is
    gathered, as the format demands.
    """
    if depth > MAX_DEPTH:
        raise TooDeepWire(f"messages are nested more than {MAX_DEPTH} levels")
    budget = budget or Budget()
    message: dict[str, Any] = {}
    for number, wire, raw in fields(payload):
        budget.left -= 1
        if budget.left < 0:
            raise BadWire(f"more than {MAX_FIELDS} fields")
        part = shape.get(number)
        if part is None:
            continue
        if part.repeated:
            gathered = message.setdefault(part.name, [])
            gathered += many(part, wire, raw, depth, budget)
            if len(gathered) > MAX_REPEATED:
                raise BadWire(f"{part.name} comes more than {MAX_REPEATED} times")
        else:
            earlier = message.pop(
                part.name, None
            )  # of a oneof, the last to come is the one that counts, and stands last
            value = one(part, wire, raw, depth, budget)
            message[part.name] = merged(earlier, value) if part.kind == "message" and earlier else value
    return message


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """A message that came in two parts."""
    whole = {**earlier, **later}
    for name in earlier.keys() & later.keys():
        if isinstance(earlier[name], list):
            whole[name] = earlier[name] + later[name]
        elif isinstance(earlier[name], dict):
            whole[name] = merged(earlier[name], later[name])
    return whole


def fields(payload: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Field number, wire type and raw value (a count, or bytes) of each field in turn. Raises BadWire."""
    place, end = 0, len(payload)
    while place < end:
        start = place
        key, place = varint(payload, place)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise BadWire(f"field number 0 at byte {start}")
        if wire == VARINT:
            value, place = varint(payload, place)
            yield number, wire, value
            continue
        if wire == LENGTH:
            size, place = varint(payload, place)
        elif wire in _WIDTH:
            size = _WIDTH[wire]
        else:
            raise BadWire(f"wire type {wire} at byte {start}; expected 0, 1, 2 or 5")
        if size > end - place:
            raise BadWire(f"field {number} at byte {start} needs {size} bytes, {end - place} are left; cut off")
        yield number, wire, payload[place : place + size]
        place += size


def varint(payload: bytes, place: int) -> tuple[int, int]:
    """A number of one to ten bytes, and the place behind it. Raises BadWire."""
    if place < len(payload) and payload[place] < 0x80:
        return payload[place], place + 1  # most are small
    number = shift = 0
    for at in range(place, min(place + 10, len(payload))):
        byte = payload[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at + 1
        shift += 7
    raise BadWire(f"the number at byte {place} never ends" if len(payload) - place >= 10 else "cut off in a number")


def one(part: Part, wire: int, raw: int | bytes, depth: int, budget: Budget) -> Any:
    """One value of a field. Raises BadWire when it came in another wire type."""
    if wire != WIRE[part.kind]:
        raise BadWire(f"{part.name} has wire type {wire}; expected {WIRE[part.kind]}")
    if isinstance(raw, int):
        return raw != 0 if part.kind == "bool" else raw & 0xFFFF_FFFF if part.kind == "uint32" else raw
    if part.kind == "string":
        return raw.decode("utf-8", "replace")
    if part.kind in _FORMAT:
        return _FORMAT[part.kind].unpack(raw)[0]
    return decode(raw, part.shape or {}, depth + 1, budget) if part.kind == "message" else raw


def many(part: Part, wire: int, raw: int | bytes, depth: int, budget: Budget) -> list[Any]:
    """The values that one occurrence of a repeated field carries: one, or several numbers packed together."""
    if wire == LENGTH and WIRE[part.kind] == VARINT and isinstance(raw, bytes):
        place, packed = 0, []
        while place < len(raw):
            number, place = varint(raw, place)
            packed.append(one(part, VARINT, number, depth, budget))
        return packed
    return [one(part, wire, raw, depth, budget)]


def encode(message: Mapping[str, Any], shape: Shape) -> bytes:
    """The message as bytes, fields in the order of the shape; names that the shape lacks are left out."""
    out = bytearray()
    for number, part in shape.items():
        if part.name in message:
            value = message[part.name]
            for item in value if part.repeated else (value,):
                out += encode_field(number, part, item)
    return bytes(out)


def encode_field(number: int, part: Part, value: Any) -> bytes:
    """One field with its key."""
    wire = WIRE[part.kind]
    key = encode_varint(number << 3 | wire)
    if wire == VARINT:
        return key + encode_varint(int(value))
    if part.kind in _FORMAT:
        return key + _FORMAT[part.kind].pack(value)
    body = encode(value, part.shape or {}) if part.kind == "message" else value
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body)
    return key + encode_varint(len(raw)) + raw


def encode_varint(number: int) -> bytes:
    """A number from 0 to 2^64-1, seven bits a byte, the lowest first; a negative one in two's complement."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
