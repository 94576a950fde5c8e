"""Widths of buckets. A bucket is named by its start; hours and minutes are those of UTC, days are local."""

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from psycopg import sql

from devices.family import Family
from devices.profile import PROFILES

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
# Viet Nam has kept UTC+7 without summer time since 1975, so a local day is 24 hours that begin at 17:00 UTC.
LOCAL_OFFSET_US = 7 * HOUR_US
ORIGIN = sql.SQL("timestamptz '2000-01-02 17:00:00+00'")
FAST_S = 30  # heartbeats below this have their minutes stored

Times = npt.NDArray[np.int64]


class Width(NamedTuple):
    """`name` as in the names of tables and views; `chunk`, `area_chunk`: intervals of the hypertables."""

    name: str
    seconds: int
    chunk: str
    area_chunk: str

    @property
    def us(self) -> int:
        """Microseconds in a bucket."""
        return self.seconds * SECOND_US

    @property
    def interval(self) -> sql.Literal:
        """The width as SQL."""
        return sql.Literal(timedelta(seconds=self.seconds))

    def floor(self, time_us: int) -> int:
        """Start of the bucket that holds a time, both in µs since 1970 UTC."""
        return (time_us + LOCAL_OFFSET_US) // self.us * self.us - LOCAL_OFFSET_US

    def floors(self, times: npt.NDArray[np.integer]) -> Times:
        """`floor` of many times."""
        return (times.astype(np.int64) + LOCAL_OFFSET_US) // self.us * self.us - LOCAL_OFFSET_US

    def start(self, time: sql.Composable) -> sql.Composable:
        """`floor` of a timestamptz as SQL."""
        return sql.SQL("time_bucket({}, {}, {})").format(self.interval, time, ORIGIN)


MINUTE = Width("1m", 60, "1 day", "1 day")
HOUR = Width("1h", 3600, "7 days", "90 days")
DAY = Width("1d", 86400, "90 days", "3650 days")
WIDTHS = {width.name: width for width in (MINUTE, HOUR, DAY)}


def stored_widths(family: Family) -> tuple[Width, ...]:
    """The widths of which a family keeps rows; minutes only where a profile sends several readings in each."""
    fast = any(p.family.name == family.name and p.interval_s < FAST_S for p in PROFILES.values())
    return (MINUTE, HOUR, DAY) if fast else (HOUR, DAY)
