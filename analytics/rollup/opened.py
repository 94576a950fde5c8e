"""Open buckets as views ask for them: from the newest readings alone where that is enough.

A view does not know when its buckets begin until it runs, and its plan would hold, lock and look into every chunk of a
family. By a bound on the age of readings, which the planner can weigh, a plan has the last hours' chunks alone. What is
older and still open, because the analyst is behind, is asked bucket by bucket of a function.
"""

from datetime import timedelta

import psycopg
from psycopg import sql

from analytics.rollup.body import HOLD, Place, joined_columns, parts_body, readings_body
from analytics.rollup.shape import names, stored_columns
from analytics.rollup.width import DAY, HOUR, MINUTE, Width, stored_widths
from devices.family import Family
from devices.profile import PROFILES
from devices.relations import table_columns

RECENT = timedelta(hours=2)
"""Buckets that began since then are asked of the newest readings: an hour is closed soon after its end."""

FUNCTION = """
(device integer, start timestamptz, until timestamptz, near timestamptz, interval_s double precision)
returns setof {rows} language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
begin
    if exists (select from {readings} r where r.device = $1 and r.time >= $2 and r.time < $3) then
        return query select {columns} from ({body}) x;
    end if;
end
$$
"""


def function_name(family: Family) -> sql.Identifier:
    """The function that makes a bucket of one device from its readings, whenever it was."""
    return sql.Identifier("rollup", f"open_{family.name}")


def opened_body(family: Family, at: Place, states: bool = True) -> sql.Composable:
    """`readings_body` of an open bucket."""
    columns = stored_columns(family) if states else joined_columns(family)
    intervals = [p.interval_s for p in PROFILES.values() if p.family.name == family.name]
    longest = timedelta(seconds=HOLD * max(intervals, default=0.0))
    begin, near = ago(RECENT), ago(RECENT + longest)
    hold = sql.SQL("make_interval(secs => {} * {})").format(sql.Literal(HOLD), at.interval)
    return sql.SQL(
        "select y.area, y.n, {recent} from ({body}) y where {start} >= {begin} and {hold} <= {longest} union all "
        "select z.area, z.n, {older} from {function}({device}, {start}, {until}, {start} - {hold}, {interval}) z "
        "where not ({start} >= {begin} and {hold} <= {longest})"
    ).format(
        recent=names(columns, "y"),
        older=names(columns, "z"),
        body=readings_body(family, at._replace(near=near, begin=begin), states),
        function=function_name(family),
        device=at.device,
        start=at.start,
        until=at.until,
        interval=at.interval,
        begin=begin,
        hold=hold,
        longest=sql.Literal(longest),
    )


def opened_area_body(family: Family, width: Width, at: Place) -> sql.Composable:
    """The joined columns of an open bucket, which is all that areas show: from closed parts as far as there are."""

    def of_readings(family: Family, at: Place) -> sql.Composable:
        return opened_body(family, at, states=False)

    if width is HOUR and MINUTE not in stored_widths(family):
        return of_readings(family, at)
    return parts_body(family, HOUR if width is DAY else MINUTE, at, of_readings)


def ago(age: timedelta) -> sql.Composable:
    """A time that the planner weighs against the bounds of chunks."""
    return sql.SQL("now() - {}").format(sql.Literal(age))


def reconcile_function(connection: psycopg.Connection, family: Family) -> list[str]:
    """Create or replace the family's function where its text changed. The table of its hours exists."""
    at = Place(*(sql.SQL(f"${number}") for number in (1, 2, 3, 5, 4)))
    table = f"{family.name}_1h"
    given = {"bucket": sql.SQL("$2"), "device": sql.SQL("$1")}
    text = sql.SQL(FUNCTION).format(
        rows=sql.Identifier("rollup", table),
        readings=sql.Identifier("reading", family.name),
        columns=sql.SQL(", ").join(
            given.get(column, sql.Identifier("x", column)) for column in table_columns(connection, "rollup", table)
        ),
        body=readings_body(family, at),
    )
    name = function_name(family)
    signature = sql.SQL("{}(integer, timestamptz, timestamptz, timestamptz, double precision)").format(name)
    query = "select obj_description(to_regprocedure(%s))"
    present = connection.execute(query, (signature.as_string(connection),)).fetchone()
    if present == (text.as_string(connection),):
        return []
    connection.execute(sql.SQL("create or replace function {} {}").format(name, text))
    connection.execute(sql.SQL("comment on function {} is {}").format(signature, text.as_string(connection)))
    connection.execute(sql.SQL("revoke all on function {} from public").format(signature))
    connection.execute(sql.SQL("grant execute on function {} to dothi_analyst, dothi_reader").format(signature))
    return [f"made rollup.open_{family.name}"]
