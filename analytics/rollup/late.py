"""Readings that come after their bucket was closed: which rows they change, and making those anew.

A gauge changes the row of its own bucket. A counter also changes the step of the device's next reading, a state what is
known until then: so the buckets of those are touched as well, as far as they are closed.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.columns import Columns
from analytics.rollup.body import HOLD
from analytics.rollup.fresh import SINCE, Fresh, instant, longest_hold
from analytics.rollup.width import HOUR, SECOND_US, Width
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
            touch_after(connection, columns, sent, metric, width, frozen)
    return len(late)


def touch_after(
    connection: psycopg.Connection,
    columns: Columns,
    sent: npt.NDArray[np.intp],
    metric: Metric,
    width: Width,
    frozen: int,
) -> None:
    """Note what late readings of a counter or state change in later buckets; hour by hour, so that of the readings'
    chunks only those are opened which the hour concerns."""
    arrays = latest_per_bucket(columns, sent, width)
    hours = HOUR.floors(arrays[2])
    follow = steps_after if metric.kind == "counter" else holds_after
    longest = longest_hold(connection, columns.family)
    for hour in np.unique(hours).tolist():
        some = [array[hours == hour].tolist() for array in arrays]
        reach = Reach(hour, min(hour + HOUR.us + longest, frozen), frozen)
        connection.execute(touching(columns.family, width, follow(columns.family, metric, width, reach)), some)


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


class Reach(NamedTuple):
    """Where next readings are looked for, in µs since 1970 UTC: `begin` to `near` in one go, from there to `frozen`
    for each device of which nothing was found; buckets from `frozen` on are not closed."""

    begin: int
    near: int
    frozen: int


ASKED = sql.SQL("unnest(%s::integer[], %s::bigint[], %s::bigint[]) u(device, bucket, last)")


def next_sent(family: Family, metric: Metric, reach: Reach) -> sql.Composable:
    """When the device u first sent a metric after u.last and before `near`; NULL where it did not."""
    return sql.SQL(
        "(select r.time from {table} r where r.device = u.device and r.time > {last} and r.time >= {begin} "
        "and r.time < {near} and r.{metric} is not null order by r.time, r.seq limit 1)"
    ).format(
        table=sql.Identifier("reading", family.name),
        last=SINCE.format(sql.SQL("u.last")),
        begin=instant(reach.begin),
        near=instant(reach.near),
        metric=sql.Identifier(metric.name),
    )


def steps_after(family: Family, metric: Metric, width: Width, reach: Reach) -> sql.Composable:
    """The bucket of each device's next reading with a counter, where that is another one and closed."""
    return sql.SQL(
        "select u.device, {bucket} from {asked} cross join lateral (select coalesce({near}, "
        "rollup.sent_after({family}, {metric}, u.device, {last}, {beyond}, {frozen})) as time) n "
        "where n.time >= {after} and n.time < {frozen}"
    ).format(
        bucket=width.start(sql.SQL("n.time")),
        asked=ASKED,
        near=next_sent(family, metric, reach),
        family=family.name,
        metric=metric.name,
        last=SINCE.format(sql.SQL("u.last")),
        beyond=instant(reach.near),
        after=sql.SQL("({} + {})").format(SINCE.format(sql.SQL("u.bucket")), width.interval),
        frozen=instant(reach.frozen),
    )


def holds_after(family: Family, metric: Metric, width: Width, reach: Reach) -> sql.Composable:
    """The closed buckets, after its own, into which a device's state reaches: until its next reading, or it is old."""
    return sql.SQL(
        "select u.device, b.bucket from {asked} join registry.device d on d.id = u.device "
        "join registry.profile p on p.id = d.profile cross join lateral (select least({last} + {hold}, {near}) "
        "as until) e cross join lateral generate_series({start} + {width}, e.until, {width}) b(bucket) "
        "where b.bucket < {frozen}"
    ).format(
        asked=ASKED,
        last=SINCE.format(sql.SQL("u.last")),
        hold=sql.SQL("make_interval(secs => {} * p.interval_s)").format(sql.Literal(HOLD)),
        near=next_sent(family, metric, reach),  # as far as any state is believed
        start=SINCE.format(sql.SQL("u.bucket")),
        width=width.interval,
        frozen=instant(reach.frozen),
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
