"""The truth as SQL: the rollup rows of one device and one bucket, straight from readings or from the hours of a day.

Every number of every rollup comes from here, or (gauges as they stream in) from sums that agree with it:
- a row is (bucket, device, area) with at least one reading; the area is that of the readings, so a device that moves
  has two rows;
- a counter's step is its reading less the device's reading with that metric before it, wherever that one lies; a fall
  is a reset and the step is the new reading; the first reading ever steps by 0; steps count in the bucket, and the
  area, of the later reading;
- a state holds from its reading until the device's next reading with that metric, at most three intervals of the
  device's profile, and counts in every bucket it reaches into that has a row of the reading's area.
"""

from collections.abc import Callable
from typing import NamedTuple

from psycopg import sql

from analytics.rollup.shape import Stored, has, names, stored_columns
from analytics.rollup.width import DAY, HOUR, Width
from devices.family import Family, Metric

HOLD = 3  # intervals for which a state is believed


class Place(NamedTuple):
    """SQL expressions of what is asked for: the device's id, start and end of the bucket, the profile's interval_s.

    Constants, by which the planner opens the chunks concerned alone: `near`, at least as long before the start as a
    state is believed (`HOLD` intervals, of the slowest profile of the family); `begin`, not after the start, where the
    start itself is not a constant. `until` is one, or close to the newest readings.
    """

    device: sql.Composable
    start: sql.Composable
    until: sql.Composable
    interval: sql.Composable
    near: sql.Composable | None = None
    begin: sql.Composable | None = None


def place(device: str, bucket: str, profile: str, width: Width) -> Place:
    """The bucket `bucket` of the device `device`; columns are given as dotted names."""
    start = sql.Identifier(*bucket.split("."))
    until = sql.SQL("{} + {}").format(start, width.interval)
    return Place(sql.Identifier(*device.split(".")), start, until, sql.Identifier(profile, "interval_s"))


OfBucket = Callable[[Family, Place], sql.Composable]


def readings_body(family: Family, at: Place, states: bool = True) -> sql.Composable:
    """Select (area, n, stored columns) of one bucket of one device from its readings. `states`: how long each was held,
    too, which cannot be joined."""
    grouped = sql.SQL("select r.area, count(*)::integer as n{} from {} r where {} group by r.area").format(
        aggregates([c for c in stored_columns(family) if c.join]), source(family, at), within("r", at)
    )
    if not (states and has(family, "state")):
        return grouped
    joined = [
        sql.SQL(" left join lateral ({}) {} on true").format(
            held(family, metric, at), sql.Identifier(f"{metric.name}_time")
        )
        for metric in family.metrics
        if metric.kind == "state"
    ]
    held_columns = [c for c in stored_columns(family) if not c.join]
    return sql.SQL("select g.*{} from ({}) g{}").format(aggregates(held_columns), grouped, sql.SQL("").join(joined))


def aggregates(columns: list[Stored]) -> sql.Composable:
    """Further entries of a select list."""
    return sql.SQL("").join(
        sql.SQL(", {} as {}").format(column.read, sql.Identifier(column.name)) for column in columns
    )


def within(row: str, at: Place) -> sql.Composable:
    """The rows of the device that lie in the bucket."""
    template = "{row}.device = {device} and {row}.time >= {start} and {row}.time < {until} {since}"
    bound = since(row, at.begin)
    return sql.SQL(template).format(
        row=sql.Identifier(row), device=at.device, start=at.start, until=at.until, since=bound
    )


def source(family: Family, at: Place) -> sql.Composable:
    """The readings; of families with counters, each with its steps."""
    table = sql.Identifier("reading", family.name)
    counters = [metric for metric in family.metrics if metric.kind == "counter"]
    if not counters:
        return table
    before = sql.SQL("").join(sql.SQL(", {}").format(previous(family, metric, at)) for metric in counters)
    steps = sql.SQL("").join(sql.SQL(", {}").format(step(metric)) for metric in counters)
    inner = sql.SQL("select r.*{} from {} r where {}").format(before, table, within("r", at))
    return sql.SQL("(select r.*{} from ({}) r)").format(steps, inner)


def previous(family: Family, metric: Metric, at: Place) -> sql.Composable:
    """The device's reading of a counter before this one; looked up once per bucket, only where the counter is there."""
    text = (
        "case when r.{m} is not null then coalesce("
        "lag(r.{m}) over (partition by r.{m} is null order by r.time, r.seq), "
        "(select q.{m} from {table} q where q.device = {device} and q.time < {start} {since} and q.{m} is not null "
        "order by q.time desc, q.seq desc limit 1){earlier}) end as {before}"
    )
    asked = sql.SQL(", rollup.counter_before({}, {}, {}, {})")
    return sql.SQL(text).format(
        m=sql.Identifier(metric.name),
        table=sql.Identifier("reading", family.name),
        device=at.device,
        start=at.start,
        since=since("q", at.near),
        earlier=asked.format(family.name, metric.name, at.device, at.near) if at.near else sql.SQL(""),
        before=sql.Identifier(f"{metric.name}_before"),
    )


def since(row: str, bound: sql.Composable | None) -> sql.Composable:
    """No rows before a bound, where there is one."""
    return sql.SQL("and {}.time >= {}").format(sql.Identifier(row), bound) if bound else sql.SQL("")


def step(metric: Metric) -> sql.Composable:
    """What a reading adds to a counter's increase."""
    text = (
        "case when r.{m} is null then null when r.{before} is null then 0 "
        "when r.{m} < r.{before} then r.{m} else r.{m} - r.{before} end as {step}"
    )
    return sql.SQL(text).format(
        m=sql.Identifier(metric.name),
        before=sql.Identifier(f"{metric.name}_before"),
        step=sql.Identifier(f"{metric.name}_step"),
    )


def held(family: Family, metric: Metric, at: Place) -> sql.Composable:
    """Seconds by name of state in the bucket and in area g.area; one row, NULL where the state is not known."""
    text = (
        "select jsonb_object_agg(({names}::text[])[s.state + 1], s.seconds) as held from ("
        "select p.state, sum(extract(epoch from p.until - p.start))::double precision as seconds from ("
        "select h.area, h.state, greatest(h.time, {start}) as start, least(h.time + {hold}, {until}, "
        "lead(h.time) over (order by h.time, h.seq)) as until from ("
        "(select c.time, c.seq, c.area, c.{m} as state from {table} c where c.device = {device} "
        "and c.time < {start} and c.time > {start} - {hold} {since} and c.{m} is not null "
        "order by c.time desc, c.seq desc limit 1) union all "
        "select i.time, i.seq, i.area, i.{m} from {table} i where {within} and i.{m} is not null"
        ") h) p where p.area = g.area and p.until > p.start group by p.state) s"
    )
    return sql.SQL(text).format(
        names=sql.SQL("array[{}]").format(sql.SQL(", ").join(sql.Literal(state) for state in metric.states)),
        m=sql.Identifier(metric.name),
        table=sql.Identifier("reading", family.name),
        hold=sql.SQL("make_interval(secs => {} * {})").format(sql.Literal(HOLD), at.interval),
        within=within("i", at),
        since=since("c", at.near),
        device=at.device,
        start=at.start,
        until=at.until,
    )


def bucket_body(family: Family, width: Width, at: Place, of_readings: OfBucket = readings_body) -> sql.Composable:
    """The cheapest select of (area, n, stored columns) of a bucket; days come from hours where that is exact.
    `of_readings`: how a bucket is made from readings."""
    if width is DAY:
        exact = not has(family, "state")
        return parts_body(family, HOUR, at, of_readings) if exact else readings_body(family, at)
    return of_readings(family, at)


def joined_columns(family: Family) -> list[Stored]:
    """The columns that are made from those of parts of a bucket."""
    return [column for column in stored_columns(family) if column.join]


def parts_body(family: Family, width: Width, at: Place, of_readings: OfBucket) -> sql.Composable:
    """A bucket's joined columns from those of its parts that are closed, and its other readings.

    `width`: of the parts; `of_readings` gives the joined columns at least.
    """
    rest = at._replace(start=sql.SQL("e.start"), begin=at.begin or at.start)
    text = (
        "select h.area, sum(h.n)::integer as n{joins} from ("
        "select c.area, c.n, {columns} from {table} c where c.device = {device} "
        "and c.bucket >= {start} and c.bucket < least({until}, {closed}) union all "
        "select x.area, x.n, {fresh} from lateral (select greatest({start}, {closed}) as start offset 0) e "
        "cross join lateral ({body}) x where e.start < {until}"
        ") h group by h.area"
    )
    columns = joined_columns(family)
    return sql.SQL(text).format(
        joins=joins(columns),
        columns=names(columns, "c"),
        fresh=names(columns, "x"),
        table=sql.Identifier("rollup", f"{family.name}_{width.name}"),
        device=at.device,
        start=at.start,
        until=at.until,
        closed=closed_until(family, width),
        body=of_readings(family, rest),
    )


def joins(columns: list[Stored]) -> sql.Composable:
    """Further entries of a select list: each column of the parts h joined."""
    return sql.SQL("").join(
        sql.SQL(", {}(h.{name}){cast} as {name}").format(
            sql.SQL(column.join), name=sql.Identifier(column.name), cast=sql.SQL("::" + column.kind)
        )
        for column in columns
    )


# A reading lies at most minutes ahead of its receipt (the limit of ingest), so nothing open begins later than this.
AHEAD = sql.SQL("(now() + interval '1 hour')")


def closed_until(family: Family, width: Width) -> sql.Composable:
    """Up to where buckets are in the table; asked once per statement."""
    return sql.SQL("(select l.until from rollup.closed l where l.family = {} and l.width = {})").format(
        sql.Literal(family.name), sql.Literal(width.name)
    )
