"""Family files → tables and views of rollups. Only adds, as the tables of readings do."""

from functools import partial

import psycopg
from psycopg import sql

from analytics.health import health_view
from analytics.rollup.opened import reconcile_function
from analytics.rollup.shape import area_columns, table_columns
from analytics.rollup.views import family_views
from analytics.rollup.width import MINUTE, Width, stored_widths
from devices.family import FAMILIES, Family
from devices.relations import grow_table, refuse_change, replace_view, shared, with_retries
from devices.relations import table_columns as present_columns


def reconcile_rollups(connection: psycopg.Connection) -> list[str]:
    """Make tables and views of all families; returns what was changed, a line each. The families' tables exist.

    Raises FamilyRefused when a family file dropped or retyped a metric that the database has.
    """
    done = []
    for family in FAMILIES.values():
        for width in stored_widths(family):
            done += with_retries(connection, partial(reconcile_width, connection, family, width))
    done += shared(connection, [partial(reconcile_views, family) for family in FAMILIES.values()])
    return done + with_retries(connection, partial(replace_view, connection, "device_health", health_view()))


def reconcile_views(family: Family, connection: psycopg.Connection) -> list[str]:
    """The views of one family, and what they call."""
    done = with_retries(connection, partial(reconcile_function, connection, family))
    for name, body in family_views(family).items():
        done += with_retries(connection, partial(replace_view, connection, name, body))
    return done


def reconcile_width(connection: psycopg.Connection, family: Family, width: Width) -> list[str]:
    """The tables of one family and width, and from where they are to be filled."""
    name = f"{family.name}_{width.name}"
    done = reconcile_table(connection, family, name, table_columns(family), ("device", "bucket", "area"), width.chunk)
    if width is not MINUTE:
        wide = f"{family.name}_area_{width.name}"
        done += reconcile_table(connection, family, wide, area_columns(family), ("area", "bucket"), width.area_chunk)
    if done:
        begin(connection, family, width)
    return done


def reconcile_table(
    connection: psycopg.Connection,
    family: Family,
    name: str,
    wanted: dict[str, str],
    key: tuple[str, ...],
    chunk: str,
) -> list[str]:
    """Create a hypertable or add the columns it lacks."""
    present = present_columns(connection, "rollup", name)
    if not present:
        create_table(connection, name, wanted, key, chunk)
        return [f"created rollup.{name}"]
    refuse_change(family, present, wanted)
    missing = grow_table(connection, sql.Identifier("rollup", name), present, wanted)
    return [f"added {column} to rollup.{name}" for column in missing]


def create_table(
    connection: psycopg.Connection, name: str, wanted: dict[str, str], key: tuple[str, ...], chunk: str
) -> None:
    """One hypertable with its key, which starts with what is asked for by name."""
    table = sql.Identifier("rollup", name)
    fixed = {"bucket", "device", "area", "n", "devices", "filled"}
    columns = sql.SQL(", ").join(
        sql.SQL("{} " + kind + (" not null" if column in fixed else "")).format(sql.Identifier(column))
        for column, kind in wanted.items()
    )
    connection.execute(sql.SQL("create table {} ({})").format(table, columns))
    connection.execute(
        "select create_hypertable(%s::regclass, by_range('bucket', %s::interval), create_default_indexes => false)",
        (f"rollup.{name}", chunk),
    )
    index = sql.SQL("create unique index {} on {} ({})")
    keys = sql.SQL(", ").join(sql.Identifier(column) for column in key)
    connection.execute(index.format(sql.Identifier(f"{name}_key"), table, keys))


def begin(connection: psycopg.Connection, family: Family, width: Width) -> None:
    """Nothing is closed before the first chunk of readings: what a database already holds is rolled up from there."""
    oldest = sql.SQL(
        "select coalesce(min(c.range_start), now()) as at from timescaledb_information.chunks c "
        "where c.hypertable_schema = 'reading' and c.hypertable_name = {}"
    ).format(sql.Literal(family.name))
    statement = sql.SQL(
        "insert into rollup.closed (family, width, until) select {}, {}, {} from ({}) oldest on conflict do nothing"
    )
    start = width.start(sql.SQL("oldest.at"))
    connection.execute(statement.format(sql.Literal(family.name), sql.Literal(width.name), start, oldest))
