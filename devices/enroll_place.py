"""Position and zone of a row of an enrolment file: each checked, and the zone found where only the position is told."""

import re
from collections.abc import Collection
from functools import lru_cache
from math import floor
from typing import NamedTuple

from devices.area_outline import all_outlines, nearest_zone, zone_at

EDGE_KM = 2.0
"""The outlines are made for maps: so far outside of all of them a position may still be meant to lie in the zone."""
SQUARES = 100
"""Squares along a degree. Most positions lie in a square that one zone has to itself, and that is remembered."""
_NUMBER = re.compile(r"[+-]?\d{1,3}(\.\d{1,20})?", re.ASCII)

Finding = tuple[str, str, str]  # column, value, what is expected


class Place(NamedTuple):
    """Zone and position in degrees. A warning holds nothing up."""

    area: str
    lat: float | None
    lon: float | None
    mistakes: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()


def place_of(area: str, lat: str, lon: str, areas: Collection[str]) -> Place:
    """What a row's three cells say; empty cells say nothing. Whether `area` is known is asked elsewhere."""
    if not lat and not lon:
        return Place(area, None, None, () if area else (("area", "", "a zone of the plan, or a position in it"),))
    if _NUMBER.fullmatch(lat) and _NUMBER.fullmatch(lon):
        north, east = float(lat), float(lon)
        zone = zone_of_square(floor(north * SQUARES), floor(east * SQUARES))
        if zone is not None and (area == zone or (not area and zone in areas)):
            return Place(zone, north, east)
        outline = all_outlines().get(area)
        if outline is not None and outline.holds(north, east):
            return Place(area, north, east)
    mistake = no_position(lat, lon)
    if mistake:
        return Place(area, None, None, (mistake,))
    return judged_place(area, float(lat), float(lon), areas)


@lru_cache(65_536)
def zone_of_square(south: int, west: int) -> str | None:
    """The zone in which all of a square lies, in hundredths of a degree; None if it is near an outline or outside."""
    middle = (south + 0.5) / SQUARES, (west + 0.5) / SQUARES
    code = zone_at(*middle)
    reach = 0.51 / SQUARES
    near = (
        all(min(edge[axis::2]) - reach <= middle[axis] <= max(edge[axis::2]) + reach for axis in (0, 1))
        for edge in (all_outlines()[code].edges if code else ())
    )
    return None if any(near) else code


def no_position(lat: str, lon: str) -> Finding | None:
    """Both coordinates or neither, in degrees; a swapped pair is told."""
    for column, text, limit in (("lat", lat, 90), ("lon", lon, 180)):
        if not text:
            return column, "", "latitude and longitude go together"
        if not _NUMBER.fullmatch(text):
            hint = ", not a comma" if "," in text else ""
            return column, text, f"a number in degrees with a decimal point{hint}, such as 21.27"
        if abs(float(text)) > limit:
            swapped = column == "lat" and _NUMBER.fullmatch(lon) and abs(float(lon)) <= 90
            return column, text, f"-{limit} to {limit} degrees" + SWAPPED * bool(swapped)
    return None


SWAPPED = "; latitude and longitude look swapped"


def judged_place(area: str, lat: float, lon: float, areas: Collection[str]) -> Place:
    """A position that is not inside of the outline of `area`, which may be empty, unknown or without an outline."""
    found, distance = zone_at(lat, lon), 0.0
    if found is None:
        found, distance = nearest_zone(lat, lon)
    value = f"{lat:g},{lon:g}"
    if distance > EDGE_KM:
        return Place(area, lat, lon, (("lat", value, outside(lat, lon, distance, found)),))
    if not area and found not in areas:
        return Place(area, lat, lon, (("area", "", f"the position lies in zone {found}, which is not known here"),))
    if area in all_outlines() and area != found:
        return Place(area, lat, lon, (), (("area", area, f"the position {value} lies in zone {found}"),))
    if distance:
        warning = ("lat", value, f"{distance:.1f} km outside of the outline of zone {found}")
        return Place(area or found, lat, lon, (), (warning,))
    return Place(area or found, lat, lon)


def outside(lat: float, lon: float, distance: float, nearest: str) -> str:
    """What is said of a position outside of the province."""
    said = f"outside of the province, {distance:,.0f} km from zone {nearest}"
    if lat == 0 == lon:
        return said + "; 0, 0 is what a receiver without a fix says: leave both empty"
    return said + (SWAPPED if zone_at(lon, lat) else "")
