"""What analytics keeps of each family, made from the family files: tables of newest values, and the views over them."""

from functools import partial

import psycopg
from psycopg import sql

from analytics.newest_rows import listed, newest_columns, newest_table
from devices.family import FAMILIES, Family
from devices.relations import (
    ViewBody,
    grow_table,
    reading_expressions,
    refuse_change,
    sample_little,
    table_columns,
    with_retries,
)
from devices.relations import replace_view as replace_city_view

REBUILDING = sql.SQL("not coalesce((select s.complete from rollup.newest_state s), false)")
"""Evaluated once per query: while the tables are not whole, the readings themselves are asked."""


ASKING = sql.SQL("""
create function {function}(device integer) returns setof {readings}
language plpgsql stable security definer rows 1 set search_path = pg_catalog, pg_temp as $$
begin
    return query select * from {readings} r where r.device = $1 order by r.time desc, r.seq desc limit 1;
end
$$
""")


def reconcile_views(connection: psycopg.Connection) -> list[str]:
    """Make tables and views of all families; returns what was changed, a line each. The families' tables exist."""
    done = []
    for family in FAMILIES.values():
        for complete in (True, False):
            done += with_retries(connection, partial(reconcile_newest, connection, family, complete))
        done += with_retries(connection, partial(reconcile_asking, connection, family))
    views = {f"latest_{family.name}": latest_view(family) for family in FAMILIES.values()} | {"device": device_view()}
    for name, body in views.items():
        done += with_retries(connection, partial(replace_city_view, connection, name, body))
    return done + with_retries(connection, partial(drop_newest, connection))


def reconcile_newest(connection: psycopg.Connection, family: Family, complete: bool) -> list[str]:
    """Create a table of newest values or add the columns it lacks."""
    table, wanted = newest_table(family, complete), newest_columns(family)
    name = f"{'newest' if complete else 'next'}_{family.name}"
    present = table_columns(connection, "rollup", name)
    if present:
        refuse_change(family, present, wanted)
        missing = grow_table(connection, table, present, wanted)
        sampled = len(sample_little(connection, table)) > len(missing)
        done = [f"added {column} to rollup.{name}" for column in missing]
        return done + ([f"rollup.{name} is sampled less"] if sampled else [])
    columns = listed(sql.SQL("{} " + kind).format(sql.Identifier(column)) for column, kind in wanted.items())
    # Half of each page stays free, so that a new version finds room beside the old one and no index is touched.
    connection.execute(
        sql.SQL("create unlogged table {} ({}, primary key (device)) with (fillfactor = 50)").format(table, columns)
    )
    sample_little(connection, table)
    for keys in ("area, name", "name") if complete else ():
        connection.execute(sql.SQL("create index on {} (" + keys + ")").format(table))
    return [f"created rollup.{name}"]


def reconcile_asking(connection: psycopg.Connection, family: Family) -> list[str]:
    """The function by which views ask the readings for a device's newest. Not plain SQL in the views: the planner would
    look at every chunk, and lock it, each time that somebody asks for what the tables have."""
    function = asking(family)
    name = f"{function.as_string(connection)}(integer)"
    if connection.execute("select to_regprocedure(%s)", (name,)).fetchone() != (None,):
        return []
    connection.execute(ASKING.format(function=function, readings=sql.Identifier("reading", family.name)))
    connection.execute(sql.SQL("grant execute on function {} to dothi_analyst, dothi_reader").format(function))
    return [f"created rollup.newest_reading_{family.name}"]


def asking(family: Family) -> sql.Identifier:
    """Its name."""
    return sql.Identifier("rollup", f"newest_reading_{family.name}")


def drop_newest(connection: psycopg.Connection) -> list[str]:
    """rollup.newest, by which city.device once found when each device was heard."""
    if connection.execute("select to_regclass('rollup.newest')").fetchone() == (None,):
        return []
    connection.execute("drop view rollup.newest")
    return ["dropped rollup.newest"]


def latest_view(family: Family) -> ViewBody:
    """city.latest_<family>: the newest reading of each device; `as_of`: everything committed until then is in it.

    The table's branch is one plain table without a condition: only so can the planner walk its indexes in order.
    """
    names = [*newest_columns(family)]
    kept = {c: sql.Identifier("n", c) for c in names} | {"as_of": sql.SQL("(select as_of from rollup.newest_state)")}
    asked = {c: sql.Identifier("r", c) for c in names} | {"as_of": sql.SQL("now()")}
    asked |= {"name": sql.SQL("d.device"), "area": sql.SQL("a.code")}
    source = sql.SQL(
        "from (select {} from {} n union all select {} from registry.device d cross join lateral {}(d.id) r "
        "join registry.area a on a.id = r.area and d.family = {} where {}) r"
    ).format(
        listed(sql.SQL("{} as {}").format(e, sql.Identifier(c)) for c, e in kept.items()),
        newest_table(family, True),
        listed(sql.SQL("{} as {}").format(e, sql.Identifier(c)) for c, e in asked.items()),
        asking(family),
        sql.Literal(family.name),
        REBUILDING,
    )
    named = {"device": sql.SQL("r.name"), "area": sql.SQL("r.area")}
    return reading_expressions(family) | named | {"as_of": sql.SQL("r.as_of")}, source


def device_view() -> ViewBody:
    """city.device: the registry and when each device was last heard.

    Area and family are columns of the registry itself, as its indexes have them: only so can the planner walk those in
    order, and stop at a limit.
    """
    columns = "d.device p.profile d.family d.area d.name d.lat d.lon d.state"
    expressions: dict[str, sql.Composable] = {column[2:]: sql.SQL(column) for column in columns.split()}
    expressions |= {
        "area": sql.SQL("lpad(d.area::text, 3, '0')"),
        "last_seen": heard("received"),
        "last_seq": heard("seq"),
        "online": sql.SQL("o.online"),
    }
    expressions |= {name: sql.Identifier("d", name) for name in ("owner", "installed", "serial", "firmware", "eui")}
    expressions |= {"tags": sql.SQL("string_to_array(d.tags, ';')")}
    source = sql.SQL(
        "from registry.device d join registry.profile p on p.id = d.profile left join ops.presence o on o.device = d.id"
    )
    return expressions, source


def heard(column: str) -> sql.Composed:
    """A column of a device's newest reading, looked up in the table of its family alone; the readings themselves are
    asked only for who is not in it, and in a rebuild."""
    kept = sql.SQL("(select n.{} from {} n where n.device = d.id)")
    asked = sql.SQL("(select r.{} from {}(d.id) r)")
    name = sql.Identifier(column)
    return sql.SQL("coalesce({}, case when {} then {} end)").format(
        by_family({family.name: kept.format(name, newest_table(family, True)) for family in FAMILIES.values()}),
        REBUILDING,
        by_family({family.name: asked.format(name, asking(family)) for family in FAMILIES.values()}),
    )


def by_family(expressions: dict[str, sql.Composed]) -> sql.Composed:
    """Of expressions by family the one of a device d."""
    cases = sql.SQL(" ").join(
        sql.SQL("when {} then {}").format(sql.Literal(family), expression) for family, expression in expressions.items()
    )
    return sql.SQL("case d.family {} end").format(cases)
