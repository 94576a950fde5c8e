"""The weather over the province: fields of place and time, the same for every city, whatever its seed.

Every field is value noise (Perlin 1985, simplified): hashed nodes in space and time with smooth ways between them, so
that neighbours have nearly the same weather and strangers do not. The climate is that of the northern edge of the Red
River delta, rounded: hot and wet from May to September, cool and dry in winter. Places are km east and north of Bắc
Giang city, moments seconds since 1970, local time is UTC+7.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators import draw
from simulators.behaviour_days import DAYS, Clock, clock, of_season
from simulators.behaviour_noise import blend
from simulators.draw import Floats, salt

UNIT = 3.0**0.5 / 2.0**63
"""From a signed 64-bit word to a number of mean 0 and deviation 1."""
_X, _Y, _T = (np.uint64(salt("lattice", axis) | 1) for axis in "xyt")
with np.errstate(over="ignore"):
    CORNERS = np.array([t + y + x for t in (_T * 0, _T) for y in (_Y * 0, _Y) for x in (_X * 0, _X)], dtype=np.uint64)

MEAN_HEAT, MEAN_HUMIDITY, MEAN_PRESSURE = 24.0, 0.8, 1008.0
# January to December.
HEAT = of_season([16.5, 17.8, 20.6, 24.4, 27.6, 29.2, 29.4, 28.8, 27.6, 25.0, 21.4, 18.0])
HUMIDITY = of_season([0.76, 0.80, 0.84, 0.85, 0.82, 0.81, 0.82, 0.84, 0.81, 0.78, 0.75, 0.73])
PRESSURE = of_season([1017, 1015, 1012, 1009, 1005, 1002, 1001, 1002, 1006, 1011, 1015, 1017])
RAIN_MM_PER_DAY = of_season([0.8, 1.0, 1.6, 3.5, 6.3, 8.2, 8.6, 8.8, 5.8, 3.2, 1.3, 0.6])
DUST = of_season([1.6, 1.4, 1.2, 1.0, 0.8, 0.7, 0.65, 0.7, 0.85, 1.05, 1.3, 1.55])
WIND_FROM = of_season([45, 55, 80, 110, 130, 140, 140, 135, 90, 50, 40, 40])
CHANGEABLE = of_season([3.2, 3.2, 2.8, 2.2, 1.6, 1.3, 1.2, 1.2, 1.5, 1.9, 2.5, 3.0])
"""Deviation of a day's temperature from the season's, Cel: cold surges come in winter."""
SUMMER = of_season([0.0, 0.0, 0.1, 0.4, 0.8, 1.0, 1.0, 1.0, 0.8, 0.4, 0.1, 0.0])

DRY_BELOW = 1.5
HOURLY = 24.0 * 0.0416
"""Scales what exceeds DRY_BELOW so that the year's rain is that of RAIN_MM_PER_DAY; the mean of the excess, counted."""


class Place(NamedTuple):
    """km east and north of Bắc Giang city."""

    east: Floats
    north: Floats


class Field(NamedTuple):
    """A field of mean 0 and deviation 1 that changes over about `size_km` and `life_s`, and drifts (km/h)."""

    size_km: float
    life_s: float
    eastward: float = 0.0
    northward: float = 0.0


FIELDS: Mapping[str, Field] = {
    "weather": Field(110.0, 2.5 * 86_400.0),  # how warm it is for the season
    "moist": Field(110.0, 1.5 * 86_400.0),
    "spell": Field(160.0, 20 * 3600.0),  # wet spells and dry ones
    "cell": Field(28.0, 2.5 * 3600.0, -18.0, 9.0),  # rain cells travel to the north-west
    "wind": Field(90.0, 8 * 3600.0),
    "wind_from": Field(90.0, 8 * 3600.0),
    "dust": Field(70.0, 40 * 3600.0),
}


def fields(place: Place, seconds: Floats, names: tuple[str, ...]) -> dict[str, Floats]:
    """These of FIELDS at places and moments, worked out together."""
    size, life, east, north, purpose = (column.reshape(-1, *seconds.ndim * (1,)) for column in _columns(names))
    cells = np.empty((3, len(names), *seconds.shape))
    cells[0], cells[1] = (place.east - east * seconds) / size, (place.north - north * seconds) / size
    cells[2] = seconds / life
    floors = np.floor(cells)
    x, y, t = floors.astype(np.int64).view(np.uint64)
    node = x * _X + y * _Y + t * _T + purpose
    words = draw.finish(node + CORNERS.reshape(-1, *node.ndim * (1,))).view(np.int64)
    (west, south, before), (east_of, north_of, after) = blend(_smooth(cells - floors))
    earlier, later = (_over(corners, west, east_of, south, north_of) for corners in (words[:4], words[4:]))
    return dict(zip(names, (before * earlier + after * later) * UNIT, strict=True))


@cache
def _columns(names: tuple[str, ...]) -> tuple[NDArray[Any], ...]:
    """Sizes (km), lives (s), drifts (km/s east, north) and purposes."""
    rows = [FIELDS[name] for name in names]
    drifts = [np.array([row[place] for row in rows]) / 3600.0 for place in (2, 3)]
    purposes = np.array([salt("sky", name) for name in names], dtype=np.uint64)
    return np.array([row.size_km for row in rows]), np.array([row.life_s for row in rows]), *drifts, purposes


def _over(words: NDArray[np.int64], west: Floats, east: Floats, south: Floats, north: Floats) -> Floats:
    return np.asarray((words[0] * west + words[1] * east) * south + (words[2] * west + words[3] * east) * north)


def heat(now: Clock, weather: Floats) -> Floats:
    """Air temperature, Cel."""
    return HEAT.at(now) + CHANGEABLE.at(now) * weather + 3.6 * _wave(now, 14.2)


def humidity(now: Clock, moist: Floats, air: Floats) -> Floats:
    """Relative humidity, 0.2 to 1, at an air temperature in Cel: the warmer of one day, the drier."""
    usual = HUMIDITY.at(now) + 0.05 * moist
    return np.minimum(np.maximum(usual - 0.032 * (air - HEAT.at(now)), 0.2), 1.0)


def pressure(now: Clock, weather: Floats) -> Floats:
    """Air pressure, hPa: high when it is cold, with the tide of the air at 10 and 22 h."""
    tide = 1.1 * np.cos((now.hour - 10.0) * (2.0 * np.pi / 12.0))
    return PRESSURE.at(now) - 0.8 * CHANGEABLE.at(now) * weather + tide


def wind(now: Clock, fresh: Floats) -> Floats:
    """Wind, m/s: calm at night, fresh in the afternoon."""
    return np.maximum(2.1 + 0.8 * _wave(now, 14.5) + 0.8 * fresh, 0.2)


def wind_from(now: Clock, turned: Floats) -> Floats:
    """Where the wind comes from, deg: north-east in winter, south-east in summer."""
    return np.mod(WIND_FROM.at(now) + 25.0 * turned, 360.0)


def sun(now: Clock, spell: Floats) -> Floats:
    """Sunshine on level ground, kW/m2: where it may rain there are clouds."""
    cloud = np.minimum(np.maximum(0.5 + 0.35 * spell, 0.0), 1.0)
    return DAYS.height(now) * (1.0 - 0.65 * cloud)


def rain(now: Clock, spell: Floats, cell: Floats) -> Floats:
    """Rain, mm/h: cells that travel through wet spells; in summer most of it in the late afternoon."""
    wet = 0.9 * spell + 0.7 * cell + 0.35 * SUMMER.at(now) * _wave(now, 17.0)
    return np.maximum(wet - DRY_BELOW, 0.0) ** 1.5 * RAIN_MM_PER_DAY.at(now) / HOURLY


def rain_at(place: Place, seconds: Floats) -> Floats:
    """Rain at any places and moments, mm/h."""
    return rain(clock(seconds), **fields(place, seconds, ("spell", "cell")))


def dust(now: Clock, spread: Floats, spell: Floats) -> Floats:
    """Particles as a share of the year's mean: much in still winter nights, little in summer and wet spells."""
    washed = 1.0 - 0.3 * np.minimum(np.maximum(spell - 0.5, 0.0), 1.0)
    return DUST.at(now) * np.maximum(1.0 + 0.3 * spread, 0.25) * washed * (1.0 + 0.3 * _wave(now, 4.0))


def _smooth(part: NDArray[np.float64]) -> Floats:
    return part * part * (3.0 - 2.0 * part)


def _wave(now: Clock, peak: float) -> Floats:
    return np.asarray(np.cos((now.hour - peak) * (2.0 * np.pi / 24.0)), dtype=np.float64)
