"""What to do with a batch in which a key is taken or a row is refused: look, store what can be, judge the rest."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from devices.family import Family
from devices.native import WAY
from ingest.batch import Columns
from ingest.copies import Copy, CopyFailed, copy_all, copy_one
from ingest.pack import Prepared
from ingest.parameters import Integers, Microseconds, integers, timestamp
from ingest.poison import refuses_rows, store_or_name
from ingest.recent import marks_of, repeats

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


# Looked up through the key, one row after the other, in the chunks between the bounds.
LOOK_UP = (
    "select {} from unnest(%s, %s, %s) with ordinality k (device, time, seq, place)"
    " cross join lateral (select * from {} r where r.device = k.device::int4"
    "  and r.time = timestamptz 'epoch' + k.time * interval '1 microsecond' and r.seq = k.seq"
    "  and r.time between %s and %s offset 0) r"
)


class Clash(Exception):
    """A plain COPY was refused because of its rows: a key is taken, or a row is not acceptable."""

    def __init__(self, family: str) -> None:
        super().__init__(family)
        self.family = family


async def copy_families(connection: Connection, copies: dict[str, Copy]) -> None:
    """The common case: the rows of each family in one COPY. Raises Clash when those of one need a closer look."""
    try:
        await copy_all(connection, list(copies.values()))
    except CopyFailed as failed:
        if refuses_rows(failed.error):
            raise Clash(list(copies)[failed.place]) from failed.error
        raise failed.error from None


@lru_cache(maxsize=4096)  # which columns there are is the devices' choice
def copy_statement(family: Family, names: tuple[str, ...]) -> bytes:
    """COPY into some columns of the table of a family."""
    return copy_into(table_of(family.name), names)


def copy_into(table: sql.Identifier, names: Iterable[str]) -> bytes:
    """One binary COPY."""
    return sql.SQL("copy {} ({}) from stdin (format binary)").format(table, identifiers(names)).as_bytes(None)


async def settle(connection: Connection, columns: Columns, batch: int) -> Verdicts:
    """Store the rows whose key is free and that the database accepts; the others are duplicates (same values stored),
    conflicts (other values) or refused. Asking first and copying the rest costs less than staging everything."""
    again = repeats(columns, marks_of(columns))
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
    prepared = Prepared(columns, batch)
    statement = copy_statement(columns.family, prepared.names)

    async def store(some: list[int]) -> None:
        await copy_one(connection, Copy(statement, prepared.pieces(some)))

    async with connection.transaction():
        return await store_or_name(connection, rows, store)


async def taken(connection: Connection, columns: Columns) -> set[int]:
    """The rows whose key is in the table."""
    rows = range(len(columns))
    cursor = await connection.execute(
        sql.SQL(LOOK_UP).format(sql.SQL("k.place::int - 1"), table_of(columns.family.name)),
        (*keys_of(columns, rows), *bounds(columns, rows)),
        prepare=False,  # planned with the bounds as constants, so that only the chunks between them are looked at
    )
    return {place for (place,) in await cursor.fetchall()}


async def judge(connection: Connection, columns: Columns, batch: int, rows: list[int]) -> tuple[list[int], list[int]]:
    """Duplicates and conflicts among rows whose key is stored. Compared where both have the database's own types."""
    if not rows:
        return [], []
    family = columns.family.name
    staging = sql.Identifier(f"staging_{family}")
    await connection.execute(
        sql.SQL("create temporary table if not exists {} (like {}, ordinal int) on commit delete rows").format(
            staging, table_of(family)
        )
    )
    prepared = Prepared(columns, batch, ordinals=True)
    await copy_one(connection, Copy(copy_into(staging, prepared.names), prepared.pieces(rows)))
    verdicts = dict(await compare(connection, columns, rows, staging))
    if len(verdicts) < len(rows):
        raise psycopg.OperationalError("a stored reading vanished while its duplicate was judged")
    return [row for row in rows if verdicts[row]], [row for row in rows if not verdicts[row]]


async def compare(
    connection: Connection, columns: Columns, rows: Sequence[int], staging: sql.Identifier
) -> list[tuple[int, bool]]:
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
            table_of(columns.family.name),
        ),
        bounds(columns, rows),
        prepare=False,
    )
    return await cursor.fetchall()


def said_by(row: str, columns: Columns) -> sql.Composed:
    """What the device said in a row: its values, and `extra` without how it reached us."""
    values = [sql.SQL("{}").format(sql.Identifier(row, name)) for name in columns.family.index]
    extra = sql.SQL("nullif({} - {}::text[], '{{}}')").format(sql.Identifier(row, "extra"), list(WAY))
    return sql.SQL(", ").join([*values, extra])


def table_of(family: str) -> sql.Identifier:
    """The hypertable of the family."""
    return sql.Identifier("reading", family)


def keys_of(columns: Columns, rows: Iterable[int]) -> tuple[Integers, Integers, Integers]:
    """Devices, times and numbers of rows, as parameters."""
    table, chosen = columns.table, np.array(list(rows), dtype=np.intp)
    return integers(table.device[chosen]), integers(table.time[chosen]), integers(table.seq[chosen])


def bounds(columns: Columns, rows: Iterable[int]) -> tuple[Microseconds, Microseconds]:
    """The first and the last time of rows."""
    times = columns.time[np.array(list(rows), dtype=np.intp)]
    return timestamp(times.min()), timestamp(times.max())


def identifiers(names: Iterable[str]) -> sql.Composed:
    """Names as a comma separated list."""
    return sql.SQL(", ").join(map(sql.Identifier, names))
