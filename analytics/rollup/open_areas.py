"""The open buckets of areas, written from the sums in memory now and then: views need not add up devices."""

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from analytics.columns import FloatArray
from analytics.rollup.body import bucket_body, place
from analytics.rollup.fresh import instant
from analytics.rollup.grid import Grid
from analytics.rollup.rolling import Rolling
from analytics.rollup.shape import summed_columns
from analytics.rollup.total import Row, join, joined, totals
from analytics.rollup.width import DAY, HOUR, SECOND_US
from devices.family import Family

AHEAD_US = 2 * 3600 * SECOND_US  # views ask for an hour ahead; what is written serves them for a while
SHARE_OF_TIME = 0.02
SAID_EVERY_S = 60.0
MOST_ODD = 2_000  # devices to be looked at one by one

FORGET = "delete from rollup.area_open where family = %s and width = %s"
WRITE = """
insert into rollup.area_open (family, width, bucket, area, devices, n, filled, sums)
values (%s, %s, timestamptz 'epoch' + %s * interval '1 us', %s, %s, %s, %s, %s)
"""
STATE = """
insert into rollup.area_open_state as s (family, width, until, as_of)
values (%s, %s, timestamptz 'epoch' + %s * interval '1 us', now())
on conflict (family, width) do update set until = excluded.until, as_of = excluded.as_of
"""
NO_STATE = "delete from rollup.area_open_state where family = %s and width = %s"


class Parts(NamedTuple):
    """An open bucket and the sums of which it is made."""

    bucket: int
    grids: list[Grid]


class OpenAreas:
    """One family of gauges: `hour` and `day` are its sums. `dirty`: something has come since it was written."""

    def __init__(self, hour: Rolling, day: Rolling) -> None:
        self.dirty = True
        self.hour = hour
        self._day = day
        self._next = 0.0
        self._said = 0.0

    def due(self, every_s: float) -> bool:
        """Whether it is to be written now; when nothing has come, only to say so now and then."""
        now = time.monotonic()
        return now >= self._next if self.dirty else now >= self._said + max(SAID_EVERY_S, every_s)

    def write(self, connection: psycopg.Connection, now: int, interval_s: FloatArray, every_s: float) -> None:
        """Write the open buckets of both widths. `now`: µs since 1970 UTC; `interval_s`: by place."""
        begun = time.monotonic()
        for rolling in (self.hour, self._day):
            self._write(connection, rolling, now, interval_s)
        self.dirty = False
        self._said = time.monotonic()
        self._next = begun + max(every_s, (self._said - begun) / SHARE_OF_TIME if every_s else 0.0)

    def _write(self, connection: psycopg.Connection, rolling: Rolling, now: int, interval_s: FloatArray) -> None:
        family, width = rolling.family, rolling.width
        until, written = rolling.until, []
        for parts in self._whole(rolling, width.floor(now + AHEAD_US) + width.us):
            rows = bucket_rows(connection, rolling, parts, interval_s)
            if rows is None:
                break
            written += [line(family, width.name, parts.bucket, area, row) for area, row in rows.items()]
            until = parts.bucket + width.us
        named = (family.name, width.name)
        connection.execute(FORGET, named)
        with connection.cursor() as cursor:
            cursor.executemany(WRITE, written)
        if until > rolling.until:
            connection.execute(STATE, (*named, until))
        else:
            connection.execute(NO_STATE, named)

    def _whole(self, rolling: Rolling, until: int) -> Iterator[Parts]:
        """The open buckets, up to the first of which memory does not have everything."""
        for bucket in range(rolling.until, until, rolling.width.us):
            if not rolling.is_whole(bucket):
                return
            grids = [rolling.grids[bucket]] if bucket in rolling.grids else []
            if rolling.width is DAY:
                hours = range(max(bucket, self.hour.until), bucket + DAY.us, HOUR.us)
                if not all(self.hour.is_whole(hour) for hour in hours):
                    return
                grids += [self.hour.grids[hour] for hour in hours if hour in self.hour.grids]
            yield Parts(bucket, grids)


def bucket_rows(
    connection: psycopg.Connection, rolling: Rolling, parts: Parts, interval_s: FloatArray
) -> dict[int, Row] | None:
    """Area → row of an open bucket; None where too many devices would have to be looked at one by one."""
    whole = joined(parts.grids)
    odd = np.flatnonzero(~whole.plain)
    if len(odd) > MOST_ODD:
        return None
    rows = totals(rolling.family, rolling.width, parts.grids, whole, interval_s)
    if len(odd):
        devices = rolling.places.devices[odd].tolist()
        for area, row in rows_of_devices(connection, rolling, devices, parts.bucket):
            join(rows.setdefault(area, {}), row)
    return rows


def rows_of_devices(
    connection: psycopg.Connection, rolling: Rolling, devices: list[int], bucket: int
) -> Iterator[tuple[int, Row]]:
    """The same of some devices, from their readings."""
    family, width = rolling.family, rolling.width
    at = place("d.id", "d.id", "p", width)._replace(start=instant(bucket), until=instant(bucket + width.us))
    columns = summed_columns(family)
    statement = sql.SQL(
        "select x.area, count(*), sum(x.n)::bigint, sum(least(1, x.n * p.interval_s / {seconds})), {totals} "
        "from registry.device d join registry.profile p on p.id = d.profile cross join lateral ({body}) x "
        "where d.id = any(%s) group by x.area"
    ).format(
        seconds=sql.Literal(width.seconds),
        totals=sql.SQL(", ").join(
            sql.SQL("{}({})").format(sql.SQL(column.join), sql.Identifier("x", column.name)) for column in columns
        ),
        body=bucket_body(family, width, at),
    )
    found = ["devices", "n", "filled", *(column.name for column in columns)]
    for area, *values in connection.execute(statement, (devices,)).fetchall():
        yield area, {name: value for name, value in zip(found, values, strict=True) if value is not None}


def line(family: Family, width: str, bucket: int, area: int, row: Row) -> tuple[object, ...]:
    """A row as it is written."""
    fixed = ("devices", "n", "filled")
    sums = {name: value for name, value in row.items() if name not in fixed and math.isfinite(value)}
    return family.name, width, bucket, area, *(row[name] for name in fixed), Jsonb(sums)
