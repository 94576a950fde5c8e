"""The air index of every air quality device: of each closed hour, of each local day, corrected as late readings come.

Formulas are in analytics/indices/vn_aqi.py and us_aqi.py. Late readings are followed device by device: an hour that was
made anew changes the indices of that device for the twelve hours that begin with it, and of its day and the next.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import psycopg

from analytics.bulletins.air_hours_of import Cube, read_hours
from analytics.bulletins.air_write import Legal, Made, legal_on, write, write_bands
from analytics.bulletins.bulletin import Every, fresh_buckets
from analytics.indices import us_aqi, vn_aqi
from analytics.indices.nowcast import HOURS
from analytics.indices.vn_aqi import BEFORE, Index
from analytics.rollup.width import DAY, HOUR, HOUR_US, LOCAL_OFFSET_US, Width

FAMILY = "air_quality"
PROVINCE = "bac-giang"
REACH = timedelta(days=31)
MOST = 8  # buckets in one call
AT_ONCE = 4  # of them in memory together
STALE = 2000  # (device, hour) pairs in one call
DEVICES = 100  # whose weeks of hours are reckoned at once
EVERY = timedelta(seconds=20)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST = """
select least(%s, coalesce(c.until - (select min(x.bucket) from rollup.air_quality_1h x), interval '0'))
from rollup.closed c
where c.family = 'air_quality' and c.width = %s
"""
TAKE_STALE = """
delete from rollup.air_stale s where s.ctid = any(array(select ctid from rollup.air_stale where for_days = %s limit %s))
returning s.device, (extract(epoch from s.bucket) * 1000000)::bigint
"""
UNTIL = """
select (extract(epoch from until) * 1000000)::bigint from rollup.bulletin where name = %s and family = %s and width = %s
"""


class AirHours:
    """Index of each closed hour."""

    name: ClassVar[str] = "air_hours"
    width: ClassVar[Width] = HOUR
    before: ClassVar[int] = HOURS - 1
    """Hours before a bucket that its index rests on."""

    def __init__(self) -> None:
        self._every = Every(EVERY)
        self._bands_of: date | None = None
        self._reach: timedelta | None = None

    def due(self, now: datetime) -> bool:
        """Three times a minute: what is closed and what was made anew."""
        return self._every.passed(now)

    def make(self, connection: psycopg.Connection, now: datetime) -> bool:
        """Some buckets that were closed, then some that late readings have changed."""
        today = local_day(round(now.timestamp() * 1e6))
        if self._bands_of != today:
            write_bands(connection, today, PROVINCE)
        fresh = fresh_buckets(connection, self.name, FAMILY, self.width, self._back(connection), MOST)
        for place in range(0, len(fresh.closed), AT_ONCE):
            some = fresh.closed[place : place + AT_ONCE]
            self._make(connection, (some[0] - EPOCH) // timedelta(microseconds=1), len(some), None)
        stale = connection.execute(TAKE_STALE, (self.width is DAY, STALE)).fetchall()
        if stale:
            self._correct(connection, np.array(stale, dtype=np.int64))
        self._bands_of = today  # when all went well
        return fresh.more or len(stale) == STALE

    def _back(self, connection: psycopg.Connection) -> timedelta:
        """How far before what is closed to begin: where the first rollup is."""
        if self._reach is None:
            row = connection.execute(FIRST, (REACH, self.width.name)).fetchone()
            self._reach = row[0] if row else REACH
        return self._reach

    def _correct(self, connection: psycopg.Connection, stale: npt.NDArray[np.int64]) -> None:
        row = connection.execute(UNTIL, (self.name, FAMILY, self.width.name)).fetchone()
        until = int(row[0]) if row else 0
        for devices in portions(np.unique(stale[:, 0])):
            bucket = stale[np.isin(stale[:, 0], devices), 1]
            first = self.width.floor(int(bucket.min()))
            last = self.width.floor(int(bucket.max()) + self.before * HOUR_US)
            count = (min(last + self.width.us, until) - first) // self.width.us
            if count > 0:
                self._make(connection, first, int(count), devices)

    def _make(self, connection: psycopg.Connection, begin: int, count: int, devices: list[int] | None) -> None:
        """`count` buckets from `begin` (µs since 1970 UTC) on, of some devices or all."""
        legal = legal_on(connection, local_day(begin + count * self.width.us - 1), PROVINCE)
        first = begin - self.before * HOUR_US
        hours = self.before + count * self.width.us // HOUR_US
        cube = read_hours(connection, first, hours, legal.scale.needs.hour_share, devices)
        if len(cube.devices):
            made = self.reckon(cube, begin, legal)
            write(connection, self.width, made, legal.source)

    def reckon(self, cube: Cube, begin: int, legal: Legal) -> Made:
        """All buckets of all devices of which anything is known."""
        twelve = np.lib.stride_tricks.sliding_window_view(cube.means, HOURS, axis=1)  # devices, hours, 6, twelve
        device, hour = np.indices(twelve.shape[:2]).reshape(2, -1)
        newest_first = np.moveaxis(twelve, 2, 3)[:, :, ::-1].reshape(-1, HOURS, len(vn_aqi.POLLUTANTS))
        vn, us = vn_aqi.hourly(legal.scale, newest_first), us_aqi.hourly(legal.gauges, newest_first)
        at = hour + self.before
        told = cube.heard[device, at] | (vn.total >= 0)
        return chosen(told, cube, device, at, begin + hour * HOUR_US, cube.share[device, at], vn, us)


class AirDays(AirHours):
    """Index of each local day."""

    name: ClassVar[str] = "air_days"
    width: ClassVar[Width] = DAY
    before: ClassVar[int] = BEFORE

    def reckon(self, cube: Cube, begin: int, legal: Legal) -> Made:
        """All days of all devices that were heard in them."""
        days = (cube.means.shape[1] - BEFORE) // vn_aqi.DAY
        device, day = np.indices((len(cube.devices), days)).reshape(2, -1)
        hours = (day * vn_aqi.DAY)[:, None] + np.arange(BEFORE + vn_aqi.DAY)
        means = cube.means[device[:, None], hours]
        vn, us = vn_aqi.daily(legal.scale, means), us_aqi.daily(legal.gauges, means)
        dust = ~np.isnan(means[:, BEFORE:, vn_aqi.DUST])
        told = cube.heard[device[:, None], hours[:, BEFORE:]].any(axis=1)
        return chosen(told, cube, device, hours[:, -1], begin + day * DAY.us, dust.any(axis=2).mean(axis=1), vn, us)


def chosen(
    told: npt.NDArray[np.bool_],
    cube: Cube,
    device: npt.NDArray[np.intp],
    at: npt.NDArray[np.intp],
    bucket: npt.NDArray[np.int64],
    complete: npt.NDArray[np.float64],
    vn: Index,
    us: Index,
) -> Made:
    """The rows that are told, with the device's area in hour `at`."""
    vn, us = (Index(one.sub[told], one.total[told], one.dominant[told]) for one in (vn, us))
    slot = device[told]
    return Made(bucket[told], cube.devices[slot], cube.area[slot, at[told]], complete[told], vn, us)


def portions(devices: npt.NDArray[np.int64]) -> Iterator[list[int]]:
    """Some devices at a time."""
    for start in range(0, len(devices), DEVICES):
        yield devices[start : start + DEVICES].tolist()


def local_day(time_us: int) -> date:
    """The local day of a time in µs since 1970 UTC."""
    return (EPOCH + timedelta(microseconds=time_us + LOCAL_OFFSET_US)).date()


INDICES = (AirHours, AirDays)
