"""The devices of a city as columns: zones × people × density × mix, seeded; the same seed gives the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.area import ZONES, Zone, people_2030
from devices.enroll import Row
from devices.family import FAMILIES
from devices.profile import PROFILES, Profile
from simulators import draw
from simulators.mix import apportion, apportion_visibly, prefix, weights

KM_PER_DEGREE = 111.32
SPREAD = 0.4
"""Deviation of the positions around a zone's centroid, in radii of a disc of its size; outlines are not asked."""


@dataclass(frozen=True, slots=True)
class District:
    """How many people and devices a zone has."""

    zone: Zone
    people: int
    devices: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """Simulated devices, one array element each, ordered by area, family and number.

    `area`, `family`: index into `areas` (codes) and `families` (names). `number`: 1, 2, … inside area and family.
    `key`: 64 bits from seed and identity, from which all else about a device is drawn. `lat`, `lon`: degrees (WGS84).
    """

    seed: int
    areas: tuple[str, ...]
    families: tuple[str, ...]
    area: NDArray[np.uint8]
    family: NDArray[np.uint8]
    number: NDArray[np.uint32]
    key: draw.Keys
    lat: NDArray[np.float32]
    lon: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.key)

    def ids(self, index: draw.Ints | None = None) -> list[str]:
        """Device ids such as `aq-213-000123`, of all devices or of those at `index`."""
        at = np.arange(len(self)) if index is None else index
        heads = [[f"{prefix(family)}-{area}-" for family in self.families] for area in self.areas]
        columns = (self.area[at].tolist(), self.family[at].tolist(), self.number[at].tolist())
        return [f"{heads[area][family]}{number:06d}" for area, family, number in zip(*columns, strict=True)]

    def count_by_family(self) -> dict[str, int]:
        """Devices of each family."""
        counts = np.bincount(self.family, minlength=len(self.families)).tolist()
        return dict(zip(self.families, counts, strict=True))

    def tobytes(self) -> bytes:
        """All columns as bytes, to compare two fleets."""
        columns = (self.area, self.family, self.number, self.key, self.lat, self.lon)
        return b"".join(column.tobytes() for column in columns)


def native_families() -> tuple[str, ...]:
    """The families that have a native profile, in the order of the catalogue."""
    return tuple(family for family in FAMILIES if native_name(family) in PROFILES)


def native_name(family: str) -> str:
    """The name of a family's native profile."""
    return "native-" + family.replace("_", "-")


def native_profile(family: str) -> Profile:
    """The native profile of a family."""
    return PROFILES[native_name(family)]


def zones_of(province: str) -> tuple[Zone, ...]:
    """The zones of a province; none for an unknown one."""
    return tuple(zone for zone in ZONES if zone.province == province)


def provinces() -> tuple[str, ...]:
    """The provinces that have zones."""
    return tuple(sorted({zone.province for zone in ZONES}))


def people_of(zone: Zone, year: int) -> int:
    """People of a zone by the census of 2019 or as the plan expects them in 2030."""
    return zone.people_2019 if year == 2019 else people_2030(zone)


def districts(
    zones: Sequence[Zone], density: float, *, year: int = 2030, people: int | None = None
) -> tuple[District, ...]:
    """People and devices of each zone at `density` devices per 100 people.

    `people`: this many altogether, divided as the zones' real people are; the devices then add up to exactly
    people × density / 100. Without it every zone has its real people and the devices that they make.
    """
    real = [people_of(zone, year) for zone in zones]
    if people is None:
        return tuple(District(zone, n, round(n * density / 100)) for zone, n in zip(zones, real, strict=True))
    shares = np.array(real, dtype=np.float64)
    living = apportion(people, shares).tolist()
    devices = apportion(round(people * density / 100), shares).tolist()
    return tuple(District(*row) for row in zip(zones, living, devices, strict=True))


def build(
    plan: Sequence[District],
    seed: int,
    *,
    families: Sequence[str] | None = None,
    mix: Mapping[str, float] | None = None,
) -> Fleet:
    """The fleet of these districts, divided into families by `mix` (default: `simulators.mix.MIX`)."""
    names = native_families() if families is None else tuple(families)
    shares = weights(names, mix)
    counts = np.array([apportion_visibly(district.devices, shares) for district in plan], dtype=np.int64)
    area, family = (index.ravel() for index in np.indices(counts.shape))
    sizes = counts.ravel()
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    total = int(sizes.sum())
    number = np.arange(total, dtype=np.int64) - np.repeat(starts, sizes) + 1
    groups = [draw.salt(seed, district.zone.code, name) for district in plan for name in names]
    key = draw.stir(np.repeat(np.array(groups, dtype=np.uint64), sizes), draw.salt("device"), number)
    at_area = np.repeat(area, sizes).astype(np.uint8)
    lat, lon = _scatter([district.zone for district in plan], at_area, key)
    return Fleet(
        seed=seed,
        areas=tuple(district.zone.code for district in plan),
        families=names,
        area=at_area,
        family=np.repeat(family, sizes).astype(np.uint8),
        number=number.astype(np.uint32),
        key=key,
        lat=lat,
        lon=lon,
    )


def rows(fleet: Fleet, chunk: int = 50_000) -> Iterator[Row]:
    """What the registry is told about each device, made piece by piece."""
    names = {zone.code: zone.name_vi for zone in ZONES}
    profiles = [native_profile(family) for family in fleet.families]
    for start in range(0, len(fleet), chunk):
        at = np.arange(start, min(start + chunk, len(fleet)))
        columns = (
            fleet.ids(at),
            fleet.family[at].tolist(),
            fleet.area[at].tolist(),
            fleet.number[at].tolist(),
            fleet.lat[at].tolist(),
            fleet.lon[at].tolist(),
        )
        for device, family, area, number, lat, lon in zip(*columns, strict=True):
            code, profile = fleet.areas[area], profiles[family]
            name = f"{profile.family.label['vi']} {number}, {names[code]}"
            yield Row(device, profile.name, code, name, round(lat, 5), round(lon, 5))


def _scatter(
    zones: Sequence[Zone], area: NDArray[np.uint8], key: draw.Keys
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Positions around the centroids, in degrees; a degree of longitude is shorter than one of latitude."""
    centre_lat = np.array([zone.lat for zone in zones], dtype=np.float64)[area]
    centre_lon = np.array([zone.lon for zone in zones], dtype=np.float64)[area]
    spread_km = np.array([SPREAD * (zone.area_km2 / np.pi) ** 0.5 for zone in zones], dtype=np.float64)[area]
    north = draw.normal(key, draw.salt("north")) * spread_km / KM_PER_DEGREE
    east = draw.normal(key, draw.salt("east")) * spread_km / (KM_PER_DEGREE * np.cos(np.radians(centre_lat)))
    return (centre_lat + north).astype(np.float32), (centre_lon + east).astype(np.float32)
