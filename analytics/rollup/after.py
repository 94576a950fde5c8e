"""What late readings change in later buckets: the step of a counter's next reading, and what is known of a state until
the device's next one."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.columns import Columns, IntArray
from analytics.rollup.body import HOLD
from analytics.rollup.fresh import SINCE, instant, longest_hold
from analytics.rollup.width import HOUR, ORIGIN, Width
from devices.family import Family, Metric

FAR_US = 6 * HOUR.us  # some dozen chunks at most, planned once for all devices

Rows = npt.NDArray[np.intp]
LAST = SINCE.format(sql.SQL("u.last"))
ASKED = sql.SQL("unnest(%s::integer[], %s::bigint[]) u(device, last)")
# Of each span the buckets that it reaches into, after that of the late reading and before the border of their width.
BUCKETS = sql.SQL(
    "select w.width, s.device, b.bucket from ({spans}) s(device, last, since, until) "
    "cross join (values {widths}) w(width, length, frozen) cross join lateral generate_series(greatest("
    "time_bucket(w.length, s.last, {origin}) + w.length, time_bucket(w.length, s.since, {origin})), s.until, w.length"
    ") b(bucket) where b.bucket < w.frozen"
)

WAIT = """
insert into rollup.late (family, device, time, metrics)
select %s, u.device, timestamptz 'epoch' + u.us * interval '1 us', bit_or(u.metrics)
from unnest(%s::integer[], %s::bigint[], %s::bigint[]) u(device, us, metrics) group by u.device, u.us
on conflict (family, device, time) do update set metrics = late.metrics | excluded.metrics
"""
WAITING = "select exists(select from rollup.late where family = %s)"
TAKE = """
delete from rollup.late t where t.ctid = any(array(select ctid from rollup.late where family = %s limit %s))
returning t.device, (extract(epoch from t.time) * 1000000)::bigint, t.metrics
"""


class Border(NamedTuple):
    """Buckets of a width that begin before `frozen` (µs since 1970 UTC) are closed."""

    width: Width
    frozen: int


class Reach(NamedTuple):
    """Where next readings are looked for, in µs since 1970 UTC: `begin` to `near`, of a counter then to `far`, and from
    there to `frozen` for each device by itself; buckets from `frozen` on are not closed."""

    begin: int
    near: int
    far: int
    frozen: int


class Sent(NamedTuple):
    """By which devices a metric was sent, and when (µs since 1970 UTC)."""

    metric: Metric
    device: IntArray
    time: IntArray


def wait(connection: psycopg.Connection, columns: Columns, late: Rows, finest: Width) -> None:
    """Keep late readings until the later buckets that they change are looked up: of each counter and state the last one
    of each device and bucket of the finest width."""
    metrics = np.zeros(len(columns.time), np.int64)
    for place, metric in enumerate(columns.family.metrics):
        if metric.kind != "gauge":
            sent = late[~np.isnan(columns.values[late, place])]
            metrics[latest_per_bucket(columns, sent, finest)] |= 1 << place
    some = np.flatnonzero(metrics)
    if len(some):
        arrays = columns.device[some], columns.time[some], metrics[some]
        connection.execute(WAIT, (columns.family.name, *(array.tolist() for array in arrays)))


def waiting(connection: psycopg.Connection, family: Family) -> bool:
    """Whether late readings of a family wait."""
    return connection.execute(WAITING, (family.name,)).fetchone() == (True,)


def take_waiting(connection: psycopg.Connection, family: Family, most: int) -> list[tuple[int, int, int]]:
    """Take out so many late readings that wait: device, time (µs since 1970 UTC), bits of metrics."""
    return connection.execute(TAKE, (family.name, most)).fetchall()


def buckets_after(
    connection: psycopg.Connection, family: Family, late: Sequence[tuple[int, int, int]], borders: Sequence[Border]
) -> Iterator[tuple[sql.Composable, list[list[int]]]]:
    """Selects of the later buckets (width, device, bucket) that late readings change, each with its parameters.

    All metrics and widths are in one, for it is planned anew each time, which costs more than what it does; but each
    hour has its own, so that of the readings' chunks only those are opened which the hour concerns.
    """
    device, time, metrics = np.array(late, np.int64).reshape(-1, 3).T
    hours = HOUR.floors(time)
    longest, frozen = longest_hold(connection, family), max(border.frozen for border in borders)
    for hour in np.unique(hours).tolist():
        near = min(hour + HOUR.us + longest, frozen)
        reach = Reach(hour, near, min(near + FAR_US, frozen), frozen)
        some = list(sent_in(family, *(array[hours == hour] for array in (device, time, metrics))))
        spans = [span_of(family, one.metric, reach) for one in some]
        yield reached(spans, borders), [array.tolist() for one in some for array in (one.device, one.time)]


def sent_in(family: Family, device: IntArray, time: IntArray, metrics: IntArray) -> Iterator[Sent]:
    """By metric, of readings and the bits of the metrics that they have."""
    for place, metric in enumerate(family.metrics):
        has = (metrics >> place & 1).astype(np.bool_)
        if has.any():
            yield Sent(metric, device[has], time[has])


def latest_per_bucket(columns: Columns, rows: Rows, width: Width) -> Rows:
    """Which of these rows are the latest of their device and bucket."""
    device, time = columns.device[rows], columns.time[rows]
    order = np.lexsort((time, device))
    last = np.ones(len(order), np.bool_)
    last[:-1] = (np.diff(device[order]) != 0) | (np.diff(width.floors(time[order])) != 0)
    return rows[order[last]]


def reached(spans: Sequence[sql.Composable], borders: Sequence[Border]) -> sql.Composable:
    """The buckets (width, device, bucket) of all widths that spans (device, last, since, until) reach into."""
    widths = [
        sql.SQL("({}, {}, {})").format(sql.Literal(width.name), width.interval, instant(frozen))
        for width, frozen in borders
    ]
    return BUCKETS.format(spans=sql.SQL(" union all ").join(spans), widths=sql.SQL(", ").join(widths), origin=ORIGIN)


def span_of(family: Family, metric: Metric, reach: Reach) -> sql.Composable:
    """From when to when each device's last late reading changes what is told of a metric: a counter's next reading,
    wherever it lies; a state until the next one, or it is no longer believed."""
    return counter_span(family, metric, reach) if metric.kind == "counter" else state_span(family, metric, reach)


def counter_span(family: Family, metric: Metric, reach: Reach) -> sql.Composable:
    """When it next was sent. `offset 0`: it is not looked for twice, because it is asked for twice."""
    looks = [next_sent(family, metric, reach.begin, reach.near)]
    if reach.near < reach.far:
        looks.append(next_sent(family, metric, reach.near, reach.far))
    if reach.far < reach.frozen:
        looks.append(
            sql.SQL("rollup.sent_after({}, {}, u.device, {}, {}, {})").format(
                sql.Literal(family.name), sql.Literal(metric.name), LAST, instant(reach.far), instant(reach.frozen)
            )
        )
    return sql.SQL(
        "select u.device, {last}, n.time, n.time from {asked} "
        "cross join lateral (select coalesce({looks}) as time offset 0) n"
    ).format(last=LAST, asked=ASKED, looks=sql.SQL(", ").join(looks))


def state_span(family: Family, metric: Metric, reach: Reach) -> sql.Composable:
    """How long it is believed: `near` is as far as any is."""
    return sql.SQL(
        "select u.device, {last}, {last}, least({last} + make_interval(secs => {hold} * p.interval_s), {next}) "
        "from {asked} join registry.device d on d.id = u.device join registry.profile p on p.id = d.profile"
    ).format(
        last=LAST,
        hold=sql.Literal(HOLD),
        next=next_sent(family, metric, reach.begin, reach.near),
        asked=ASKED,
    )


def next_sent(family: Family, metric: Metric, begin: int, until: int) -> sql.Composable:
    """When the device u first sent a metric after u.last, from a time on and before another; NULL where it did not."""
    return sql.SQL(
        "(select r.time from {table} r where r.device = u.device and r.time > {last} and r.time >= {begin} "
        "and r.time < {until} and r.{metric} is not null order by r.time, r.seq limit 1)"
    ).format(
        table=sql.Identifier("reading", family.name),
        last=LAST,
        begin=instant(begin),
        until=instant(until),
        metric=sql.Identifier(metric.name),
    )
