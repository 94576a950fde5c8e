"""A province as facts: people, targets, what its districts are like, what its documents count; `provinces/*.yaml`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from devices.area import ZONES, Zone
from devices.area_outline import all_outlines
from devices.family import FAMILIES
from simulators.facts import PlanError, along, own_file, own_files, shaped, user_file
from simulators.mix import apportion

CENSUS = 2019
LAST_YEAR = 2100
ZONE: Mapping[str, Zone] = {zone.code: zone for zone in ZONES}

Share = Annotated[float, Meta(ge=0, le=1)]
Density = Annotated[float, Meta(gt=0, le=1000)]
Year = Annotated[int, Meta(ge=2000, le=LAST_YEAR)]
People = Annotated[int, Meta(gt=0, le=100_000_000)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a district is like. `people` of 2019 and `urban`, the share of them in towns, are those of the census
    unless given; `seat`: (lat, lon) of its main town, else the zone's centroid; `tags`: forest, river, capital, …"""

    communes: Annotated[int, Meta(ge=1, le=1000)]
    tags: tuple[str, ...] = ()
    seat: tuple[float, float] | None = None
    people: People | None = None
    urban: Share | None = None


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Devices of a family that the documents count, in a year or several (`of`), whatever the density.

    `by`: what they are divided among the districts by, those with a tag if `only` names one.
    """

    what: str
    family: str
    of: Annotated[dict[Year, Annotated[int, Meta(ge=0, le=10_000_000)]], Meta(min_length=1)]
    source: str
    by: Literal["people", "urban", "communes", "area"] = "people"
    only: str | None = None


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan wants in a year: devices per 100 people from low to high, or so many devices."""

    source: str
    density: tuple[Density, Density] | None = None
    devices: Annotated[int, Meta(gt=0)] | None = None


class Counted(NamedTuple):
    """Devices that a district has by the documents, among people in towns and in the country."""

    urban: int
    rural: int


class Province(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A province file. `growth`: people of a year per person of the census."""

    province: str
    title: dict[str, str]
    growth: Annotated[dict[Year, Annotated[float, Meta(gt=0, le=100)]], Meta(min_length=1)]
    districts: Annotated[dict[str, Place], Meta(min_length=1)]
    targets: dict[Year, Target] = {}
    counts: tuple[Count, ...] = ()

    @property
    def zones(self) -> tuple[Zone, ...]:
        """Its districts, in the order of their codes."""
        return tuple(ZONE[code] for code in sorted(self.districts))

    def people(self, code: str, year: int) -> int:
        """People of a district in a year."""
        census = self.districts[code].people or ZONE[code].people_2019
        return round(census * along(self.growth, year))

    def urban(self, code: str) -> float:
        """Share of a district's people who live in towns."""
        given = self.districts[code].urban
        return ZONE[code].urban_share if given is None else given

    def density(self, year: int) -> tuple[float, float]:
        """Devices per 100 people that the plan wants in a year, from low to high. Raises PlanError."""
        if year not in self.targets:
            known = ", ".join(map(str, sorted(self.targets))) or "none"
            raise PlanError(f"--preset {year}: {self.province} has no target for it; allowed: {known}")
        target = self.targets[year]
        if target.density is not None:
            return target.density
        one = 100 * (target.devices or 0) / sum(self.people(code, year) for code in self.districts)
        return one, one

    def counted(self, year: int) -> dict[str, dict[str, Counted]]:
        """District → family → devices that the documents count, of the whole province in a year."""
        codes = sorted(self.districts)
        found: dict[str, dict[str, Counted]] = {code: {} for code in codes}
        for count in self.counts:
            parts = apportion(round(along(count.of, year)), np.array([self._weight(code, count) for code in codes]))
            for code, number in zip(codes, parts.tolist(), strict=True):
                urban = number if count.by == "urban" else round(number * self.urban(code))
                before = found[code].get(count.family, Counted(0, 0))
                found[code][count.family] = Counted(before.urban + urban, before.rural + number - urban)
        return found

    def _weight(self, code: str, count: Count) -> float:
        place, people = self.districts[code], self.people(code, CENSUS)
        if count.only is not None and count.only not in place.tags:
            return 0.0
        weights = {"people": people, "urban": people * self.urban(code), "area": ZONE[code].area_km2}
        return float(weights.get(count.by, place.communes))


@cache
def own_province(name: str) -> Province:
    """A province of the platform's own files. Raises PlanError."""
    if name not in provinces():
        raise PlanError(
            f"--province {name}: unknown; allowed: {', '.join(provinces())}, or a province file (FILE.yaml)"
        )
    return checked(shaped(own_file(name), Province, f"province {name}"), f"province {name}")


def province_at(name: str) -> Province:
    """A province by name, or from a user's file if the name is one of a YAML file. Raises PlanError."""
    if not name.endswith((".yaml", ".yml")):
        return own_province(name)
    where = f"--province {name}"
    return checked(shaped(user_file(Path(name), "--province"), Province, where), where)


@cache
def provinces() -> tuple[str, ...]:
    """The provinces that the platform knows."""
    return tuple(name for name in own_files() if name != "mix")


def checked(one: Province, where: str) -> Province:
    """The province if what it names is known. Raises PlanError."""
    for code, place in one.districts.items():
        if code not in ZONE:
            raise PlanError(f"{where}: unknown district {code}; allowed: {', '.join(ZONE)}")
        if place.seat is not None and not all_outlines()[code].holds(*place.seat):
            raise PlanError(f"{where}: the seat {list(place.seat)} lies outside district {code}; allowed: [lat, lon]")
    for count in one.counts:
        if count.family not in FAMILIES:
            raise PlanError(f"{where}: unknown family {count.family}; allowed: {', '.join(FAMILIES)}")
        if not any(one._weight(code, count) for code in one.districts):
            raise PlanError(f"{where}: {count.what}: no district has {count.only or 'urban people'} to divide them by")
    for year, target in one.targets.items():
        if (target.density is None) == (target.devices is None):
            raise PlanError(f"{where}: target of {year}: allowed: one of density and devices")
        if target.density is not None and target.density[0] > target.density[1]:
            raise PlanError(f"{where}: target of {year}: density from low to high; it is {list(target.density)}")
    return one
