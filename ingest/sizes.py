"""What rows take on the disk of a running database."""

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from ingest.chunks import chunks

LEAST_ROWS = 100_000
"""Fewer rows say more about half-filled pages than about rows."""

Connection = psycopg.Connection[Any]


class RowBytes(NamedTuple):
    """Bytes of a row with its index; None where the table has too few to tell."""

    reading: float | None
    rollup_1h: float | None
    rollup_1d: float | None
    lake: float | None


def row_bytes(connection: Connection, family: str) -> RowBytes:
    """Bytes per row of a family's tables."""
    lake = connection.execute(
        "select sum(bytes)::float8 / sum(rows) from ops.lake where family = %s having sum(rows) >= %s",
        (family, LEAST_ROWS),
    ).fetchone()
    return RowBytes(
        reading=table_row_bytes(connection, "reading", family),
        rollup_1h=table_row_bytes(connection, "rollup", f"{family}_1h"),
        rollup_1d=table_row_bytes(connection, "rollup", f"{family}_1d"),
        lake=lake[0] if lake else None,
    )


def table_row_bytes(connection: Connection, schema: str, table: str) -> float | None:
    """Bytes of a row with its index in the largest chunk of a hypertable."""
    found = sorted(chunks(connection, table, schema), key=lambda chunk: chunk.bytes)
    if not found:
        return None
    name = sql.Identifier(*found[-1].name.split(".", 1))
    row = connection.execute(sql.SQL("select count(*) from {}").format(name)).fetchone()
    rows = row[0] if row else 0
    return found[-1].bytes / rows if rows >= LEAST_ROWS else None
