"""The calendar of the province: local time, seasons, workdays and days off, sunrise and sunset."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Floats, Ints

LOCAL_OFFSET_S = 7 * 3600
"""Asia/Ho_Chi_Minh is UTC+7 all year."""
DAY_S = 86_400.0
LATITUDE = np.radians(21.4)
NOON = 11.9
"""Hour of the highest sun at 106.5° east."""

HOLIDAYS = ("01-01", "04-30", "05-01", "09-02")
"""Days off with a fixed date."""
MONTH_MIDDLES = (np.arange(12) + 0.5) / 12.0


DATES = np.arange("2015-01-01", "2060-01-01", dtype="datetime64[D]")
NUMBER: NDArray[np.int64] = DATES.astype(np.int64)
MONTH: NDArray[np.int64] = DATES.astype("datetime64[M]").astype(np.int64) % 12 + 1
YEAR_PART: Floats = ((DATES - DATES.astype("datetime64[Y]")).astype(np.float64) + 0.5) / 365.25
WEEKDAY: NDArray[np.int64] = (NUMBER + 3) % 7
"""Monday is 0."""
OFF = (WEEKDAY == 6) | np.isin([text[5:] for text in DATES.astype(str)], HOLIDAYS)
KIND: NDArray[np.int64] = np.where(OFF, 2, np.where(WEEKDAY == 5, 1, 0))
"""0 a workday, 1 a Saturday, 2 a Sunday or holiday."""


class Clock(NamedTuple):
    """Local time: the day as a place in the tables here, and hours of the day, 0 to 24."""

    day: Ints
    hour: Floats


def clock(seconds: Floats) -> Clock:
    """Local time of moments given in seconds since 1970 (UTC); days beyond the tables count as their last ones."""
    days = (seconds + LOCAL_OFFSET_S) / DAY_S
    day = np.floor(days)
    places = np.minimum(np.maximum(day.astype(np.int64) - NUMBER[0], 0), len(DATES) - 2)
    return Clock(places, (days - day) * 24.0)


class Season:
    """A quantity over the year, straight from one midnight to the next."""

    def __init__(self, by_day: Floats) -> None:
        self._by_day = by_day

    def at(self, now: Clock) -> Floats:
        """Its value at local times."""
        before = self._by_day[now.day]
        return np.asarray(before + (self._by_day[now.day + 1] - before) * (now.hour / 24.0), dtype=np.float64)


def of_season(months: Sequence[float]) -> Season:
    """A quantity of which the middles of January to December are known."""
    return Season(np.interp(YEAR_PART, MONTH_MIDDLES, np.array(months, dtype=np.float64), period=1.0))


class Days:
    """Sunrise and sunset of every day: declination by Cooper (1969), day length by the sunset equation."""

    def __init__(self) -> None:
        declination = np.radians(23.45) * np.sin(2.0 * np.pi * (YEAR_PART + 284.0 / 365.0))
        half = np.degrees(np.arccos(-np.tan(LATITUDE) * np.tan(declination))) / 15.0
        self._rise, self._set = NOON - half, NOON + half
        self._upright = np.sin(LATITUDE) * np.sin(declination)
        self._around = np.cos(LATITUDE) * np.cos(declination)
        night = self._rise + 24.0 - self._set
        self._nights = np.concatenate(([0.0], np.cumsum(night)))[: len(DATES)]
        self.dark_share = float(night.mean()) / 24.0

    def height(self, now: Clock) -> Floats:
        """Sine of the height of the sun, 0 at night."""
        turn = np.cos((now.hour - NOON) * (2.0 * np.pi / 24.0))
        return np.asarray(np.maximum(self._upright[now.day] + self._around[now.day] * turn, 0.0), dtype=np.float64)

    def dark(self, now: Clock) -> Floats:
        """1 while the sun is down, else 0."""
        up = (now.hour >= self._rise[now.day]) & (now.hour < self._set[now.day])
        return np.where(up, 0.0, 1.0)

    def dark_hours(self, now: Clock) -> Floats:
        """Hours of darkness since the tables begin."""
        today = np.minimum(now.hour, self._rise[now.day]) + np.maximum(now.hour - self._set[now.day], 0.0)
        return np.asarray(self._nights[now.day] + today, dtype=np.float64)


DAYS = Days()
