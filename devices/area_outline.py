"""In which operating zone a position lies, by the outlines of areas/zones.geojson.

Zones never change, so a position needs no date; administrative units do, and are asked for by day (`area.unit_on`).
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.area import outlines

BAND = 0.01
"""Degrees of latitude: the edges of an outline are looked up by band, so that a point meets a handful of them."""
KM_PER_DEGREE = 111.32

Edge = tuple[float, float, float, float]  # lat, lon of one end and the other


class Outline:
    """One zone's outline. Positions are in degrees, WGS 84."""

    def __init__(self, code: str, rings: list[list[tuple[float, float]]]) -> None:
        """`rings`: (lon, lat) as in GeoJSON; a hole is a ring inside another (even-odd rule)."""
        self.code = code
        self.edges = [edge for ring in rings for edge in edges_of(ring)]
        lats = [lat for edge in self.edges for lat in edge[::2]]
        lons = [lon for edge in self.edges for lon in edge[1::2]]
        self.south, self.north, self.west, self.east = min(lats), max(lats), min(lons), max(lons)
        self._bands: list[list[Edge]] = [[] for _ in range(int((self.north - self.south) / BAND) + 1)]
        for edge in self.edges:
            low, high = sorted(edge[::2])
            for band in range(int((low - self.south) / BAND), int((high - self.south) / BAND) + 1):
                self._bands[band].append(edge)

    def holds(self, lat: float, lon: float) -> bool:
        """Whether a position lies inside: a ray to the east crosses the outline an odd number of times."""
        if not (self.south <= lat <= self.north and self.west <= lon <= self.east):
            return False
        inside = False
        for from_lat, from_lon, to_lat, to_lon in self._bands[int((lat - self.south) / BAND)]:
            crosses = (from_lat > lat) != (to_lat > lat)
            if crosses and lon < from_lon + (lat - from_lat) / (to_lat - from_lat) * (to_lon - from_lon):
                inside = not inside
        return inside


class Near(NamedTuple):
    """The zone whose outline is nearest to a position, and how far it is in km."""

    code: str
    km: float


def edges_of(ring: list[tuple[float, float]]) -> Iterator[Edge]:
    """The sides of a ring, closed if it is not."""
    for (from_lon, from_lat), (to_lon, to_lat) in zip(ring, [*ring[1:], ring[0]], strict=True):
        yield from_lat, from_lon, to_lat, to_lon


@cache
def all_outlines() -> dict[str, Outline]:
    """Every zone's outline, by code."""
    found = {}
    for feature in outlines()["features"]:
        shape = feature["geometry"]
        polygons = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
        code = feature["properties"]["code"]
        found[code] = Outline(code, [ring for polygon in polygons for ring in polygon])
    return found


def zone_at(lat: float, lon: float) -> str | None:
    """The code of the zone in which a position lies, None for one outside of all of them.

    >>> zone_at(21.2731, 106.1946), zone_at(10.8, 106.6)
    ('213', None)
    """
    return next((code for code, outline in all_outlines().items() if outline.holds(lat, lon)), None)


def nearest_zone(lat: float, lon: float) -> Near:
    """The zone nearest to a position outside of all, and how far its outline is, flat: good to 1 % nearby."""
    starts, ends, first = _sides()
    scale = np.array([KM_PER_DEGREE, KM_PER_DEGREE * np.cos(np.radians(lat))])
    start, side = (starts - (lat, lon)) * scale, (ends - starts) * scale
    length = (side**2).sum(axis=1)
    share = np.clip(-(start * side).sum(axis=1) / np.where(length == 0, 1, length), 0, 1)
    squares = ((start + side * share[:, None]) ** 2).sum(axis=1)
    place = int(squares.argmin())
    return Near(list(all_outlines())[bisect_right(first, place) - 1], float(np.sqrt(squares[place])))


@cache
def _sides() -> tuple[NDArray[np.float64], NDArray[np.float64], list[int]]:
    """Starts and ends of all sides as (lat, lon), and where each zone's begin."""
    edges = [edge for outline in all_outlines().values() for edge in outline.edges]
    counts = [len(outline.edges) for outline in all_outlines().values()]
    sides = np.array(edges)
    return sides[:, :2], sides[:, 2:], [0, *np.cumsum(counts)[:-1].tolist()]
