"""JSON: quickly when it is good, carefully when it is not, so that one odd value does not cost the whole message."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from math import isinf
from typing import Any

import msgspec

from devices.raw import NotFinite, clean
from devices.rejected import Reason, Rejected

LONGEST_INTEGER = 1000
STARTS = frozenset(bytes((byte,)) for byte in b'{["-0123456789tfn \t\n\r')
"""What a JSON text can begin with; anything else need not be tried."""
_BOM = "\ufeff"
_decode = msgspec.json.Decoder().decode


def decode_json(payload: bytes) -> object:
    """The JSON document, or Rejected."""
    if payload[:1] not in STARTS:
        return look_again(payload)
    try:
        return _decode(payload)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return look_again(payload)


def encode_json(document: object) -> bytes:
    """The document as JSON, odd numbers spelt as they came. Raises ValueError or RecursionError when it cannot be."""
    try:
        return msgspec.json.encode(document, enc_hook=_odd_value)
    except UnicodeEncodeError:  # a lone surrogate: only an escape can carry it
        return json.dumps(document).encode()


def _odd_value(value: object) -> object:
    if isinstance(value, NotFinite):
        return msgspec.Raw(value.spelling.encode())
    raise ValueError(f"no JSON for {type(value).__name__}")


def look_again(payload: bytes) -> object:
    """The document of a JSON text with NaN, 1e400, lone surrogates or a byte order mark, or what is wrong with it."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        return not_utf8(payload, error.start)
    text = text.removeprefix(_BOM)
    try:
        document, end = _scan(text, _blank(text).end())
    except StopIteration as stop:
        return malformed(text, stop.value, "Expecting value")
    except json.JSONDecodeError as error:
        return malformed(text, error.pos, error.msg)
    except RecursionError:
        detail = "lists or objects are nested too deeply to be read; expected at most 32 levels"
        return Rejected("codec", Reason.TOO_DEEP, None, None, detail)
    end = _blank(text, end).end()
    return document if end == len(text) else malformed(text, end, "Extra data")


def _integer(digits: str) -> int | NotFinite:
    return int(digits) if len(digits) <= LONGEST_INTEGER else NotFinite(digits[:LONGEST_INTEGER])


def _fraction(text: str) -> float:
    number = float(text)
    return NotFinite(text) if isinf(number) else number


# Made once, and without the exceptions that its `decode` would make of what this one says: garbage comes in thousands.
_reader: Any = json.JSONDecoder(parse_int=_integer, parse_float=_fraction, parse_constant=NotFinite)
_scan: Callable[[str, int], tuple[object, int]] = _reader.scan_once
_blank: Callable[..., re.Match[str]] = re.compile(r"[ \t\n\r]*").match  # type: ignore[assignment]  # it matches anything


def not_utf8(payload: bytes, place: int) -> Rejected:
    """Text in another encoding, or no text at all."""
    likely = "the text is in another encoding, or this is binary data for another codec"
    if payload[:2] in (b"\xff\xfe", b"\xfe\xff"):
        likely = "this looks like UTF-16"
    elif payload[:2] == b"\x1f\x8b":
        likely = "this looks compressed (gzip)"
    detail = f"byte {place} (0x{payload[place]:02x}) is not UTF-8; {likely}; send JSON in UTF-8"
    return Rejected("codec", Reason.INVALID_UTF8, None, f"0x{payload[place]:02x}", detail)


def malformed(text: str, place: int, message: str) -> Rejected:
    """Where a text stops being JSON, with the likely cause."""
    if place == 0 and len(text) > 1 and text[0] != "," and not text[0].isspace():
        return malformed_from_the_start(text[:2], message)
    return described(text, place, message)


@lru_cache(maxsize=1024)
def malformed_from_the_start(beginning: str, message: str) -> Rejected:
    """Two characters tell as much as all: what comes in thousands is described once."""
    return described(beginning, 0, message)


def described(text: str, place: int, message: str) -> Rejected:
    """What is wrong at a place."""
    line, column = text.count("\n", 0, place) + 1, place - (text.rfind("\n", 0, place) + 1) + 1
    detail = f"not JSON at line {line}, column {column}: {likely_cause(text, place, message)}"
    return Rejected("codec", Reason.MALFORMED, None, clean(text[place : place + 1]) or None, detail)


def likely_cause(text: str, place: int, message: str) -> str:
    """A guess, from what stands where reading stopped and the parser's `message`."""
    rest = text[place : place + 200].lstrip()
    before = text[max(0, place - 200) : place].rstrip()
    if message == "Extra data" and rest.startswith("\0"):
        return "a NUL after the document; send it without the zero that ends a C string"
    if message == "Extra data" and rest[:2] not in ("//", "/*"):
        return "more follows the document; send one document a message, or a list of them"
    if message.startswith("Unterminated string"):
        return "a text that is never closed; the message was cut off or a quote is missing"
    if not rest:
        return "the text ends too early; the message was cut off or a bracket is missing"
    if rest.startswith(("//", "/*", "#")):
        return "a comment; JSON has none, send the message without comments"
    if rest.startswith("'"):
        return "a single quote; JSON puts names and texts in double quotes"
    # Python 3.13 stops at the comma, its predecessors behind it.
    if (rest[0] in "}]" and before.endswith(",")) or (rest[0] == "," and rest[1:].lstrip()[:1] in ("}", "]")):
        return "a comma before a closing bracket; remove it"
    if rest[0] < " " and text[place] != "\n":
        return "a control character inside a text; write it as an escape such as \\n or \\u0000"
    if place == 0:
        return "it does not start as JSON does; expected an object {…} or a list […]"
    if rest.startswith(("None", "True", "False", "nan", "inf")):
        return "a word of another language; JSON has null, true and false"
    return "a comma, colon, quote or bracket is missing or too many"
