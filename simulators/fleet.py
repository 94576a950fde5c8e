"""The devices of a city as columns: zones × people × density × mix, seeded; the same seed gives the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from devices.area import ZONES, Zone
from devices.enroll import Row
from devices.family import FAMILIES
from devices.profile import PROFILES, Profile
from simulators import draw
from simulators.draw import Ints
from simulators.ground import OPEN, QUARTERS, VILLAGES, ground
from simulators.mix import Mix, apportion, prefix, shown, usual_mix
from simulators.province import ZONE, Counted, Place, Province, own_province
from simulators.province import provinces as provinces

MOST_COUNTED = 0.5
"""The part of a district's devices that what the documents count may take in a city of few devices."""
DIGITS = 6


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


@dataclass(frozen=True, slots=True)
class Fleet:
    """Simulated devices, one array element each, ordered by area, family and number.

    `area`, `family`: index into `areas` (codes) and `families` (names). `number`: 1, 2, … inside area and family, first
    those in towns. `key`: 64 bits from seed and identity, from which all else about a device is drawn. `lat`, `lon`:
    degrees (WGS84).
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

    def ids(self, index: Ints | None = None) -> list[str]:
        """Device ids such as `aq-213-000123`, of all devices or of those at `index`."""
        at = np.arange(len(self)) if index is None else index
        return [name.decode() for name in self.names(at).tolist()]

    def names(self, at: Ints) -> NDArray[np.bytes_]:
        """Device ids of the devices at `at` as one array of bytes, all of one width, the shorter ones with NUL behind.

        `names(at).view(np.uint8).reshape(len(at), -1)` is a matrix of bytes, one row for each device.
        """
        heads = np.array(
            [[f"{prefix(name)}-{area}-" for name in self.families] for area in self.areas], dtype=np.bytes_
        )
        lengths = np.char.str_len(heads)
        number = self.number[at]
        most = int(number.max(initial=0))
        if most >= 10**DIGITS or lengths.min() != lengths.max():
            columns = (heads[self.area[at], self.family[at]].tolist(), number.tolist())
            return np.array([b"%s%06d" % pair for pair in zip(*columns, strict=True)], dtype=np.bytes_)
        width = int(lengths.max())
        matrix = np.empty((len(at), width + DIGITS), dtype=np.uint8)
        matrix[:, :width] = heads.view(np.uint8).reshape(*heads.shape, width)[self.area[at], self.family[at]]
        for place in range(width + DIGITS - 1, width - 1, -1):
            rest = number // 10
            matrix[:, place] = number - rest * 10 + ord("0")
            number = rest
        return matrix.view(f"S{width + DIGITS}").ravel()

    def count_by_family(self) -> dict[str, int]:
        """Devices of each family."""
        counts = np.bincount(self.family, minlength=len(self.families)).tolist()
        return dict(zip(self.families, counts, strict=True))

    def columns(self) -> tuple[NDArray[np.generic], ...]:
        """What there is about every device."""
        return self.area, self.family, self.number, self.key, self.lat, self.lon

    def tobytes(self) -> bytes:
        """All columns as bytes, to compare two fleets."""
        return b"".join(column.tobytes() for column in self.columns())


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

    What the documents count comes first; the mix divides the rest.
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
    for column, rest in enumerate((towns - in_towns, district.devices - towns - outside)):
        counts[:, column] += apportion(rest, mix.weights(families, tags, urban=column == 0))
    if district.small:
        allowed = [mix.named(name) and mix.allows(name, tags) for name in families]
        counts = shown(counts, np.array(allowed))
    return counts


def build(
    plan: Sequence[District], seed: int, *, families: Sequence[str] | None = None, mix: Mix | None = None
) -> Fleet:
    """The fleet of these districts, divided into families by `mix` (default: the platform's own)."""
    names, chosen = native_families() if families is None else tuple(families), mix or usual_mix()
    divided = [division(district, names, chosen) for district in plan]
    total = sum(int(counts.sum()) for counts in divided)
    fleet = Fleet(
        seed=seed,
        areas=tuple(district.zone.code for district in plan),
        families=names,
        area=np.empty(total, dtype=np.uint8),
        family=np.empty(total, dtype=np.uint8),
        number=np.empty(total, dtype=np.uint32),
        key=np.empty(total, dtype=np.uint64),
        lat=np.empty(total, dtype=np.float32),
        lon=np.empty(total, dtype=np.float32),
    )
    first = 0
    for place, (district, counts) in enumerate(zip(plan, divided, strict=True)):
        last = first + int(counts.sum())
        fleet.area[first:last] = place
        settle(fleet, slice(first, last), district, counts, chosen)
        first = last
    return fleet


def settle(fleet: Fleet, part: slice, district: District, counts: Ints, mix: Mix) -> None:
    """Fill the columns of one district's devices."""
    sizes = counts.sum(axis=1)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    number = np.arange(part.stop - part.start, dtype=np.int64) - np.repeat(starts, sizes) + 1
    groups = [draw.salt(fleet.seed, district.zone.code, name) for name in fleet.families]
    key = draw.stir(np.repeat(np.array(groups, dtype=np.uint64), sizes), draw.salt("device"), number)
    country = [OPEN if name in mix.open_land else VILLAGES for name in fleet.families]
    kinds = np.array([[QUARTERS, kind] for kind in country], dtype=np.uint8)
    place = district.place
    positions = ground(district.zone, place.communes, district.urban, place.seat)
    fleet.family[part] = np.repeat(np.arange(len(sizes)), sizes)
    fleet.number[part], fleet.key[part] = number, key
    fleet.lat[part], fleet.lon[part] = positions.positions(key, np.repeat(kinds.ravel(), counts.ravel()))


def rows(fleet: Fleet, chunk: int = 50_000) -> Iterator[Row]:
    """What the registry is told about each device, made piece by piece."""
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
            name = f"{profile.family.label['vi']} {number}, {ZONE[code].name_vi}"
            yield Row(device, profile.name, code, name, round(lat, 5), round(lon, 5))
