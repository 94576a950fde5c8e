"""The types of the struct codec: how many bytes a value takes, and what number or text they are."""

import re
from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

MAX_INTEGER_BITS = 256
NUMBER = re.compile(r"([uif])(\d{1,3})(le|be)?")
FLOATS = {16: "e", 32: "f", 64: "d"}
INTEGERS = {8: "B", 16: "H", 32: "I", 64: "Q"}
SIZED = ("bcd", "text", "hex")
EXPECTED = "u8 … u256, i8 … i256 (whole bytes), f16, f32, f64 (each with le or be at its end), bool, bcd, text, hex"


class NotThisType(ValueError):
    """The bytes spell no value of the type; the message says why."""


class Type(NamedTuple):
    """`size` in bytes, None where the step tells it (`size:`); `read(frame, at, end)`: the value of the bytes from
    `at` up to `end`, which lie inside the frame. Raises NotThisType."""

    size: int | None
    read: Callable[[bytes, int, int], Any]
    bits: int = 0
    """Of an integer; 0 where no bits can be taken from it."""


def type_named(name: object, order: str) -> Type:
    """The type of a name such as `i16le`; `order`: be or le, where the name does not say. Raises ValueError."""
    text = str(name)
    if text in SIZED:
        return Type(None, {"bcd": read_bcd, "text": read_text, "hex": read_hex}[text])
    if text == "bool":
        return Type(1, lambda frame, at, end: frame[at] != 0)
    match = NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no type; expected {EXPECTED}")
    kind, bits, little = match[1], int(match[2]), (match[3] or order) == "le"
    if kind == "f":
        return float_type(bits, little, text)
    if bits % 8 or not 8 <= bits <= MAX_INTEGER_BITS:
        raise ValueError(f"{text} is no type; expected {EXPECTED}")
    return Type(bits // 8, integer_reader(kind == "i", bits, little), bits)


def float_type(bits: int, little: bool, text: str) -> Type:
    """IEEE 754, two, four or eight bytes."""
    if bits not in FLOATS:
        raise ValueError(f"{text} is no type; expected {EXPECTED}")
    unpack = Struct(("<" if little else ">") + FLOATS[bits]).unpack_from
    return Type(bits // 8, lambda frame, at, end: unpack(frame, at)[0])


def integer_reader(signed: bool, bits: int, little: bool) -> Callable[[bytes, int, int], int]:
    """Reads an integer, two's complement when signed."""
    if bits == 8 and not signed:
        return lambda frame, at, end: frame[at]
    if bits in INTEGERS:
        code = INTEGERS[bits].lower() if signed else INTEGERS[bits]
        unpack = Struct(("<" if little else ">") + code).unpack_from
        return lambda frame, at, end: int(unpack(frame, at)[0])
    from_bytes = int.from_bytes
    if little:
        return lambda frame, at, end: from_bytes(frame[at:end], "little", signed=signed)
    return lambda frame, at, end: from_bytes(frame[at:end], "big", signed=signed)


def read_bcd(frame: bytes, at: int, end: int) -> int:
    """Two decimal digits a byte, the first the highest; an F in front or behind fills up."""
    digits = frame[at:end].hex().strip("f")
    if not digits.isdecimal():
        raise NotThisType(f"{frame[at:end].hex()} is no BCD; expected the digits 0 to 9 only")
    return int(digits)


def read_text(frame: bytes, at: int, end: int) -> str:
    """UTF-8 or ASCII, without the zeros and blanks that fill up."""
    try:
        return frame[at:end].decode("utf-8").rstrip("\0 ")
    except UnicodeDecodeError as error:
        raise NotThisType(f"{frame[at:end].hex()} is no text in UTF-8 ({error.reason})") from None


def read_hex(frame: bytes, at: int, end: int) -> str:
    """The bytes as hexadecimal text, lower case."""
    return frame[at:end].hex()
