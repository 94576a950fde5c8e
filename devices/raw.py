"""Values as devices send them: shown to people, kept in jsonb, read as numbers. Only `TooDeep` is ever raised."""

import re
from collections.abc import Mapping
from itertools import islice
from math import inf, isfinite, isinf, isnan

from cbor2 import CBORTag

MAX_DEPTH = 32
LONGEST_SHOWN = 200
WIDEST_INTEGER_BITS = 4096
DECIMAL_FRACTION = 4
_SURROGATE = re.compile("[\ud800-\udfff]")


class TooDeep(Exception):
    """Lists or objects are nested more than MAX_DEPTH levels."""


class NotFinite(float):
    """A number that JSON text spelt and a float cannot hold; `spelling` is how it was written (NaN, 1e400)."""

    spelling: str

    def __new__(cls, spelling: str) -> "NotFinite":
        sign = -inf if spelling.startswith("-") else inf
        number = super().__new__(cls, "nan" if spelling == "NaN" else sign)
        number.spelling = spelling
        return number


def storable(value: object, depth: int = 0) -> object:
    """The value in the shapes that jsonb takes: NaN as text, bytes as hex text, NUL and lone surrogates made visible.

    Raises TooDeep.
    """
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else spell_integer(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else spell_float(value)
    if depth >= MAX_DEPTH:
        raise TooDeep
    if isinstance(value, Mapping):
        return {clean(str(key)): storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, CBORTag):
        return {"tag": value.tag, "value": storable(value.value, depth + 1)}
    return value.hex() if isinstance(value, bytes) else clean(str(value))


def clean(text: str) -> str:
    """The text with NUL as ␀ and each lone surrogate as �."""
    if "\0" in text:
        text = text.replace("\0", "␀")
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def spell_integer(value: int) -> str:
    """An integer as text; one too long to be worth writing out as its size (writing it out takes quadratic time)."""
    bits = value.bit_length()
    return str(value) if bits <= WIDEST_INTEGER_BITS else f"integer of {bits} bits"


def spell_float(value: float) -> str:
    """A float as JSON writers spell it; one from a text as that text did."""
    if isinstance(value, NotFinite):
        return value.spelling
    if isnan(value):
        return "NaN"
    return repr(value) if not isinf(value) else "Infinity" if value > 0 else "-Infinity"


def shown(value: object, depth: int = 0) -> str:
    """The value for a person, at most 200 characters; lists and objects by their first items only."""
    return _shown(value, depth)[:LONGEST_SHOWN]


def _shown(value: object, depth: int) -> str:
    if isinstance(value, str):
        return clean(value[: LONGEST_SHOWN + 1]) if depth == 0 else f'"{clean(value[:LONGEST_SHOWN])}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return spell_integer(value)
    if isinstance(value, float):
        return spell_float(value)
    if isinstance(value, bytes):
        return value[:LONGEST_SHOWN].hex()
    return _shown_many(value, depth + 1)


def _shown_many(value: object, depth: int) -> str:
    if depth > 3:
        return "…"
    if isinstance(value, Mapping):
        pairs = (f'"{clean(str(key)[:80])}": {shown(item, depth)}' for key, item in islice(value.items(), 8))
        return "{" + ", ".join(pairs) + ("}" if len(value) <= 8 else ", …}")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item, depth) for item in value[:8]) + ("]" if len(value) <= 8 else ", …]")
    if isinstance(value, CBORTag):
        return f"tag {value.tag} of {shown(value.value, depth)}"
    return clean(str(value)[:LONGEST_SHOWN])


def as_number(value: object) -> float | None:
    """The float that a number means, infinite when it is too large for one; None when it is no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        return float(value) if value.bit_length() < 1024 else inf if value > 0 else -inf
    if isinstance(value, CBORTag) and value.tag == DECIMAL_FRACTION:
        return decimal_fraction(value.value)
    return None


def decimal_fraction(pair: object) -> float | None:
    """The float that a CBOR decimal fraction [exponent, mantissa] means; converted as text, never by powers of ten."""
    if not (isinstance(pair, list | tuple) and len(pair) == 2):
        return None
    exponent, mantissa = pair
    if type(exponent) is not int or type(mantissa) is not int or mantissa.bit_length() > WIDEST_INTEGER_BITS:
        return None
    return float(f"{mantissa}e{max(-9999, min(9999, exponent))}")
