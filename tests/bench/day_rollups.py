"""Rollups of the loaded day, a statement for each family: what the analyst would have kept had it followed.

Unlike the analyst's, a counter's increase leaves out the step into its bucket, and states are not held on; no question
of the benchmark asks for either.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from analytics.rollup.shape import Stored, stored_columns, summed_columns
from analytics.rollup.width import DAY, HOUR, Width
from devices.family import FAMILIES, Family
from tests.bench.day_fill import say
from tests.bench.day_rows import sent

LOCAL_DAY = "date_trunc('day', {} at time zone 'Asia/Ho_Chi_Minh') at time zone 'Asia/Ho_Chi_Minh'"
CLOSED = sql.SQL("(select until from rollup.closed where family = {} and width = {})")
THERE = sql.SQL("select exists(select from {} where bucket < {})")
HOURS = sql.SQL("""
insert into {rollup} (bucket, device, area, n{columns})
select date_trunc('hour', r.time), r.device, r.area, count(*){read} from {readings} r
where r.time < {until} group by 1, 2, 3 on conflict do nothing
""")
DAYS = sql.SQL("""
insert into {rollup} (bucket, device, area, n{columns})
select {day}, h.device, h.area, sum(h.n){joined} from {hours} h where h.bucket < {until}
group by 1, 2, 3 on conflict do nothing
""")
AREAS = sql.SQL("""
insert into {areas} (bucket, area, devices, n, filled{columns})
select h.bucket, h.area, count(*), sum(h.n), sum(least(1, h.n * p.interval_s / {seconds})){joined}
from {rollup} h join registry.device d on d.id = h.device join registry.profile p on p.id = d.profile
where h.bucket < {until} group by 1, 2 on conflict do nothing
""")


def fill(owner: str) -> None:
    """All families but those that are there already."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("set work_mem = '256MB'")
        for family in FAMILIES.values():
            if connection.execute(THERE.format(table(family, "area_1d"), border(family, DAY))).fetchone() == (True,):
                continue
            connection.execute(hours(family))
            connection.execute(days(family))
            for width in (HOUR, DAY):
                connection.execute(areas(family, width))
            say(f"rollups of {family.name}")
        connection.execute("analyze")


def hours(family: Family) -> sql.Composed:
    """The hours of each device."""
    columns = [one for one in columns_sent(family) if one.join]
    return HOURS.format(
        rollup=table(family, HOUR.name),
        columns=listed(columns),
        read=further([increase(one) if one.name.endswith("_increase") else one.read for one in columns]),
        readings=sql.Identifier("reading", family.name),
        until=border(family, HOUR),
    )


def days(family: Family) -> sql.Composed:
    """The local days of each device, from its hours."""
    columns = [one for one in columns_sent(family) if one.join]
    return DAYS.format(
        rollup=table(family, DAY.name),
        columns=listed(columns),
        day=sql.SQL(LOCAL_DAY).format(sql.SQL("h.bucket")),
        joined=joined(columns),
        hours=table(family, HOUR.name),
        until=border(family, DAY),
    )


def areas(family: Family, width: Width) -> sql.Composed:
    """The same of areas."""
    summed = {one.name for one in summed_columns(family)}
    columns = [one for one in columns_sent(family) if one.name in summed]
    return AREAS.format(
        areas=table(family, f"area_{width.name}"),
        columns=listed(columns),
        joined=joined(columns),
        seconds=sql.Literal(width.seconds),
        rollup=table(family, width.name),
        until=border(family, width),
    )


def columns_sent(family: Family) -> list[Stored]:
    """The columns of metrics that the loaded devices send."""
    names = {family.metrics[place].name for place in sent(family)}
    return [one for one in stored_columns(family) if one.name.rpartition("_")[0] in names]


def increase(column: Stored) -> sql.Composable:
    """What a counter that is never reset rose by."""
    metric = sql.Identifier("r", column.name.rpartition("_")[0])
    return sql.SQL("max({0}) - min({0})").format(metric)


def joined(columns: list[Stored]) -> sql.Composable:
    """Each column of several rows in one."""
    return further([sql.SQL("{}({})").format(sql.SQL(one.join), sql.Identifier("h", one.name)) for one in columns])


def listed(columns: list[Stored]) -> sql.Composable:
    """Their names."""
    return further([sql.Identifier(one.name) for one in columns])


def further(parts: Sequence[sql.Composable]) -> sql.Composable:
    """More entries of a list."""
    return sql.SQL("").join(sql.SQL(", {}").format(part) for part in parts)


def table(family: Family, name: str) -> sql.Identifier:
    """A table of a family's rollups."""
    return sql.Identifier("rollup", f"{family.name}_{name}")


def border(family: Family, width: Width) -> sql.Composable:
    """Up to where its buckets are closed."""
    return CLOSED.format(sql.Literal(family.name), sql.Literal(width.name))
