"""Rows of an enrolment file, each checked by itself: a device to enrol, or every mistake with its line and column."""

import io
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import BinaryIO, NamedTuple
from unicodedata import is_normalized, normalize

from devices.enroll_place import place_of
from devices.enroll_read import Unreadable, records
from devices.enroll_said import suggestion_of_area, suggestion_of_profile
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

Profiles = Mapping[str, str | None]  # profile → the foreign route its messages come by, None for our own topic
Given = frozenset[str]


class Row(NamedTuple):
    """One device to enrol. `route`, `foreign_id`, `further`: what a foreign system calls it, or None.

    `given`: what a device that is there already takes over; the rest of it stays. `state`: planned or enrolled.
    """

    device: str
    profile: str
    area: str
    name: str | None = None
    lat: float | None = None
    lon: float | None = None
    route: str | None = None
    foreign_id: str | None = None
    further: tuple[str, ...] = ()
    owner: str | None = None
    installed: date | None = None
    serial: str | None = None
    firmware: str | None = None
    tags: str | None = None
    eui: str | None = None
    state: str = "enrolled"
    given: Given = frozenset(("name", "lat", "lon"))


class Mistake(NamedTuple):
    """One thing wrong in the file. `line` counts from 1, the head included."""

    line: int
    column: str
    value: str
    detail: str


class Judged(NamedTuple):
    """A line of the file: a row, or None and why not. A warning holds nothing up."""

    line: int
    device: str
    row: Row | None
    mistakes: list[Mistake]
    warnings: list[Mistake]


class Checked(NamedTuple):
    """All rows of a file, and all mistakes; rows may be enrolled only when there are none."""

    rows: list[Row]
    mistakes: list[Mistake]


class Terms(NamedTuple):
    """What the registry knows: profiles with their routes, and codes of the zones."""

    profiles: Profiles
    areas: Collection[str]


def check_file(content: bytes, profiles: Profiles, areas: Collection[str]) -> Checked:
    """All rows and mistakes of a file that fits into memory; what stands in it twice is a mistake."""
    rows: list[Row] = []
    mistakes: list[Mistake] = []
    first: dict[str, int] = {}
    for line, device, row, found, _ in judged_rows(io.BytesIO(content), Terms(profiles, areas)):
        said = [
            (column, value)
            for column, value in unique_in(device, row)
            if first.setdefault(f"{column} {value}", line) != line
        ]
        again = [Mistake(line, column, value, again_on(first[f"{column} {value}"])) for column, value in said]
        mistakes += found + again
        if row and not again:
            rows.append(row)
    return Checked(rows, mistakes)


def unique_in(device: str, row: Row | None) -> Iterator[tuple[str, str]]:
    """Columns and values of a row that no second row may have."""
    if device:
        yield "device", device
    if row and row.foreign_id:
        for name in (row.foreign_id, *row.further):
            yield "alias", f"{row.route}:{name}"
    if row and row.eui and row.route != "lorawan":
        yield "eui", row.eui


def again_on(line: int) -> str:
    """What is said of something that must not stand in the file twice."""
    return f"stands on line {line} already"


def judged_rows(file: BinaryIO, terms: Terms) -> Iterator[Judged]:
    """Every line of a file, in one pass and in little memory; a file without devices is a mistake."""
    nothing = True
    for line, cells in records(file):
        nothing = False
        if isinstance(cells, Unreadable):
            mistake = Mistake(line, cells.column, cells.value, cells.detail)
            yield Judged(line, "", None, [mistake], [])
        else:
            yield judge(line, cells, terms)
    if nothing:
        yield Judged(1, "", None, [Mistake(1, "", "", "the file has a head and no devices")], [])


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


def judge(line: int, cells: dict[str, str], terms: Terms) -> Judged:
    """One row from its cells."""
    said = Cells(line, cells)
    device, profile, area = said.device(), cells.get("profile", ""), cells.get("area", "")
    route = terms.profiles.get(profile)
    if profile not in terms.profiles:
        said.wrong("profile", profile, suggestion_of_profile(profile, tuple(sorted(terms.profiles))))
    if area and area not in terms.areas:
        said.wrong("area", area, suggestion_of_area(area, tuple(sorted(terms.areas))))
    place = place_of(area, cells.get("lat", ""), cells.get("lon", ""), terms.areas)
    for mistake in place.mistakes:
        said.wrong(*mistake)
    names, eui, given = said.names(profile, route), said.eui(), given_in(tuple(cells))
    if route == "lorawan":
        if eui and names and eui not in names:
            said.wrong("eui", eui, f"the alias names another EUI, {names[0]}")
        eui = eui or (names[0] if names else None)
        names, given = names or ((eui,) if eui else ()), given | {"eui"} if eui else given
    row = Row(
        device=device,
        profile=profile,
        area=place.area,
        name=said.text("name"),
        lat=place.lat,
        lon=place.lon,
        route=route if names else None,
        foreign_id=names[0] if names else None,
        further=tuple(names[1:]),
        owner=said.text("owner"),
        installed=said.installed(),
        serial=said.text("serial"),
        firmware=said.text("firmware"),
        tags=said.tags(),
        eui=eui,
        state=said.state(),
        given=given,
    )
    warnings = [Mistake(line, *warning) for warning in place.warnings]
    return Judged(line, device, None if said.mistakes else row, said.mistakes, warnings)


@lru_cache(1024)
def given_in(columns: tuple[str, ...]) -> Given:
    """Columns of the file, of those that a device takes over."""
    return frozenset(columns).intersection(("name", "lat", "lon", *LONGEST, "installed", "eui"))


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
