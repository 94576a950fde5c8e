"""How far each district reaches: the frames of its outline, for what a map asks of the server."""

from functools import cache
from typing import Any

from devices.area import outlines


@cache
def extents() -> list[tuple[str | float | None, ...]]:
    """(code, west, south, east, north) of every district, degrees."""
    found: list[tuple[str | float | None, ...]] = []
    for feature in outlines()["features"]:
        points = list(corners(feature["geometry"]["coordinates"]))
        lons, lats = [lon for lon, _ in points], [lat for _, lat in points]
        found.append((feature["properties"]["code"], min(lons), min(lats), max(lons), max(lats)))
    return found


def corners(nested: list[Any]) -> list[tuple[float, float]]:
    """The points of a geometry, however deep its rings lie."""
    if isinstance(nested[0], int | float):
        return [(nested[0], nested[1])]
    return [point for part in nested for point in corners(part)]
