"""Readings that come after their bucket was closed: which rows they change, and making those anew.

A gauge changes the row of its own bucket. A counter also changes the step of the device's next reading, a state what is
known until then: so the buckets of those are touched as well, as far as they are closed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.columns import Columns
from analytics.rollup.after import Border, buckets_after, latest_per_bucket
from analytics.rollup.fresh import SINCE, Fresh, instant
from analytics.rollup.width import SECOND_US, Width
from devices.family import Family

PIECE = 5000  # rows made anew at a time

TOUCH = sql.SQL(
    "insert into rollup.touched (family, width, device, bucket) select distinct {family}, w.width, w.device, w.bucket "
    "from ({rows}) w(width, device, bucket) on conflict do nothing"
)
REMADE = """
insert into rollup.remade (family, width, bucket)
select %s, %s, timestamptz 'epoch' + u.us * interval '1 us' from unnest(%s::bigint[]) u(us)
on conflict (family, width, bucket) do update set xid = pg_current_xact_id()
"""
Pairs = npt.NDArray[Any]


def touch_late(connection: psycopg.Connection, columns: Columns, borders: Sequence[Border]) -> list[Width]:
    """Note what readings change in closed buckets; returns the widths for which some were late."""
    found = [(border, np.flatnonzero(border.width.floors(columns.time) < border.frozen)) for border in borders]
    found = [(border, rows) for border, rows in found if len(rows)]
    for (width, _), rows in found:
        device, bucket, _ = latest_per_bucket(columns, rows, width)
        touch(connection, columns.family, width, device.tolist(), bucket.tolist())
    if found:
        late = np.unique(np.concatenate([rows for _, rows in found]))
        for buckets, some in buckets_after(connection, columns, late, [border for border, _ in found]):
            connection.execute(touching(columns.family, buckets), some)
    return [border.width for border, _ in found]


def touch(connection: psycopg.Connection, family: Family, width: Width, devices: list[int], buckets: list[int]) -> None:
    """Note (device, bucket) pairs."""
    rows = sql.SQL("select {}, u.device, {} from unnest(%s::integer[], %s::bigint[]) u(device, us)").format(
        sql.Literal(width.name), SINCE.format(sql.SQL("u.us"))
    )
    connection.execute(touching(family, rows), (devices, buckets))


def touching(family: Family, rows: sql.Composable) -> sql.Composed:
    """The statement that notes the rows (width, device, bucket) of a select."""
    return TOUCH.format(family=sql.Literal(family.name), rows=rows)


def touched_since(connection: psycopg.Connection, family: Family, width: Width, start: int) -> tuple[Pairs, Pairs]:
    """The (device, bucket) pairs from `start` on whose rows wait to be made anew; buckets in µs since 1970 UTC."""
    query = sql.SQL(
        "select device, (extract(epoch from bucket) * {})::bigint from rollup.touched "
        "where family = {} and width = {} and bucket >= {}"
    ).format(SECOND_US, family.name, width.name, instant(start))
    device, bucket = columns_of(connection, query, "i4 i8")
    return device, bucket


def remake(connection: psycopg.Connection, fresh: Fresh, family: Family, width: Width, until: int) -> int:
    """Make one piece of the touched rows before `until` anew; returns how many pairs it was."""
    picked = connection.execute(
        sql.SQL(
            "delete from rollup.touched t where t.ctid = any(array(select ctid from rollup.touched "
            "where family = %s and width = %s and bucket < {} limit %s)) "
            "returning t.device, (extract(epoch from t.bucket) * %s)::bigint"
        ).format(instant(until)),
        (family.name, width.name, PIECE, SECOND_US),
    ).fetchall()
    if picked:
        connection.execute(REMADE, (family.name, width.name, sorted({bucket for _, bucket in picked})))
        fresh.from_readings(connection, [device for device, _ in picked], [bucket for _, bucket in picked])
        fresh.place(connection, again=True)
    return len(picked)
