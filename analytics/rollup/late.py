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
from analytics.rollup.after import Border, buckets_after, latest_per_bucket, take_waiting, wait
from analytics.rollup.fresh import SINCE, Fresh, instant
from analytics.rollup.width import SECOND_US, Width
from devices.family import Family

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


def touch_late(connection: psycopg.Connection, columns: Columns, borders: Sequence[Border]) -> bool:
    """Note what readings change in closed buckets; whether some were late. What they change in later ones than their
    own waits until it is looked up."""
    found = [(border.width, np.flatnonzero(border.width.floors(columns.time) < border.frozen)) for border in borders]
    found = [(width, rows) for width, rows in found if len(rows)]
    for width, rows in found:
        latest = latest_per_bucket(columns, rows, width)
        buckets = width.floors(columns.time[latest])
        touch(connection, columns.family, width, columns.device[latest].tolist(), buckets.tolist())
    if found:
        late = np.unique(np.concatenate([rows for _, rows in found]))
        wait(connection, columns, late, min((width for width, _ in found), key=lambda width: width.seconds))
    return bool(found)


def touch_after(connection: psycopg.Connection, family: Family, borders: Sequence[Border], most: int) -> int:
    """Note what so many of the late readings that wait change in later buckets; returns how many readings it were."""
    late = take_waiting(connection, family, most)
    if late:
        for buckets, some in buckets_after(connection, family, late, borders):
            connection.execute(touching(family, buckets), some)
    return len(late)


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


def remake(connection: psycopg.Connection, fresh: Fresh, until: int, most: int) -> int:
    """Make so many of the touched rows before `until` anew; returns how many it were."""
    family, width = fresh.family, fresh.width
    picked = connection.execute(
        sql.SQL(
            "delete from rollup.touched t where t.ctid = any(array(select ctid from rollup.touched "
            "where family = %s and width = %s and bucket < {} limit %s)) "
            "returning t.device, (extract(epoch from t.bucket) * %s)::bigint"
        ).format(instant(until)),
        (family.name, width.name, most, SECOND_US),
    ).fetchall()
    if picked:
        connection.execute(REMADE, (family.name, width.name, sorted({bucket for _, bucket in picked})))
        fresh.from_readings(connection, [device for device, _ in picked], [bucket for _, bucket in picked])
        fresh.place(connection, again=True)
    return len(picked)
