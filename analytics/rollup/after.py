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


class Border(NamedTuple):
    """Buckets of a width that begin before `frozen` (µs since 1970 UTC) are closed."""

    width: Width
    frozen: int


class Reach(NamedTuple):
    """Where next readings are looked for, in µs since 1970 UTC: `begin` to `near` in one go, from there to `frozen`
    for each device of which nothing was found; buckets from `frozen` on are not closed."""

    begin: int
    near: int
    frozen: int


class Sent(NamedTuple):
    """By which devices a metric was sent, and when (µs since 1970 UTC)."""

    metric: Metric
    device: IntArray
    time: IntArray


def buckets_after(
    connection: psycopg.Connection, columns: Columns, late: Rows, borders: Sequence[Border]
) -> Iterator[tuple[sql.Composable, list[list[int]]]]:
    """Selects of the later buckets (width, device, bucket) that late readings change, each with its parameters.

    All metrics and widths are in one, for it is planned anew each time, which costs more than what it does; but each
    hour has its own, so that of the readings' chunks only those are opened which the hour concerns.
    """
    sent = list(sent_late(columns, late, min((border.width for border in borders), key=lambda width: width.seconds)))
    if not sent:
        return
    longest, frozen = longest_hold(connection, columns.family), max(border.frozen for border in borders)
    for hour in np.unique(np.concatenate([HOUR.floors(one.time) for one in sent])).tolist():
        reach = Reach(hour, min(hour + HOUR.us + longest, frozen), frozen)
        some = [one for one in (within_hour(one, hour) for one in sent) if len(one.time)]
        spans = [span_of(columns.family, one.metric, reach) for one in some]
        yield reached(spans, borders), [array.tolist() for one in some for array in (one.device, one.time)]


def sent_late(columns: Columns, late: Rows, finest: Width) -> Iterator[Sent]:
    """The last late readings of each device, bucket of the finest width and metric that is a counter or a state."""
    for place, metric in enumerate(columns.family.metrics):
        rows = late[~np.isnan(columns.values[late, place])]
        if metric.kind != "gauge" and len(rows):
            device, _, time = latest_per_bucket(columns, rows, finest)
            yield Sent(metric, device, time)


def within_hour(sent: Sent, hour: int) -> Sent:
    """What of it lies in an hour."""
    inside = HOUR.floors(sent.time) == hour
    return Sent(sent.metric, sent.device[inside], sent.time[inside])


def latest_per_bucket(columns: Columns, rows: Rows, width: Width) -> tuple[IntArray, IntArray, IntArray]:
    """(device, bucket, time of the latest of these rows), each device and bucket once."""
    device, time = columns.device[rows], columns.time[rows]
    order = np.lexsort((time, device))
    device, time = device[order], time[order]
    bucket = width.floors(time)
    last = np.append((np.diff(device) != 0) | (np.diff(bucket) != 0), True)
    return device[last], bucket[last], time[last]


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
    near = next_sent(family, metric, reach)
    if metric.kind == "counter":
        return sql.SQL(
            "select u.device, {last}, n.time, n.time from {asked} cross join lateral (select coalesce({near}, "
            "rollup.sent_after({family}, {metric}, u.device, {last}, {beyond}, {frozen})) as time) n"
        ).format(
            last=LAST,
            asked=ASKED,
            near=near,
            family=sql.Literal(family.name),
            metric=sql.Literal(metric.name),
            beyond=instant(reach.near),
            frozen=instant(reach.frozen),
        )
    return sql.SQL(
        "select u.device, {last}, {last}, least({last} + {hold}, {near}) from {asked} "
        "join registry.device d on d.id = u.device join registry.profile p on p.id = d.profile"
    ).format(
        last=LAST,
        hold=sql.SQL("make_interval(secs => {} * p.interval_s)").format(sql.Literal(HOLD)),
        near=near,  # as far as any state is believed
        asked=ASKED,
    )


def next_sent(family: Family, metric: Metric, reach: Reach) -> sql.Composable:
    """When the device u first sent a metric after u.last and before `near`; NULL where it did not."""
    return sql.SQL(
        "(select r.time from {table} r where r.device = u.device and r.time > {last} and r.time >= {begin} "
        "and r.time < {near} and r.{metric} is not null order by r.time, r.seq limit 1)"
    ).format(
        table=sql.Identifier("reading", family.name),
        last=LAST,
        begin=instant(reach.begin),
        near=instant(reach.near),
        metric=sql.Identifier(metric.name),
    )
