"""What to do with a batch in which a key is taken: stage it, store what is new, judge the rest row by row."""

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from ingest.batch import Columns
from ingest.pack import EPOCH_2000_US, column_names, pack


class Verdicts(NamedTuple):
    """Rows (their places in the columns) that were not stored, and why."""

    duplicates: list[int]
    conflicts: list[int]


ALL_STORED = Verdicts([], [])


async def copy(connection: psycopg.AsyncConnection[Any], columns: Columns, batch: int) -> Verdicts:
    """The common case: all rows in one COPY. Raises UniqueViolation when a key is taken, having stored nothing."""
    table = sql.Identifier("reading", columns.family.name)
    await copy_into(connection, table, column_names(columns.family), pack(columns, batch))
    return ALL_STORED


async def copy_into(
    connection: psycopg.AsyncConnection[Any], table: sql.Identifier, names: list[str], stream: bytes
) -> None:
    """One binary COPY."""
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(table, identifiers(names))
    async with connection.cursor() as cursor, cursor.copy(statement) as stdin:
        await stdin.write(stream)


async def stage_and_settle(connection: psycopg.AsyncConnection[Any], columns: Columns, batch: int) -> Verdicts:
    """Store the rows whose key is free; the others are duplicates (same values) or conflicts (other values)."""
    family = columns.family.name
    names = column_names(columns.family)
    staging = sql.Identifier(f"staging_{family}")
    table = sql.Identifier("reading", family)
    await connection.execute(
        sql.SQL("create temporary table if not exists {} (like {}, ordinal int) on commit delete rows").format(
            staging, table
        )
    )
    await copy_into(connection, staging, [*names[:-1], "ordinal", "extra"], pack(columns, batch, ordinals=True))
    await connection.execute(
        sql.SQL(
            "insert into {} ({columns}) select distinct on (device, time, seq) {columns} from {} "
            "order by device, time, seq, ordinal on conflict do nothing"
        ).format(table, staging, columns=identifiers(names))
    )
    return await judge(connection, columns, batch, staging, table)


async def judge(
    connection: psycopg.AsyncConnection[Any],
    columns: Columns,
    batch: int,
    staging: sql.Identifier,
    table: sql.Identifier,
) -> Verdicts:
    """Every staged row that is not the one stored under its key. The lateral keeps it one index look-up per row."""
    compared = ["ordinal", *columns.family.index, "extra"]
    cursor = await connection.execute(
        sql.SQL(
            "select s.ordinal, ({}) is not distinct from ({}) from"
            " (select *, min(ordinal) over (partition by device, time, seq) as first from {}) s"
            " cross join lateral (select * from {} r where r.device = s.device and r.time = s.time and r.seq = s.seq"
            "  and r.time between %s and %s offset 0) r"
            " where r.batch <> %s or s.ordinal <> s.first order by s.ordinal"
        ).format(
            sql.SQL(", ").join(sql.Identifier("s", name) for name in compared[1:]),
            sql.SQL(", ").join(sql.Identifier("r", name) for name in compared[1:]),
            staging,
            table,
        ),
        (timestamp(min(columns.time)), timestamp(max(columns.time)), batch),
    )
    verdicts = Verdicts([], [])
    for ordinal, same in await cursor.fetchall():
        (verdicts.duplicates if same else verdicts.conflicts).append(ordinal)
    return verdicts


def identifiers(names: list[str]) -> sql.Composed:
    """Names as a comma separated list."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def timestamp(time_us: int) -> "Microseconds":
    """A time as a parameter, without losing microseconds to floating point or years to datetime."""
    return Microseconds(time_us)


class Microseconds(int):
    """Microseconds since 1970 UTC, sent as timestamptz."""


class MicrosecondsDumper(psycopg.adapt.Dumper):
    """timestamptz in binary: microseconds since 2000."""

    format = psycopg.pq.Format.BINARY
    oid = psycopg.adapters.types["timestamptz"].oid

    def dump(self, obj: Microseconds) -> bytes:
        """Eight bytes, big-endian."""
        return (int(obj) - EPOCH_2000_US).to_bytes(8, "big", signed=True)


psycopg.adapters.register_dumper(Microseconds, MicrosecondsDumper)
