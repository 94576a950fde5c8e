"""Where devices stand: in the quarters of a district's main town, in villages, in open land; all inside its outline.

Real villages are not known by position: these are drawn from the district's code, the same for every seed, so that a
map looks like a province. Only operations that IEEE 754 rounds exactly are used: positions are the same everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.area import Zone
from devices.area_outline import KM_PER_DEGREE, all_outlines
from simulators import draw
from simulators.draw import Floats, Ints, Keys, salt

QUARTERS, VILLAGES, OPEN = range(3)
"""Kinds of ground."""
PER_COMMUNE = {QUARTERS: 6.0, VILLAGES: 10.0, OPEN: 20.0}
"""Clusters of devices for each commune (quarters: for each urban one). Bắc Giang has about ten villages for each."""
RADIUS_KM = {QUARTERS: 0.5, VILLAGES: 0.7, OPEN: 1.5}
CLEAR_KM = 0.3
"""No cluster has its centre nearer to the outline; none reaches over it."""
TOWN_PEOPLE_PER_KM2 = 2500.0
TRIES, ROUNDS = 512, 64
NARROWING = 0.932
"""A degree of longitude in degrees of latitude at 21.3° north; half a percent less at the northern end of Bắc Kạn."""
_HALF, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_PIECE, _16, _48 = np.uint64(0xFFFF), np.uint64(16), np.uint64(48)


class Clusters(NamedTuple):
    """Centres in degrees, radii in km, and the running total of whole weights."""

    lat: Floats
    lon: Floats
    radius: Floats
    edges: Ints


@dataclass(frozen=True, slots=True)
class Ground:
    """The clusters of a district, by kind."""

    clusters: tuple[Clusters, Clusters, Clusters]

    def positions(self, keys: Keys, kind: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Latitude and longitude, degrees, of devices with these keys on these kinds of ground."""
        lat, lon = np.empty(len(keys), dtype=np.float32), np.empty(len(keys), dtype=np.float32)
        for number, clusters in enumerate(self.clusters):
            at = np.flatnonzero(kind == number)
            if len(at):
                lat[at], lon[at] = scattered(clusters, keys[at])
        return lat, lon


def scattered(clusters: Clusters, keys: Keys) -> tuple[Floats, Floats]:
    """Devices around the centres, densest in the middle and never further than the radius."""
    total = np.uint64(clusters.edges[-1])
    lot = ((draw.stir(keys, salt("cluster")) >> _32) * total) >> _32
    own = np.searchsorted(clusters.edges, lot.astype(np.int64), side="right")
    word = draw.stir(keys, salt("offset"))
    reach = clusters.radius[own] * (1.0 / (KM_PER_DEGREE * 1.4143))  # the corner of the square touches the circle
    north = ((word & _PIECE) + ((word >> _16) & _PIECE)).astype(np.float64) / 65535.0 - 1.0
    east = (((word >> _32) & _PIECE) + (word >> _48)).astype(np.float64) / 65535.0 - 1.0
    return clusters.lat[own] + north * reach, clusters.lon[own] + east * reach / NARROWING


@cache
def ground(zone: Zone, communes: int, urban: float, seat: tuple[float, float] | None) -> Ground:
    """The clusters of a district."""
    return Ground(
        (quarters(zone, communes * urban, seat), spread(zone, VILLAGES, communes), spread(zone, OPEN, communes))
    )


def spread(zone: Zone, kind: int, communes: float) -> Clusters:
    """Clusters all over a district."""
    outline = all_outlines()[zone.code]

    def candidates(keys: Keys) -> tuple[Floats, Floats]:
        north, east = halves(keys)
        lat = outline.south + north * (outline.north - outline.south)
        return lat, outline.west + east * (outline.east - outline.west)

    return clusters_of(zone, kind, round(communes * PER_COMMUNE[kind]), candidates)


def quarters(zone: Zone, communes: float, seat: tuple[float, float] | None) -> Clusters:
    """The quarters of a main town, nearer to one another in its middle."""
    lat, lon = seat or (zone.lat, zone.lon)
    people = zone.people_2019 * zone.urban_share
    reach = max(1.0, 1.5 * sqrt(people / TOWN_PEOPLE_PER_KM2 / pi)) / KM_PER_DEGREE

    def candidates(keys: Keys) -> tuple[Floats, Floats]:
        first, second = halves(keys), halves(draw.stir(keys, salt("second")))
        north, east = (one + other - 1.0 for one, other in zip(first, second, strict=True))
        return lat + north * reach, lon + east * reach / NARROWING

    return clusters_of(zone, QUARTERS, max(4, round(communes * PER_COMMUNE[QUARTERS])), candidates)


def clusters_of(zone: Zone, kind: int, wanted: int, candidates: Callable[[Keys], tuple[Floats, Floats]]) -> Clusters:
    """The first `wanted` candidates that lie well inside the zone; fewer where there is no room for as many."""
    found: list[Floats] = []
    start = np.uint64(salt("ground", zone.code, kind))
    for turn in range(ROUNDS):
        keys = draw.stir(np.full(TRIES, start), salt("try"), np.arange(TRIES) + turn * TRIES)
        lat, lon = candidates(keys)
        clear = clearance(zone.code, lat, lon)
        at = clear > CLEAR_KM
        weight = np.floor(128.0 + 384.0 * draw.uniform(keys, salt("size")))
        found.append(np.stack((lat, lon, np.minimum(clear, RADIUS_KM[kind]), weight))[:, at])
        if sum(part.shape[1] for part in found) >= wanted:
            break
    lat, lon, radius, weight = np.concatenate(found, axis=1)[:, :wanted]
    return Clusters(lat, lon, radius, np.cumsum(weight.astype(np.int64)))


def clearance(code: str, lat: Floats, lon: Floats) -> Floats:
    """How far positions inside a zone are from its outline, km; 0 for those outside."""
    side = np.array(all_outlines()[code].edges, dtype=np.float64)
    y1, x1, y2, x2 = side[:, 0], side[:, 1] * NARROWING, side[:, 2], side[:, 3] * NARROWING
    y, x = lat[:, np.newaxis], lon[:, np.newaxis] * NARROWING
    dy, dx = y2 - y1, x2 - x1
    crosses = (y1 > y) != (y2 > y)
    east = x < x1 + (y - y1) / np.where(dy == 0.0, 1.0, dy) * dx
    inside = (crosses & east).sum(axis=1) % 2 == 1
    length = dy * dy + dx * dx
    share = np.clip(((y - y1) * dy + (x - x1) * dx) / np.where(length == 0.0, 1.0, length), 0.0, 1.0)
    off_y, off_x = y - (y1 + share * dy), x - (x1 + share * dx)
    nearest = np.sqrt((off_y * off_y + off_x * off_x).min(axis=1)) * KM_PER_DEGREE
    return np.where(inside, nearest, 0.0)


def halves(keys: Keys) -> tuple[Floats, Floats]:
    """Two numbers in [0, 1) from the halves of a key."""
    return (keys >> _32).astype(np.float64) / 2.0**32, (keys & _HALF).astype(np.float64) / 2.0**32
