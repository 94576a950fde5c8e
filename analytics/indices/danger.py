"""The five levels of fire danger: numerals, names in both languages, colours, from the table `fire_level_names`."""

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from analytics import tables

NUMERALS = ("I", "II", "III", "IV", "V")


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One level. `colour`: as web pages write it."""

    level: str
    vi: str
    en: str
    colour: Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")]


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of a table `fire_level_names`: I to V in order."""

    levels: Annotated[list[Name], Meta(min_length=5, max_length=5)]

    def __post_init__(self) -> None:
        if [one.level for one in self.levels] != list(NUMERALS):
            raise ValueError(f"levels must be {', '.join(NUMERALS)} in order")


def names_on(on: date) -> list[Name]:
    """Names of the levels I to V. Raises TableRefused."""
    return tables.load("fire_level_names", tables.ANY, on, Names).held.levels
