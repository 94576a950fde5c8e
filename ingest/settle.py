"""What to do with a batch in which a key is taken or a row is refused: look, store what can be, judge the rest."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from devices.native import WAY
from ingest.batch import Columns
from ingest.pack import EPOCH_2000_US, Prepared, column_names, pack, pack_array
from ingest.poison import refuses_rows, store_or_name

Connection = psycopg.AsyncConnection[Any]


class Verdicts(NamedTuple):
    """Rows (their places in the columns) that were not stored, and why; `refused` with the database's words."""

    duplicates: list[int]
    conflicts: list[int]
    refused: dict[int, str]

    @property
    def unstored(self) -> int:
        """Rows that were not stored."""
        return len(self.duplicates) + len(self.conflicts) + len(self.refused)


ALL_STORED = Verdicts([], [], {})


class Clash(Exception):
    """A plain COPY was refused because of its rows: a key is taken, or a row is not acceptable."""

    def __init__(self, family: str) -> None:
        super().__init__(family)
        self.family = family


async def copy(connection: Connection, columns: Columns, batch: int) -> Verdicts:
    """The common case: all rows in one COPY. Raises Clash when the rows need a closer look."""
    try:
        await copy_into(connection, table_of(columns), column_names(columns.family), pack(columns, batch))
    except psycopg.Error as error:
        if refuses_rows(error):
            raise Clash(columns.family.name) from error
        raise
    return ALL_STORED


async def copy_into(connection: Connection, table: sql.Identifier, names: list[str], stream: bytes) -> None:
    """One binary COPY."""
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(table, identifiers(names))
    async with connection.cursor() as cursor, cursor.copy(statement) as stdin:
        await stdin.write(stream)


async def settle(connection: Connection, columns: Columns, batch: int) -> Verdicts:
    """Store the rows whose key is free and that the database accepts; the others are duplicates (same values stored),
    conflicts (other values) or refused. Asking first and copying the rest costs less than staging everything."""
    again = repeats(columns)
    while True:
        suspects = await taken(connection, columns) | again.keys()
        free = [row for row in range(len(columns)) if row not in suspects]
        try:
            refused = await store_free(connection, columns, batch, free)
            break
        except psycopg.errors.UniqueViolation:
            continue  # another worker has stored one of them meanwhile, and we see it now
    refused |= {row: refused[first] for row, first in again.items() if first in refused}
    duplicates, conflicts = await judge(connection, columns, batch, sorted(suspects - refused.keys()))
    return Verdicts(duplicates, conflicts, refused)


async def store_free(connection: Connection, columns: Columns, batch: int, rows: list[int]) -> dict[int, str]:
    """Store rows, all but those that the database refuses; nothing at all when a key turns out to be taken."""
    if not rows:
        return {}
    names, prepared = column_names(columns.family), Prepared(columns, batch)

    async def store(some: list[int]) -> None:
        await copy_into(connection, table_of(columns), names, prepared.pack(some))

    async with connection.transaction():
        return await store_or_name(connection, rows, store)


def repeats(columns: Columns) -> dict[int, int]:
    """Rows whose key an earlier row of the batch has, with that row."""
    first: dict[tuple[int, int, int], int] = {}
    again: dict[int, int] = {}
    for row, (device, time, seq) in enumerate(zip(columns.devices, columns.time, columns.seq, strict=True)):
        earlier = first.setdefault((device.id, time, seq), row)
        if earlier != row:
            again[row] = earlier
    return again


async def taken(connection: Connection, columns: Columns) -> set[int]:
    """The rows whose key is in the table."""
    cursor = await connection.execute(
        sql.SQL(
            "select k.place::int - 1 from unnest(%s, %s, %s) with ordinality k (device, time, seq, place)"
            " cross join lateral (select from {} r where r.device = k.device::int4"
            "  and r.time = timestamptz 'epoch' + k.time * interval '1 microsecond' and r.seq = k.seq"
            "  and r.time between %s and %s offset 0) r"
        ).format(table_of(columns)),
        (
            integers([device.id for device in columns.devices]),
            integers(columns.time),
            integers(columns.seq),
            *bounds(columns),
        ),
        prepare=False,  # planned with the bounds as constants, so that only the chunks between them are looked at
    )
    return {place for (place,) in await cursor.fetchall()}


async def judge(connection: Connection, columns: Columns, batch: int, rows: list[int]) -> tuple[list[int], list[int]]:
    """Duplicates and conflicts among rows whose key is stored. Compared where both have the database's own types."""
    if not rows:
        return [], []
    family, names = columns.family.name, column_names(columns.family)
    staging = sql.Identifier(f"staging_{family}")
    await connection.execute(
        sql.SQL("create temporary table if not exists {} (like {}, ordinal int) on commit delete rows").format(
            staging, table_of(columns)
        )
    )
    stream = Prepared(columns, batch, ordinals=True).pack(rows)
    await copy_into(connection, staging, [*names[:-1], "ordinal", "extra"], stream)
    verdicts = dict(await compare(connection, columns, staging))
    if len(verdicts) < len(rows):
        raise psycopg.OperationalError("a stored reading vanished while its duplicate was judged")
    return [row for row in rows if verdicts[row]], [row for row in rows if not verdicts[row]]


async def compare(connection: Connection, columns: Columns, staging: sql.Identifier) -> list[tuple[int, bool]]:
    """Each staged row's place, and whether the row stored under its key has the same values, whichever way it came. The
    lateral keeps it one index look-up per row."""
    cursor = await connection.execute(
        sql.SQL(
            "select s.ordinal, ({}) is not distinct from ({}) from {} s"
            " cross join lateral (select * from {} r where r.device = s.device and r.time = s.time and r.seq = s.seq"
            "  and r.time between %s and %s offset 0) r"
        ).format(
            said_by("s", columns),
            said_by("r", columns),
            staging,
            table_of(columns),
        ),
        bounds(columns),
        prepare=False,
    )
    return await cursor.fetchall()


def said_by(row: str, columns: Columns) -> sql.Composed:
    """What the device said in a row: its values, and `extra` without how it reached us."""
    values = [sql.SQL("{}").format(sql.Identifier(row, name)) for name in columns.family.index]
    extra = sql.SQL("nullif({} - {}::text[], '{{}}')").format(sql.Identifier(row, "extra"), list(WAY))
    return sql.SQL(", ").join([*values, extra])


def table_of(columns: Columns) -> sql.Identifier:
    """The hypertable of the family."""
    return sql.Identifier("reading", columns.family.name)


def bounds(columns: Columns) -> tuple["Microseconds", "Microseconds"]:
    """The first and the last time of the rows."""
    return timestamp(min(columns.time)), timestamp(max(columns.time))


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


def integers(values: Sequence[int] | NDArray[np.integer]) -> "Integers":
    """Many integers as a parameter int8[], packed by numpy: psycopg takes 5 ms for a thousand."""
    return Integers(pack_array(values))


class Integers(bytes):
    """Integers, sent as int8[]."""


class IntegersDumper(psycopg.adapt.Dumper):
    """They are packed already."""

    format = psycopg.pq.Format.BINARY
    oid = psycopg.adapters.types["int8"].array_oid

    def dump(self, obj: Integers) -> bytes:
        """As they are."""
        return obj


psycopg.adapters.register_dumper(Integers, IntegersDumper)
