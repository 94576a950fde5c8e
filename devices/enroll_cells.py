"""The cells of one line of an enrolment file: each taken in the form in which it is kept, or said to be wrong."""

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple
from unicodedata import is_normalized, normalize

from devices.envelopes.lorawan import normal_eui

DEVICE_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
LONGEST = {"name": 200, "owner": 200, "serial": 100, "firmware": 100, "tags": 1000}
LONGEST_TAG, MOST_TAGS, LONGEST_FOREIGN_ID, SHOWN = 40, 20, 200, 60
STATES = ("planned", "enrolled")
EUI_WANTED = "EUI, 16 hex digits"
NAME_WANTED = "name, where name is what the foreign system calls the device"
# Control characters, line ends of Unicode, marks that turn the direction of text, what stands for a broken character.
_BAD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffd\ud800-\udfff]")
_NEXT_ALIAS = re.compile(r";(?=\s*[a-z0-9_]+:)")


class Mistake(NamedTuple):
    """One thing wrong in the file. `line` counts from 1, the head included."""

    line: int
    column: str
    value: str
    detail: str


class Cells:
    """The cells of one line, none with blanks around it, and what is wrong with them. An empty cell says nothing."""

    __slots__ = ("cells", "clean", "composed", "line", "mistakes")

    def __init__(self, line: int, cells: dict[str, str]) -> None:
        self.line, self.cells = line, cells
        self.mistakes: list[Mistake] = []
        together = "".join(cells.values())  # most lines have nothing to be looked for
        self.clean = together.isprintable() and "\ufffd" not in together
        self.composed = together.isascii() or is_normalized("NFC", together)

    def wrong(self, column: str, value: str, detail: str) -> None:
        """Note a mistake; a value without end is shown in part."""
        self.mistakes.append(Mistake(self.line, column, value if len(value) <= SHOWN else value[:SHOWN] + "…", detail))

    def device(self) -> str:
        """The id, empty when it is none."""
        said = self.cells.get("device", "")
        if DEVICE_ID.fullmatch(said):
            return said
        folded = said.lower().replace("_", "-").replace(" ", "-")
        hint = f"; {folded} would do" if DEVICE_ID.fullmatch(folded) else ""
        self.wrong("device", said, f"3 to 63 of a-z, 0-9 and -, not starting with -{hint}")
        return ""

    def text(self, column: str) -> str | None:
        """A text in the composed form of its letters (NFC)."""
        said = self.cells.get(column)
        if not said:
            return None
        if not self.clean and (bad := _BAD.search(said)):
            self.wrong(column, said, f"a character that is no text, U+{ord(bad[0]):04X}, at place {bad.start() + 1}")
        elif len(said) > LONGEST[column]:
            self.wrong(column, said, f"{len(said)} characters; at most {LONGEST[column]}")
        return said if self.composed else normalize("NFC", said)

    def tags(self) -> str | None:
        """Tags, separated by ";", each once."""
        said = self.text("tags")
        if not said:
            return None
        tags = tags_in(said)
        if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
            self.wrong("tags", said, f"at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters, between them ;")
        return ";".join(tags) or None

    def installed(self) -> date | None:
        """The day of installation."""
        said = self.cells.get("installed")
        if not said:
            return None
        try:
            return day_of(said)
        except ValueError:
            self.wrong("installed", said, "a day written as 2026-01-31, from 1990 to 2099")
            return None

    def eui(self) -> str | None:
        """An EUI-64 in one notation."""
        said = self.cells.get("eui")
        eui = normal_eui(said.removeprefix("0x").removeprefix("0X")) if said else None
        if said and eui is None:
            self.wrong("eui", said, "an EUI-64: 16 hex digits")
        return eui

    def state(self) -> str:
        """With what a device begins."""
        said = self.cells.get("state") or "enrolled"
        if said not in STATES:
            self.wrong("state", said, f"{' or '.join(STATES)}; others come later: dothi devices state")
        return said

    def names(self, profile: str, route: str | None) -> tuple[str, ...]:
        """Foreign ids; each is written route:name, between several of them stands ;, and the route is the profile's."""
        said = self.cells.get("alias")
        if not said:
            return ()
        if route is None:
            self.wrong("alias", said, f"profile {profile} has its own topic and needs no alias")
            return ()
        found = []
        for alias in _NEXT_ALIAS.split(said):
            kind, colon, name = alias.strip().partition(":")
            taken = foreign_name(route, name.strip()) if colon and kind == route else None
            if taken is None:
                self.wrong("alias", alias, f"{route}:{EUI_WANTED if route == 'lorawan' else NAME_WANTED}")
            else:
                found.append(taken)
        return tuple(dict.fromkeys(found))


@lru_cache(1024)
def tags_in(said: str) -> tuple[str, ...]:
    """Tags of a cell, each once."""
    return tuple(dict.fromkeys(tag for part in said.split(";") if (tag := part.strip())))


@lru_cache(1024)
def day_of(said: str) -> date:
    """A day written as in ISO 8601. Raises ValueError."""
    day = date.fromisoformat(said)
    if not 1990 <= day.year < 2100 or len(said) != len("2026-01-31"):
        raise ValueError(said)
    return day


def foreign_name(kind: str, said: str) -> str | None:
    """A foreign id as messages of this kind of route state it: for LoRaWAN the EUI in one notation; None when it is
    none."""
    if kind == "lorawan":
        return normal_eui(said)
    return said if said and len(said) <= LONGEST_FOREIGN_ID and not _BAD.search(said) else None
