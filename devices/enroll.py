"""Rows of an enrolment file, each checked by itself: a device to enrol, or every mistake with its line and column."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from devices.enroll_cells import DEVICE_ID as DEVICE_ID
from devices.enroll_cells import LONGEST, Cells
from devices.enroll_cells import Mistake as Mistake
from devices.enroll_place import place_of
from devices.enroll_read import Piece, Record, Unreadable, pieces, records_of
from devices.enroll_said import suggestion_of_area, suggestion_of_profile

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


class Judged(NamedTuple):
    """A line of the file: a row, or None and why not. A warning holds nothing up."""

    line: int
    device: str
    row: Row | None
    mistakes: list[Mistake]
    warnings: list[Mistake]


class Terms(NamedTuple):
    """What the registry knows: profiles with their routes, and codes of the zones."""

    profiles: Profiles
    areas: Collection[str]


def judged_rows(file: BinaryIO, terms: Terms) -> Iterator[Judged]:
    """Every line of a file, in one pass and in little memory; a file without devices is a mistake."""
    nothing = True
    for piece in pieces(file):
        for judged in judged_in(piece, terms):
            nothing = False
            yield judged
    if nothing:
        yield NOTHING


NOTHING = Judged(1, "", None, [Mistake(1, "", "", "the file has a head and no devices")], [])


def judged_in(piece: Piece | list[Record], terms: Terms) -> Iterator[Judged]:
    """Every line of a piece of a file."""
    for line, cells in records_of(piece):
        if isinstance(cells, Unreadable):
            mistake = Mistake(line, cells.column, cells.value, cells.detail)
            yield Judged(line, "", None, [mistake], [])
        else:
            yield judge(line, cells, terms)


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
        device,
        profile,
        place.area,
        said.text("name"),
        place.lat,
        place.lon,
        route if names else None,
        names[0] if names else None,
        names[1:],
        said.text("owner"),
        said.installed(),
        said.text("serial"),
        said.text("firmware"),
        said.tags(),
        eui,
        said.state(),
        given,
    )
    warnings = [Mistake(line, *warning) for warning in place.warnings]
    return Judged(line, device, None if said.mistakes else row, said.mistakes, warnings)


@lru_cache(1024)
def given_in(columns: tuple[str, ...]) -> Given:
    """Columns of the file, of those that a device takes over."""
    return frozenset(columns).intersection(("name", "lat", "lon", *LONGEST, "installed", "eui"))
