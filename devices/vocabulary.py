"""What names of fields mean, as the world writes them: `TempC_SHT`, `pm2.5`, `Độ ẩm` → metric and unit.

Only for guesses that a person sees: what is stored is mapped by profiles alone.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from devices.documents import read_yaml

LONGEST_NAME = 80
Name = tuple[tuple[str, ...], str | None]
"""The parts of a name, and the unit that was taken off its end."""


class Meaning(NamedTuple):
    """What a word may stand for. `unit`: of a bare number, None = the metric's own; `families`: those alone, empty =
    any; `hint`: the one it speaks of rather than others; `yes` and `no`: the states that true and false mean; `bare`:
    only where the number can be volts of a battery."""

    metric: str
    unit: str | None
    families: frozenset[str]
    hint: str | None
    yes: str | None
    no: str | None
    bare: bool


class Word(NamedTuple):
    """The meanings of a field's name, the likeliest first, and the unit that the name ends in."""

    meanings: tuple[Meaning, ...]
    unit: str | None


NOTHING = Word((), None)


def fold(name: str) -> list[str]:
    """The parts of a name in lower case, without accents; dust sizes stay in one piece."""
    flat = unicodedata.normalize("NFKD", name.replace("đ", "d").replace("Đ", "D"))
    plain = "".join(letter for letter in flat if not unicodedata.combining(letter))
    plain = re.sub(r"(?i)pm[ _]?(2[._,]?5|10|1(?:[._,]0)?|4)(?!\d)", lambda m: f" pm{_digits(m[1])} ", plain)
    return [part.lower() for part in re.findall(r"pm\d+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", plain)]


def _digits(size: str) -> str:
    digits = re.sub(r"\D", "", size)
    return "1" if digits == "10" and size != "10" else digits


def _table() -> dict[str, tuple[Meaning, ...]]:
    table: dict[str, tuple[Meaning, ...]] = {}
    for entry in _FILE["fields"]:
        families = frozenset(entry.get("families", ()))
        meaning = Meaning(
            entry["metric"],
            entry.get("unit"),
            families,
            entry.get("hint"),
            entry.get("yes"),
            entry.get("no"),
            entry.get("bare", False),
        )
        for word in entry["words"]:
            key = "".join(fold(word))
            table[key] = (*table.get(key, ()), meaning)
    return table


_FILE = read_yaml("words")["fields"]
WORDS = _table()
SUFFIXES: dict[str, str] = {"".join(fold(end)): unit for unit, ends in _FILE["suffixes"].items() for end in ends}
QUALIFIERS = frozenset(_FILE["qualifiers"])
BARRED = frozenset(_FILE["barred"])


@lru_cache(4096)
def word_of(name: str) -> Word:
    """What a field's name means; `NOTHING` when the vocabulary does not know it."""
    parts = fold(name[:LONGEST_NAME])
    whole = WORDS.get("".join(parts))
    if whole:
        return Word(whole, None)
    if not parts or BARRED & {*parts}:
        return NOTHING
    seen: set[Name] = set()
    waiting: list[Name] = [(tuple(parts), None)]
    while waiting:
        rest, unit = waiting.pop(0)
        if (rest, unit) in seen or not rest:
            continue
        seen.add((rest, unit))
        found = WORDS.get("".join(rest))
        if found:
            return Word(found, unit)
        waiting += shorter(rest, unit)
    return NOTHING


def shorter(parts: tuple[str, ...], unit: str | None) -> list[Name]:
    """The name without a unit, a channel's number or a qualifier at its end, or one of these at its start."""
    ways: list[Name] = []
    if unit is None:
        for count in (3, 2, 1):
            code = SUFFIXES.get("".join(parts[-count:])) if len(parts) > count else None
            if code:
                ways.append((parts[:-count], code))
    if parts[-1].isdecimal() or parts[-1] in QUALIFIERS:
        ways.append((parts[:-1], unit))
    if parts[0].isdecimal() or parts[0] in QUALIFIERS:
        ways.append((parts[1:], unit))
    return ways
