"""The fields that packets of MQTT 5 are made of: numbers, texts, properties (sections 1.5 and 2.2.2 of MQTT 5.0)."""

Bounds = tuple[int, int]  # where the rest of a packet starts, and where it ends

# Property id → bytes of its value.
FIXED = {0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1}
FIXED |= {0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
TEXT = frozenset((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F))
BINARY = frozenset((0x09, 0x16))
PAIR = 0x26
NUMBER = 0x0B  # the subscription identifier, a variable byte integer
FLAGS = frozenset((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A))
NEVER_ZERO = frozenset((0x0B, 0x21, 0x27))
REPEATED = frozenset((PAIR, NUMBER))


class ProtocolError(Exception):
    """The broker sent what MQTT 5 does not allow, or refused; the connection must be closed."""


def read_length(stream: bytes, at: int) -> Bounds:
    """Variable byte integer, section 1.5.5: its value and where the next field starts; (0, 0) when it is not whole."""
    value = 0
    for index, byte in enumerate(stream[at : at + 4]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if not byte and index:
                raise ProtocolError("a variable byte integer of more bytes than it needs")
            return value, at + index + 1
    if len(stream) - at >= 4:
        raise ProtocolError("a variable byte integer of more than four bytes")
    return 0, 0


def read_short(stream: bytes, at: int, end: int) -> Bounds:
    """Two bytes as a number."""
    if at + 2 > end:
        raise ProtocolError("a packet that is cut short")
    return stream[at] << 8 | stream[at + 1], at + 2


def read_properties(stream: bytes, at: int, end: int, allowed: frozenset[int]) -> tuple[dict[int, int], int]:
    """The properties that are numbers, and where the next field starts. All are checked, section 2.2.2."""
    if at < end and stream[at] == 0:
        return {}, at + 1
    length, at = read_length(stream[:end], at) if at < end else (0, 0)
    if not at or at + length > end:
        raise ProtocolError("a packet that is cut short: its properties are longer than the packet")
    numbers: dict[int, int] = {}
    until, seen = at + length, set[int]()
    while at < until:
        name = stream[at]
        if name not in allowed or (name in seen and name not in REPEATED):
            raise ProtocolError(f"property {name:#04x}, which has no place here or comes twice")
        seen.add(name)
        value, at = read_value(stream, name, at + 1, until)
        if value is not None:
            numbers[name] = value
            if (name in NEVER_ZERO and not value) or (name in FLAGS and value > 1):
                raise ProtocolError(f"property {name:#04x} of {value}")
    return numbers, until


def read_value(stream: bytes, name: int, at: int, end: int) -> tuple[int | None, int]:
    """The value of a property, None for texts, and where the next property starts."""
    if name == NUMBER:
        value, at = read_length(stream[:end], at)
        if not at:
            raise ProtocolError("a property that is cut short")
        return value, at
    if name in FIXED:
        size = FIXED[name]
        if at + size > end:
            raise ProtocolError("a property that is cut short")
        return int.from_bytes(stream[at : at + size]), at + size
    for _ in range(2 if name == PAIR else 1):
        length, at = read_short(stream, at, end)
        if at + length > end:
            raise ProtocolError("a property that is cut short")
        if name not in BINARY:
            check_text(stream[at : at + length])
        at += length
    return None, at


def check_text(raw: bytes) -> None:
    """Section 1.5.4: UTF-8 without NUL and without surrogates."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a text that is not UTF-8") from None
    if b"\0" in raw:
        raise ProtocolError("a text with NUL")
