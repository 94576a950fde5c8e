"""Family files → hypertables and views. Only adds: a new table, a new column at the end; anything else is refused.

The row of a hypertable `reading.<family>`: fixed columns first, widest first so that nothing is lost to padding, then
one column per metric (gauges and counters `double precision`, states `smallint`: the place in the family's list).
"""

import time
from collections.abc import Iterator

import psycopg
from psycopg import sql

from devices.family import FAMILIES, Family
from devices.relations import (
    ATTEMPTS,
    LOCK_TIMEOUT,
    FamilyRefused,
    ViewBody,
    column_type,
    grow_table,
    reading_expressions,
    refuse_change,
    replace_view,
    sample_little,
    table_columns,
    with_retries,
)

CHUNK = "1 day"

FIXED = {
    "time": "timestamp with time zone",
    "seq": "bigint",
    "received": "timestamp with time zone",
    "batch": "bigint",
    "boot": "bigint",
    "device": "integer",
    "area": "smallint",
}
NULLABLE = {"boot"}
EXTRA = {"extra": "jsonb"}


def reconcile_families(connection: psycopg.Connection) -> list[str]:
    """Make tables and views of all families; returns what was changed, a line each.

    Raises FamilyRefused when a family file dropped or retyped a metric that the database has.
    """
    return [line for family in FAMILIES.values() for line in reconcile_family(connection, family)]


def reconcile_family(connection: psycopg.Connection, family: Family) -> Iterator[str]:
    """One family's table, then the view over it."""
    yield from with_retries(connection, lambda: reconcile_table(connection, family))
    yield from reconcile_batch_index(connection, family)
    yield from with_retries(connection, lambda: replace_view(connection, family.name, reading_view(family)))


def wanted_columns(family: Family) -> dict[str, str]:
    """Column name → SQL type of a new table of the family, in order."""
    return FIXED | EXTRA | {metric.name: column_type(metric) for metric in family.metrics}


def reconcile_table(connection: psycopg.Connection, family: Family) -> list[str]:
    """Create the hypertable, or add the columns it lacks and let ANALYZE take fewer of its rows."""
    present = table_columns(connection, "reading", family.name)
    wanted = wanted_columns(family)
    if not present:
        create_table(connection, family, wanted)
        return [f"created reading.{family.name}"]
    refuse_change(family, present, wanted)
    table = sql.Identifier("reading", family.name)
    missing = grow_table(connection, table, present, wanted)
    sampled = len(sample_little(connection, table)) > len(missing)
    done = [f"added {name} to reading.{family.name}" for name in missing]
    return done + ([f"reading.{family.name} is sampled less"] if sampled else [])


def create_table(connection: psycopg.Connection, family: Family, wanted: dict[str, str]) -> None:
    """One hypertable, keyed device first so that one device's last day is read at once."""
    table = sql.Identifier("reading", family.name)
    columns = sql.SQL(", ").join(
        sql.SQL("{} " + kind + ("" if name in NULLABLE or name not in FIXED else " not null")).format(
            sql.Identifier(name)
        )
        for name, kind in wanted.items()
    )
    connection.execute(sql.SQL("create table {} ({})").format(table, columns))
    connection.execute(
        "select create_hypertable(%s::regclass, by_range('time', %s::interval), create_default_indexes => false)",
        (f"reading.{family.name}", CHUNK),
    )
    index = sql.Identifier(f"{family.name}_key")
    connection.execute(sql.SQL("create unique index {} on {} (device, time, seq)").format(index, table))
    connection.execute(batch_index(family))
    sample_little(connection, table)


def reconcile_batch_index(connection: psycopg.Connection, family: Family) -> list[str]:
    """The index by which consumers find the rows of a batch, on a table that has none: chunk by chunk, each in a
    transaction of its own, so that ingest waits no longer than one chunk is read."""
    index = f"{family.name}_batch"
    valid = connection.execute(
        "select indisvalid from pg_index where indexrelid = to_regclass(%s)", (f"reading.{index}",)
    ).fetchone()
    if valid == (True,):
        return []
    for _ in range(ATTEMPTS):
        try:
            connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
            connection.execute(sql.SQL("drop index if exists {}").format(sql.Identifier("reading", index)))
            connection.execute(batch_index(family, ", timescaledb.transaction_per_chunk"))
            return [f"created reading.{index}"]
        except psycopg.errors.LockNotAvailable:
            time.sleep(0.5)
        finally:
            connection.execute("reset lock_timeout")
    raise FamilyRefused(f"reading.{family.name} stayed locked; end the transaction that holds it")


def batch_index(family: Family, more: str = "") -> sql.Composed:
    """Ranges of pages rather than rows: rows of a batch lie together, and a range costs COPY next to nothing."""
    return sql.SQL(
        "create index {} on {} using brin (batch) with (pages_per_range = 128, autosummarize" + more + ")"
    ).format(sql.Identifier(f"{family.name}_batch"), sql.Identifier("reading", family.name))


def reading_view(family: Family) -> ViewBody:
    """city.<family>: every reading under the names that people use.

    The code of an area is its id in three digits, which registry.area is held to: looking it up took a quarter of
    what a device's day costs the server.
    """
    source = sql.SQL("from {} r join registry.device d on d.id = r.device").format(
        sql.Identifier("reading", family.name)
    )
    return reading_expressions(family) | {"area": sql.SQL("lpad(r.area::text, 3, '0')")}, source
