"""VN_AQI, the Vietnamese air quality index, by the hour and by the day.

Decision 1459/QD-TCMT of 12 November 2019; breakpoints, bands and shares are the table `vn_aqi`. All concentrations are
in ug/m3, CO too. An hour is named by its start: the decision's 01:00 is the hour from 00:00 here.
"""

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from analytics.indices.nowcast import HOURS, Floats, nowcast, valid

POLLUTANTS = ("pm25", "pm10", "o3", "co", "no2", "so2")
DUST = slice(0, 2)
OZONE = POLLUTANTS.index("o3")
EIGHT = 8
DAY = 24
BEFORE = EIGHT - 1
"""Hours before a day that its 8 h means reach back to."""

Places = npt.NDArray[np.intp]


class Needs(msgspec.Struct, frozen=True):
    """What a mean needs: the share of the readings of an hour, hours of a day's 24, hours of eight."""

    hour_share: float
    day_hours: int
    eight_hours: int


class Band(msgspec.Struct, frozen=True):
    """A category: both ends of its index, names, colour as in a style sheet."""

    low: int
    high: int
    vi: str
    en: str
    colour: str


class Scale(msgspec.Struct, frozen=True):
    """The values of the table `vn_aqi`. A pollutant's corners may end before those of the index."""

    index: list[float]
    concentration: dict[str, list[float]]
    needs: Needs
    bands: list[Band]


class Index(NamedTuple):
    """Indices of n hours or days: `sub` (n, 6) by POLLUTANTS, `total` (n), both whole numbers or NaN; `dominant` (n):
    the place of the pollutant that is highest, the first of equals, -1 where there is no index."""

    sub: Floats
    total: Floats
    dominant: Places


def sub_index(scale: Scale, pollutant: str, concentration: npt.ArrayLike) -> Floats:
    """Concentrations (ug/m3) of a pollutant of the scale, ozone as o3_1h or o3_8h → its index, not rounded.

    NaN where there is no valid concentration, and for an 8 h mean of ozone beyond its last corner.
    """
    values = valid(concentration)
    corners = scale.concentration[pollutant]
    index = np.interp(values, corners, scale.index[: len(corners)])
    if len(corners) < len(scale.index):
        index = np.where(values > corners[-1], np.nan, index)
    return index


def half_up(index: npt.ArrayLike) -> Floats:
    """Rounded to whole numbers, a half upwards, after six decimals: so 0.5 that arithmetic made 0.4999999999 is one."""
    rounded: Floats = np.floor(np.round(np.asarray(index, dtype=np.float64), 6) + 0.5)
    return rounded


def overall(sub: Floats) -> Index:
    """The index from sub-indices (n, 6), rounded or not: the highest, where PM2.5 or PM10 is among them."""
    rounded = half_up(sub)
    filled = np.where(np.isnan(rounded), -1.0, rounded)
    named = ~np.isnan(rounded[:, DUST]).all(axis=1)
    total = np.where(named, filled.max(axis=1), np.nan)
    return Index(rounded, total, np.where(named, filled.argmax(axis=1), -1))


def hourly(scale: Scale, hours: npt.ArrayLike) -> Index:
    """Hourly means (n, 12, 6), the newest hour first → the index of that hour: dust by NowCast, gases by the hour."""
    means = valid(hours)
    sub = np.empty((len(means), len(POLLUTANTS)))
    for place, pollutant in enumerate(POLLUTANTS):
        values = nowcast(means[:, :HOURS, place]) if place < DUST.stop else means[:, 0, place]
        sub[:, place] = sub_index(scale, "o3_1h" if place == OZONE else pollutant, values)
    return overall(sub)


def mean_of(values: Floats, needed: int) -> Floats:
    """The mean over the last axis where at least so many values are there, else NaN."""
    there = ~np.isnan(values)
    count = there.sum(axis=-1)
    result = np.full(count.shape, np.nan)
    np.divide(np.where(there, values, 0.0).sum(axis=-1), count, out=result, where=count >= max(1, needed))
    return result


def highest(values: Floats) -> Floats:
    """The highest over the last axis, NaN where none is there."""
    found = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    return np.where(np.isfinite(found), found, np.nan)


def eight_hour_means(hours: Floats, needed: int) -> Floats:
    """Hourly values (…, 7 + 24), oldest first → the means (…, 24) of the eight hours that end with each of the 24."""
    return mean_of(np.lib.stride_tricks.sliding_window_view(hours, EIGHT, axis=-1), needed)


def daily(scale: Scale, hours: npt.ArrayLike) -> Index:
    """Hourly means (n, 7 + 24, 6) of a local day and the seven hours before it, oldest first → the index of the day.

    Dust: mean of the day; SO2, NO2, CO: the highest hour; ozone: the worse of its highest hour and its highest 8 h
    mean. A highest hour counts however few there are: what others would add can only be higher.
    """
    means = valid(hours)
    day = means[:, BEFORE:]
    sub = np.empty((len(means), len(POLLUTANTS)))
    for place, pollutant in enumerate(POLLUTANTS):
        if place < DUST.stop:
            sub[:, place] = sub_index(scale, pollutant, mean_of(day[:, :, place], scale.needs.day_hours))
        elif place != OZONE:
            sub[:, place] = sub_index(scale, pollutant, highest(day[:, :, place]))
    eight = highest(eight_hour_means(means[:, :, OZONE], scale.needs.eight_hours))
    sub[:, OZONE] = daily_ozone(scale, highest(day[:, :, OZONE]), eight)
    return overall(sub)


def daily_ozone(scale: Scale, hour: Floats, eight: Floats) -> Floats:
    """Index of ozone of a day, not rounded, from its highest hour and its highest 8 h mean (ug/m3)."""
    return np.fmax(sub_index(scale, "o3_1h", hour), sub_index(scale, "o3_8h", eight))


def band_of(bands: list[Band], index: float) -> Band | None:
    """The category of a rounded index; None for NaN."""
    return next((band for band in bands if band.low <= index <= band.high), None)
