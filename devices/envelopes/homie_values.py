"""Homie's payloads (convention, Payload): text → the value of the declared type, or why it is none."""

import re
from typing import Any

from devices.codecs.json_text import decode_json
from devices.envelopes.homie_memory import Said
from devices.raw import shown
from devices.rejected import Reason, Rejected

INTEGER = re.compile(r"-?\d{1,19}")
FLOAT = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?")
TRUTH = {"true": True, "false": False}
NUMBERS = frozenset(("integer", "float", "percent"))


def typed(payload: bytes, said: Said | None) -> Any:
    """The value of a payload under what is known of its property; Rejected when it is none of that type."""
    try:
        text = payload.decode("utf-8").rstrip("\r\n")  # a line's end, which command-line tools leave
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} is not UTF-8; Homie sends every value as UTF-8 text"
        return Rejected("envelope", Reason.INVALID_UTF8, None, f"0x{payload[error.start]:02x}", detail)
    datatype = said.datatype if said else ""
    if datatype in NUMBERS:
        return number(text, datatype)
    if datatype == "boolean":
        return TRUTH[text] if text in TRUTH else wrong(text, "true or false, in small letters")
    if datatype == "json":
        return decode_json(payload)
    return text if datatype else guessed(text)


def guessed(text: str) -> Any:
    """The value of a property that was not described: a truth value or a number where the text spells one."""
    if text in TRUTH:
        return TRUTH[text]
    value = number(text, "float")
    if isinstance(value, Rejected):
        return text
    return int(text) if INTEGER.fullmatch(text) else value


def number(text: str, datatype: str) -> int | float | Rejected:
    """A number as Homie writes it; no spaces, no comma, no NaN."""
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text)
    hint = "; perhaps a decimal comma" if FLOAT.fullmatch(text.replace(",", ".", 1)) else ""
    hint = "; perhaps spaces around it" if FLOAT.fullmatch(text.strip()) else hint
    return wrong(text, f"a number such as -3.5 ({datatype}){hint}")


def wrong(text: str, expected: str) -> Rejected:
    """A text that is no value of the declared type."""
    return Rejected("envelope", Reason.WRONG_TYPE, None, shown(text), f"expected {expected}")
