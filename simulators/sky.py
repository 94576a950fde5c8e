"""The weather over the province: fields of place and time, the same for every city, whatever its seed.

Every field is value noise (Perlin 1985, simplified): hashed nodes in space and time with smooth ways between them, so
that neighbours have nearly the same weather and strangers do not. The climate is that of the northern edge of the Red
River delta, rounded: hot and wet from May to September, cool and dry in winter. Places are km east and north of Bắc
Giang city, moments seconds since 1970, local time is UTC+7.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators import draw
from simulators.behaviour_days import DAYS, Clock, clock, of_season
from simulators.draw import Floats, salt

UNIT = 3.0**0.5 / 2.0**63
"""From a signed 64-bit word to a number of mean 0 and deviation 1."""
_X, _Y, _T = (np.uint64(salt("lattice", axis) | 1) for axis in "xyt")

MEAN_HEAT, MEAN_HUMIDITY, MEAN_PRESSURE = 24.0, 0.8, 1008.0
# January to December.
HEAT = of_season([16.5, 17.8, 20.6, 24.4, 27.6, 29.2, 29.4, 28.8, 27.6, 25.0, 21.4, 18.0])
HUMIDITY = of_season([0.76, 0.80, 0.84, 0.85, 0.82, 0.81, 0.82, 0.84, 0.81, 0.78, 0.75, 0.73])
PRESSURE = of_season([1017, 1015, 1012, 1009, 1005, 1002, 1001, 1002, 1006, 1011, 1015, 1017])
RAIN_MM_PER_DAY = of_season([0.8, 1.0, 1.6, 3.5, 6.3, 8.2, 8.6, 8.8, 5.8, 3.2, 1.3, 0.6])
DUST = of_season([1.65, 1.4, 1.2, 0.95, 0.72, 0.6, 0.55, 0.6, 0.78, 1.05, 1.35, 1.6])
WIND_FROM = of_season([45, 55, 80, 110, 130, 140, 140, 135, 90, 50, 40, 40])
CHANGEABLE = of_season([3.2, 3.2, 2.8, 2.2, 1.6, 1.3, 1.2, 1.2, 1.5, 1.9, 2.5, 3.0])
"""Deviation of a day's temperature from the season's, Cel: cold surges come in winter."""
SUMMER = of_season([0.0, 0.0, 0.1, 0.4, 0.8, 1.0, 1.0, 1.0, 0.8, 0.4, 0.1, 0.0])

SPELL_KM, SPELL_S = 160.0, 20 * 3600.0
CELL_KM, CELL_S = 28.0, 2.5 * 3600.0
DRIFT_KM_PER_S = (-18.0 / 3600.0, 9.0 / 3600.0)
"""Rain cells travel to the north-west, 20 km in an hour."""
DRY_BELOW = 1.5
HOURLY = 24.0 * 0.0445
"""Scales what exceeds DRY_BELOW so that the year's rain is that of RAIN_MM_PER_DAY; the mean of the excess, counted."""
UPSTREAM_KM = (12.0, 12.0)
GAUGE_STEP_S, GAUGE_STEPS, GAUGE_PEAK_S = 10_800.0, 32, 64_800.0
"""A gauge feels rain most this long after it fell; rain is asked every three hours for four days."""


class Place(NamedTuple):
    """km east and north of Bắc Giang city."""

    east: Floats
    north: Floats


def field(place: Place, seconds: Floats, size_km: float, life_s: float, purpose: str) -> Floats:
    """A field of mean 0 and deviation 1 that changes over about `size_km` and `life_s`."""
    cells = (place.east / size_km, place.north / size_km, seconds / life_s)
    floors = [np.floor(cell) for cell in cells]
    parts = [_smooth(cell - floor) for cell, floor in zip(cells, floors, strict=True)]
    x, y, t = (floor.astype(np.int64).astype(np.uint64) for floor in floors)
    corner = x * _X + y * _Y + t * _T + np.uint64(salt("sky", purpose))
    total = np.zeros(corner.shape)
    for east, west in ((np.uint64(0), 1.0 - parts[0]), (_X, parts[0])):
        for north, south in ((np.uint64(0), west * (1.0 - parts[1])), (_Y, west * parts[1])):
            for later, weight in ((np.uint64(0), south * (1.0 - parts[2])), (_T, south * parts[2])):
                total += weight * draw.finish(corner + east + north + later).view(np.int64)
    across, along, passed = (part * part + (1.0 - part) * (1.0 - part) for part in parts)
    return np.asarray(total * UNIT / np.sqrt(across * along * passed), dtype=np.float64)


def heat(place: Place, seconds: Floats, now: Clock) -> Floats:
    """Air temperature, Cel."""
    weather = CHANGEABLE.at(now) * field(place, seconds, 110.0, 2.5 * 86_400.0, "heat")
    return HEAT.at(now) + weather + 3.6 * _wave(now, 14.2)


def humidity(place: Place, seconds: Floats, now: Clock, air: Floats) -> Floats:
    """Relative humidity, 0.2 to 1, at an air temperature in Cel: the warmer of one day, the drier."""
    moist = 0.05 * field(place, seconds, 110.0, 1.5 * 86_400.0, "moist")
    return np.clip(HUMIDITY.at(now) + moist - 0.032 * (air - HEAT.at(now)), 0.2, 1.0)


def pressure(place: Place, seconds: Floats, now: Clock) -> Floats:
    """Air pressure, hPa: high when it is cold, with the tide of the air at 10 and 22 h."""
    weather = -0.8 * CHANGEABLE.at(now) * field(place, seconds, 110.0, 2.5 * 86_400.0, "heat")
    return PRESSURE.at(now) + weather + 1.1 * np.cos((now.hour - 10.0) * (2.0 * np.pi / 12.0))


def wind(place: Place, seconds: Floats, now: Clock) -> Floats:
    """Wind, m/s: calm at night, fresh in the afternoon."""
    return np.maximum(2.1 + 0.8 * _wave(now, 14.5) + 0.8 * field(place, seconds, 90.0, 8 * 3600.0, "wind"), 0.2)


def wind_from(place: Place, seconds: Floats, now: Clock) -> Floats:
    """Where the wind comes from, deg: north-east in winter, south-east in summer."""
    return np.mod(WIND_FROM.at(now) + 25.0 * field(place, seconds, 90.0, 8 * 3600.0, "wind from"), 360.0)


def cloud(place: Place, seconds: Floats) -> Floats:
    """Cover of the sky, 0 to 1: where it may rain there are clouds."""
    return np.clip(0.5 + 0.35 * field(place, seconds, SPELL_KM, SPELL_S, "spell"), 0.0, 1.0)


def sun(place: Place, seconds: Floats, now: Clock) -> Floats:
    """Sunshine on level ground, kW/m2."""
    return DAYS.height(now) * (1.0 - 0.65 * cloud(place, seconds))


def rain(place: Place, seconds: Floats, now: Clock | None = None) -> Floats:
    """Rain, mm/h: cells that travel through wet spells; in summer most of it in the late afternoon."""
    then = clock(seconds) if now is None else now
    moved = Place(place.east - DRIFT_KM_PER_S[0] * seconds, place.north - DRIFT_KM_PER_S[1] * seconds)
    wet = 0.9 * field(place, seconds, SPELL_KM, SPELL_S, "spell") + 0.7 * field(moved, seconds, CELL_KM, CELL_S, "cell")
    excess = np.maximum(wet + 0.35 * SUMMER.at(then) * _wave(then, 17.0) - DRY_BELOW, 0.0)
    return excess**1.5 * RAIN_MM_PER_DAY.at(then) / HOURLY


def rain_of_day(place: Place, seconds: Floats, now: Clock) -> Floats:
    """Rain since local midnight, mm: the integral of `rain`, taken as straight between quarters of an hour."""
    quarters = np.arange(97)[:, np.newaxis] * 0.25
    moments: Floats = seconds + (quarters - now.hour) * 3600.0
    rates = rain(Place(place.east[np.newaxis], place.north[np.newaxis]), moments)
    part = np.clip((now.hour - quarters[:-1]) / 0.25, 0.0, 1.0)
    fallen = 0.25 * (rates[:-1] * part + (rates[1:] - rates[:-1]) * part * part / 2.0)
    return np.asarray(fallen.sum(axis=0), dtype=np.float64)


def wet(place: Place, seconds: Floats) -> Floats:
    """Rain upstream as it passes a gauge, mm: it comes up within a day and drains within three."""
    first: Floats = np.floor(seconds / GAUGE_STEP_S)
    back = np.arange(GAUGE_STEPS)[:, np.newaxis]
    moments = np.asarray((first - back) * GAUGE_STEP_S, dtype=np.float64)
    above = Place((place.east + UPSTREAM_KM[0])[np.newaxis], (place.north + UPSTREAM_KM[1])[np.newaxis])
    age = (seconds - moments) / GAUGE_PEAK_S
    passing = rain(above, moments) * (GAUGE_STEP_S / 3600.0) * age * np.exp(1.0 - age)
    return np.asarray(passing.sum(axis=0), dtype=np.float64)


def dust(place: Place, seconds: Floats, now: Clock) -> Floats:
    """Particles as a share of the year's mean: much in still winter nights, little after rain and in summer."""
    spread = 1.0 + 0.3 * field(place, seconds, 70.0, 40 * 3600.0, "dust")
    return DUST.at(now) * np.maximum(spread, 0.25) * (1.0 + 0.22 * _wave(now, 4.0) - 0.08 * _wave(now, 14.0))


def _smooth(part: NDArray[np.float64]) -> Floats:
    return part * part * (3.0 - 2.0 * part)


def _wave(now: Clock, peak: float) -> Floats:
    return np.asarray(np.cos((now.hour - peak) * (2.0 * np.pi / 24.0)), dtype=np.float64)
