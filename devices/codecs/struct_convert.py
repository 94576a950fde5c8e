"""From the raw value of the struct codec to the one that is given out: bits, missing values, scale, words."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from devices.codecs.struct_formula import NO_VALUE
from devices.codecs.struct_scan import Place
from devices.codecs.struct_types import Type

ELSE = "*"
_MISSING = object()

Finish = Callable[[Any, dict[str, Any]], object]
"""Raw value and names so far → the value, or None where there is none."""


def finisher(entry: dict[str, Any], kind: Type, place: Place) -> Finish | None:
    """Bits, then what means no value, then scale and offset or a formula, then words. None when nothing is to do."""
    cut, change, words = bit_field(entry, kind, place), conversion(entry, place), mapping(entry, place)
    nothing = entry.get("missing", [])
    nulls = frozenset(nothing if isinstance(nothing, list) else [nothing])
    if not cut and not nulls and not words:
        return change

    def finish(raw: Any, names: dict[str, Any]) -> object:
        if cut:
            raw = cut(raw)
        if raw in nulls:
            return None
        value = change(raw, names) if change else raw
        return words(value) if words else value

    return finish


def bit_field(entry: dict[str, Any], kind: Type, place: Place) -> Callable[[int], Any] | None:
    """`bit: n` → true or false, `bits: [low, high]` → their number; bit 0 is the lowest."""
    if "bit" not in entry and "bits" not in entry:
        if "signed" in entry:
            raise place.below("signed").bad("only bits can be signed here; else write the type as i8, i16, …")
        return None
    single = "bit" in entry
    bits = [entry["bit"], entry["bit"]] if single else entry["bits"]
    if not (isinstance(bits, list) and len(bits) == 2 and all(type(bit) is int for bit in bits)):
        raise place.bad(f"bits is {bits!r}; expected [lowest, highest]")
    low, high = bits
    if not 0 <= low <= high < kind.bits:
        whole = f"0 to {kind.bits - 1}, the lower first" if kind.bits else "no bits; only an integer has them"
        raise place.bad(f"bits {low} to {high}; expected {whole}")
    mask, sign = (1 << (high - low + 1)) - 1, 1 << (high - low)
    if single:
        return lambda raw: bool(raw >> low & 1)
    if entry.get("signed", False):
        return lambda raw: ((raw >> low & mask) ^ sign) - sign
    return lambda raw: raw >> low & mask


def conversion(entry: dict[str, Any], place: Place) -> Finish | None:
    """`raw * scale + offset`, rounded once; or a formula of `x`."""
    if "formula" in entry:
        if "scale" in entry or "offset" in entry:
            raise place.bad("a formula goes without scale and offset")
        evaluate = place.below("formula").formula(entry["formula"], "x")

        def calculate(raw: Any, names: dict[str, Any]) -> object:
            try:
                return evaluate({**names, "x": raw})
            except NO_VALUE:
                return None

        return calculate
    scale, offset = fraction(entry, "scale", place, 1), fraction(entry, "offset", place, 0)
    if scale == 1 and offset == 0:
        return None
    divisor = scale.denominator * offset.denominator
    factor, added = int(scale * divisor), int(offset * divisor)

    def scaled(raw: Any, names: dict[str, Any]) -> object:
        if type(raw) is not int:
            return raw * factor / divisor + added / divisor if isinstance(raw, float) else raw
        return raw * factor + added if divisor == 1 else (raw * factor + added) / divisor

    return scaled


def fraction(entry: dict[str, Any], key: str, place: Place, otherwise: int) -> Fraction:
    """A number of the YAML as the fraction that its digits say, so that 282 × 0.1 is 28.2."""
    number = entry.get(key, otherwise)
    try:
        if isinstance(number, bool):
            raise ValueError
        return Fraction(str(number))
    except (ValueError, ZeroDivisionError):
        raise place.below(key).bad(f"{number!r}; expected a number such as 0.01 or 1/16") from None


def mapping(entry: dict[str, Any], place: Place) -> Callable[[Any], object] | None:
    """Numbers → words; `*` for every other number, without it they stay numbers."""
    if "map" not in entry:
        return None
    words = entry["map"]
    if not isinstance(words, dict) or not words:
        raise place.below("map").bad("expected numbers with their words, such as {0: closed, 1: open}")
    get, otherwise = words.get, words.get(ELSE, _MISSING)
    return lambda value: get(value, value if otherwise is _MISSING else otherwise)
