"""How many people and devices districts have, and how the devices divide into families."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from devices.area import ZONES, Zone
from simulators.draw import Ints
from simulators.facts import PlanError
from simulators.mix import Mix, apportion, shown
from simulators.province import Counted, Place, Province, own_province

MOST_COUNTED = 0.5
"""The part of a district's devices that what the documents count may take in a city of few devices."""


@dataclass(frozen=True, slots=True)
class District:
    """How many people and devices a zone has.

    `urban`: share of the people in towns. `counted`: per family the devices that documents count, whatever the density.
    `small`: of a city with fewer people than the real district, which shows every family all the same.
    """

    zone: Zone
    people: int
    devices: int
    urban: float
    place: Place
    counted: Mapping[str, Counted] = field(default_factory=dict)
    small: bool = False


def zones_of(province: str) -> tuple[Zone, ...]:
    """The zones of a province; none for an unknown one."""
    return tuple(zone for zone in ZONES if zone.province == province)


def people_of(zone: Zone, year: int) -> int:
    """People of a zone by the census of 2019 or as the plan expects them in a year."""
    return own_province(zone.province).people(zone.code, year)


def districts(
    zones: Sequence[Zone],
    density: float,
    *,
    year: int = 2030,
    people: int | None = None,
    province: Province | None = None,
) -> tuple[District, ...]:
    """People and devices of each zone at `density` devices per 100 people, and what the documents count there.

    `people`: this many altogether, divided as the zones' real people are; the devices then add up to exactly
    people × density / 100. Without it every zone has its real people and the devices that they make.
    `province`: whose districts the zones are, if not the one that the platform knows.
    """
    homes = [province or own_province(zone.province) for zone in zones]
    real = [home.people(zone.code, year) for home, zone in zip(homes, zones, strict=True)]
    living, devices = real, [round(n * density / 100) for n in real]
    if people is not None:
        shares = np.array(real, dtype=np.float64)
        living = apportion(people, shares).tolist()
        devices = apportion(round(people * density / 100), shares).tolist()
    counted = {home.province: home.counted(year) for home in homes}
    found = []
    for zone, home, here, all_here, having in zip(zones, homes, living, real, devices, strict=True):
        numbers = counted[home.province][zone.code]
        if people is not None:
            numbers = {name: scaled(number, here / all_here) for name, number in numbers.items()}
        place, urban = home.districts[zone.code], home.urban(zone.code)
        found.append(District(zone, here, having, urban, place, numbers, people is not None))
    return tuple(found)


def scaled(number: Counted, share: float) -> Counted:
    """A share of what is counted."""
    return Counted(round(number.urban * share), round(number.rural * share))


def division(district: District, families: Sequence[str], mix: Mix) -> Ints:
    """Devices of each family among people in towns and in the country, two columns adding up to the district's.

    What the documents count comes first; the mix divides the rest. Raises PlanError when it leaves no family.
    """
    tags = district.place.tags
    counted = [district.counted.get(name, (0, 0)) if mix.allows(name, tags) else (0, 0) for name in families]
    fixed = np.array(counted, dtype=np.int64).reshape(-1, 2)
    most = int(district.devices * MOST_COUNTED)
    if fixed.sum() > most:
        fixed = fixed * most // int(fixed.sum())
    in_towns, outside = fixed.sum(axis=0).tolist()
    towns = min(max(round(district.devices * district.urban), in_towns), district.devices - outside)
    counts = fixed.copy()
    shares = [mix.weights(families, tags, urban=urban) for urban in (True, False)]
    for column, rest in enumerate((towns - in_towns, district.devices - towns - outside)):
        here = shares[column] if shares[column].any() else shares[1 - column]
        if not here.any():
            raise PlanError(f"district {district.zone.code}: of {', '.join(families)} the mix leaves it none")
        counts[:, column] += apportion(rest, here)
    if district.small:
        allowed = [mix.named(name) and mix.allows(name, tags) for name in families]
        counts = shown(counts, np.array(allowed))
    return counts
