"""Numbers that came as text: how they are spelt, and what to do about it."""

import re
from collections.abc import Callable

LONGEST_NUMBER = 40
NO_VALUE = frozenset(
    ("", "-", "--", "nan", "null", "none", "nil", "n/a", "na", "err", "error", "fault", "unknown", "unavailable")
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WITH_UNIT = re.compile(r"([+-]?[0-9.,]+)\s*([^\d\s.,]\S{0,9})", re.ASCII)


def number_as_text(text: str, low: float, high: float) -> str:
    """What a text is that stands for a number from `low` to `high`: only a legal number is called one."""
    text = text.strip()
    if text.lower() in NO_VALUE:
        return "a word for no value; leave the metric out or send null"
    for read, what in SPELLINGS:
        number = read(text) if len(text) <= LONGEST_NUMBER else None
        if number is not None and low <= number <= high:
            return what
    return "text"


def number_and_unit(text: str) -> tuple[float, str | None] | None:
    """The number that a text spells and the unit behind it: `22,5 °C`."""
    text = text.strip()
    if len(text) > LONGEST_NUMBER:
        return None
    number = plain(text) if "," not in text else with_comma(text)
    if number is not None:
        return number, None
    match = _WITH_UNIT.fullmatch(text)
    number = with_unit(text)
    return (number, match[2]) if match and number is not None else None


def plain(text: str) -> float | None:
    """In digits alone, with a point."""
    return float(text) if _NUMBER.fullmatch(text) else None


def with_comma(text: str) -> float | None:
    """With a decimal comma: 22,5."""
    return plain(text.replace(",", ".", 1)) if "," in text else None


def with_thousands(text: str) -> float | None:
    """With marks between the thousands: 1,013.2."""
    return plain(re.sub("[,' ]", "", text))


def with_unit(text: str) -> float | None:
    """In front of a unit: 22.5 °C, 45%."""
    match = _WITH_UNIT.fullmatch(text)
    return plain(match[1].replace(",", ".", 1)) if match else None


def hexadecimal(text: str) -> float | None:
    """As 0x…."""
    return float(int(text, 16)) if re.fullmatch("0[xX][0-9a-fA-F]{1,16}", text) else None


SPELLINGS: tuple[tuple[Callable[[str], float | None], str], ...] = (
    (plain, "a number as text; send it without quotes"),
    (with_comma, "a number as text with a decimal comma; send it without quotes and with a point"),
    (with_thousands, "a number as text with marks between its thousands; send it without them and without quotes"),
    (hexadecimal, "a hexadecimal number as text; send it as a decimal number, without quotes"),
    (with_unit, "a number with its unit, as text; send the number alone, without quotes"),
)
