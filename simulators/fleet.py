"""The devices of a city as columns: zones × people × density × mix, seeded; the same seed gives the same bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from devices.family import FAMILIES
from devices.profile import PROFILES, Profile
from simulators import draw
from simulators.districts import District, division
from simulators.districts import districts as districts
from simulators.districts import zones_of as zones_of
from simulators.draw import Ints
from simulators.ground import OPEN, QUARTERS, VILLAGES, ground
from simulators.mix import Mix, prefix, usual_mix
from simulators.province import ZONE

if TYPE_CHECKING:
    from devices.enroll_columns import Columns

DIGITS = 6


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


def pieces(fleet: Fleet, size: int = 50_000) -> "Iterator[Columns]":
    """What the registry is told about the devices, so many at a time."""
    # Here, because a process that sends knows no database: its driver would be a quarter of the memory.
    from devices.enroll_columns import Columns

    profiles = [native_profile(family).name for family in fleet.families]
    labels = [native_profile(family).family.label["vi"] for family in fleet.families]
    places = [ZONE[code].name_vi for code in fleet.areas]
    for start in range(0, len(fleet), size):
        at = slice(start, min(start + size, len(fleet)))
        family, area = fleet.family[at].tolist(), fleet.area[at].tolist()
        told = zip(family, fleet.number[at].tolist(), area, strict=True)
        yield Columns(
            device=fleet.ids(np.arange(at.start, at.stop)),
            profile=[profiles[one] for one in family],
            area=[fleet.areas[one] for one in area],
            name=[f"{labels[kind]} {number}, {places[place]}" for kind, number, place in told],
            lat=rounded(fleet.lat[at]),
            lon=rounded(fleet.lon[at]),
        )


def rounded(degrees: NDArray[np.float32]) -> list[float]:
    """About a metre: as fine as a float of four bytes."""
    found: list[float] = np.round(degrees.astype(np.float64), 5).tolist()
    return found
