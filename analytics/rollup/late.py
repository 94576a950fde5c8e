"""Readings that come after their bucket was closed: which rows they change, and making those anew.

A gauge changes the row of its own bucket. A counter also changes the step of the device's next reading, a state what is
known until then: so the buckets of those are touched as well, as far as they are closed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.columns import Columns
from analytics.rollup.body import HOLD
from analytics.rollup.fresh import SINCE, Fresh, instant
from analytics.rollup.width import SECOND_US, Width
from devices.family import Family, Metric

PIECE = 5000  # rows made anew at a time

TOUCH = sql.SQL(
    "insert into rollup.touched (family, width, device, bucket) select distinct {family}, {width}, w.device, w.bucket "
    "from ({rows}) w(device, bucket) on conflict do nothing"
)
REMADE = """
insert into rollup.remade (family, width, bucket)
select %s, %s, timestamptz 'epoch' + u.us * interval '1 us' from unnest(%s::bigint[]) u(us)
on conflict (family, width, bucket) do update set xid = pg_current_xact_id()
"""
Pairs = npt.NDArray[Any]


def touch_late(connection: psycopg.Connection, columns: Columns, width: Width, frozen: int) -> int:
    """Note what readings change in buckets before `frozen` (µs since 1970 UTC); returns how many readings were late."""
    late = np.flatnonzero(width.floors(columns.time) < frozen)
    if not len(late):
        return 0
    device, bucket, _ = latest_per_bucket(columns, late, width)
    touch(connection, columns.family, width, device.tolist(), bucket.tolist())
    for place, metric in enumerate(columns.family.metrics):
        sent = late[~np.isnan(columns.values[late, place])]
        if metric.kind != "gauge" and len(sent):
            follow = steps_after if metric.kind == "counter" else holds_after
            rows = follow(columns.family, metric, width, frozen)
            arrays = [array.tolist() for array in latest_per_bucket(columns, sent, width)]
            connection.execute(touching(columns.family, width, rows), arrays)
    return len(late)


def touch(connection: psycopg.Connection, family: Family, width: Width, devices: list[int], buckets: list[int]) -> None:
    """Note (device, bucket) pairs."""
    rows = sql.SQL("select u.device, {} from unnest(%s::integer[], %s::bigint[]) u(device, us)").format(
        SINCE.format(sql.SQL("u.us"))
    )
    connection.execute(touching(family, width, rows), (devices, buckets))


def touching(family: Family, width: Width, rows: sql.Composable) -> sql.Composed:
    """The statement that notes the rows (device, bucket) of a select."""
    return TOUCH.format(family=sql.Literal(family.name), width=sql.Literal(width.name), rows=rows)


def latest_per_bucket(columns: Columns, rows: npt.NDArray[np.intp], width: Width) -> tuple[Pairs, Pairs, Pairs]:
    """(device, bucket, time of the latest of these rows), each device and bucket once."""
    device, time = columns.device[rows], columns.time[rows]
    order = np.lexsort((time, device))
    device, time = device[order], time[order]
    bucket = width.floors(time)
    last = np.append((np.diff(device) != 0) | (np.diff(bucket) != 0), True)
    return device[last], bucket[last], time[last]


ASKED = sql.SQL("unnest(%s::integer[], %s::bigint[], %s::bigint[]) u(device, bucket, last)")


def steps_after(family: Family, metric: Metric, width: Width, frozen: int) -> sql.Composable:
    """The bucket of each device's next reading with a counter, where that is another one and closed."""
    return sql.SQL(
        "select u.device, {bucket} from {asked} cross join lateral (select r.time from {table} r "
        "where r.device = u.device and r.time > {last} and r.{metric} is not null order by r.time, r.seq limit 1) n "
        "where n.time >= {after} and n.time < {frozen}"
    ).format(
        bucket=width.start(sql.SQL("n.time")),
        asked=ASKED,
        table=sql.Identifier("reading", family.name),
        last=SINCE.format(sql.SQL("u.last")),
        after=sql.SQL("({} + {})").format(SINCE.format(sql.SQL("u.bucket")), width.interval),
        metric=sql.Identifier(metric.name),
        frozen=instant(frozen),
    )


def holds_after(family: Family, metric: Metric, width: Width, frozen: int) -> sql.Composable:
    """The closed buckets, after its own, into which a device's state reaches: until its next reading, or it is old."""
    return sql.SQL(
        "select u.device, b.bucket from {asked} join registry.device d on d.id = u.device "
        "join registry.profile p on p.id = d.profile cross join lateral (select least({last} + {hold}, "
        "(select r.time from {table} r where r.device = u.device and r.time > {last} and r.{metric} is not null "
        "order by r.time, r.seq limit 1)) as until) e "
        "cross join lateral generate_series({start} + {width}, e.until, {width}) b(bucket) where b.bucket < {frozen}"
    ).format(
        asked=ASKED,
        last=SINCE.format(sql.SQL("u.last")),
        hold=sql.SQL("make_interval(secs => {} * p.interval_s)").format(sql.Literal(HOLD)),
        table=sql.Identifier("reading", family.name),
        metric=sql.Identifier(metric.name),
        start=SINCE.format(sql.SQL("u.bucket")),
        width=width.interval,
        frozen=instant(frozen),
    )


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
