"""The newest reading of every device as SQL: the tables, what comes into them, and where the readings have it."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.columns import IntArray
from analytics.consume import Taken
from devices.family import FAMILIES, Family
from devices.relations import column_type

NOTHING = sql.SQL("")


def highest_device(connection: psycopg.Connection) -> int:
    """The highest id of the registry."""
    row = connection.execute("select coalesce(max(id), 0) from registry.device").fetchone()
    assert row is not None  # an aggregate always gives a row
    return int(row[0])


def newest_columns(family: Family) -> dict[str, str]:
    """Column → SQL type of rollup.newest_<family>: the reading with the names of its device and area."""
    fixed = {
        "time": "timestamp with time zone",
        "seq": "bigint",
        "received": "timestamp with time zone",
        "batch": "bigint",
        "boot": "bigint",
        "device": "integer",
        "name": "text",
        "area": "text",
        "extra": "jsonb",
    }
    return fixed | {metric.name: column_type(metric) for metric in family.metrics}


def newest_table(family: Family, complete: bool) -> sql.Identifier:
    """The table that views read, or the one that a rebuild fills."""
    return sql.Identifier("rollup", f"{'newest' if complete else 'next'}_{family.name}")


def known_devices(connection: psycopg.Connection, complete: bool) -> npt.NDArray[np.bool_]:
    """By registry id: whether the device has a row."""
    found = [device_ids(connection, newest_table(family, complete)) for family in FAMILIES.values()]
    known = np.zeros(max((int(ids.max()) + 1 for ids in found if len(ids)), default=0), dtype=np.bool_)
    for ids in found:
        known[ids] = True
    return known


def device_ids(connection: psycopg.Connection, table: sql.Identifier) -> IntArray:
    """Registry ids of a table."""
    (ids,) = columns_of(connection, sql.SQL("select device from {}").format(table), "i4")
    return ids


def newest_of(taken: Taken, more: sql.Composable = NOTHING) -> sql.Composed:
    """The newest row of each device among the rows of some batches."""
    return sql.SQL("(select distinct on (device) * from {} where {} {} order by device, time desc, seq desc)").format(
        sql.Identifier("reading", taken.family.name), taken.condition, more
    )


def values(family: Family, source: str) -> dict[str, sql.Composable]:
    """Column of rollup.newest_<family> → expression over `source` (a reading), d (its device), a (its area)."""
    expressions: dict[str, sql.Composable] = {c: sql.Identifier(source, c) for c in newest_columns(family)}
    return expressions | {"name": sql.SQL("d.device"), "area": sql.SQL("a.code")}


def listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    """With commas between."""
    return sql.SQL(", ").join(parts)


def insert(taken: Taken, complete: bool) -> sql.Composed:
    """Rows of devices that have none yet; %s: their registry ids."""
    expressions = values(taken.family, "s")
    return sql.SQL(
        "insert into {} ({}) select {} from {} s join registry.device d on d.id = s.device "
        "join registry.area a on a.id = s.area on conflict (device) do nothing"
    ).format(
        newest_table(taken.family, complete),
        listed(map(sql.Identifier, expressions)),
        listed(expressions.values()),
        newest_of(taken, sql.SQL("and device = any(%s)")),
    )


def update(taken: Taken, complete: bool) -> sql.Composed:
    """Take over what is newer than the row that is there. No indexed column changes unless a device has moved."""
    expressions = {c: e for c, e in values(taken.family, "s").items() if c not in ("device", "name")}
    return sql.SQL(
        "update {} n set {} from {} s join registry.area a on a.id = s.area "
        "where n.device = s.device and (s.time, s.seq) > (n.time, n.seq)"
    ).format(
        newest_table(taken.family, complete),
        listed(sql.SQL("{} = {}").format(sql.Identifier(c), e) for c, e in expressions.items()),
        newest_of(taken),
    )


def rebuild(family: Family) -> sql.Composed:
    """The newest stored readings of devices with ids from %s to below %s, unless a round has brought newer ones."""
    expressions = values(family, "r")
    return sql.SQL(
        # Looking first is cheaper than a conflict; what comes in between is a conflict.
        "insert into {table} as n ({names}) select {} {} where d.id >= %s and d.id < %s and not exists "
        "(select from {table} k where k.device = d.id and (k.time, k.seq) >= (r.time, r.seq)) "
        "on conflict (device) do update set ({names}) = row({}) where (excluded.time, excluded.seq) > (n.time, n.seq)"
    ).format(
        listed(expressions.values()),
        newest_from_readings(family),
        listed(sql.Identifier("excluded", c) for c in expressions),
        table=newest_table(family, False),
        names=listed(map(sql.Identifier, expressions)),
    )


def newest_from_readings(family: Family) -> sql.Composed:
    """Newest readings found through the key: r (reading), d (device), a (area of the reading)."""
    return sql.SQL(
        "from registry.device d "
        "cross join lateral (select * from {} n where n.device = d.id order by n.time desc, n.seq desc limit 1) r "
        "join registry.area a on a.id = r.area and d.family = {}"
    ).format(sql.Identifier("reading", family.name), sql.Literal(family.name))
