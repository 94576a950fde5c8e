"""Whole columns between PostgreSQL's binary formats and numpy, without a loop over rows. None that comes has NULLs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
ARRAY_HEADER = 20  # bytes of a binary one-dimensional array before its elements


def columns_of(connection: psycopg.Connection, query: sql.Composed, types: str) -> list[npt.NDArray[Any]]:
    """The columns that a query gives, numpy types such as "i4 i8 f8" that must be those of the query.

    One row of arrays rather than a row for each: numpy takes an array over as it is. Times are µs since 2000-01-01 UTC.
    Of a column whose type ends with "?" come the values that are not NULL.
    """
    kinds = types.split()
    names = [sql.Identifier(f"c{place}") for place in range(len(kinds))]
    gathered = sql.SQL(", ").join(gathering(name, kind) for name, kind in zip(names, kinds, strict=True))
    whole = sql.SQL("select {} from ({}) q ({})").format(gathered, query, sql.SQL(", ").join(names))
    with connection.cursor(binary=True) as cursor:
        result = cursor.execute(whole).pgresult
        assert result is not None  # execute gave a result or raised
        return [elements(result.get_value(0, place), f">{kind.rstrip('?')}") for place, kind in enumerate(kinds)]


def gathering(name: sql.Identifier, kind: str) -> sql.Composed:
    """A column as one array."""
    only = sql.SQL(" filter (where {} is not null)").format(name) if kind.endswith("?") else sql.SQL("")
    return sql.SQL("array_agg({}){}").format(name, only)


def elements(raw: bytes | None, kind: str) -> npt.NDArray[Any]:
    """The elements of a PostgreSQL array without NULLs in its binary form, in the machine's byte order; None: empty."""
    native = np.dtype(kind).newbyteorder("=")
    if raw is None:
        return np.empty(0, dtype=native)
    layout = np.dtype([("length", ">i4"), ("value", kind)])
    return np.frombuffer(raw, dtype=layout, offset=ARRAY_HEADER)["value"].astype(native)


def copy_text(types: str, columns: Sequence[npt.NDArray[Any]]) -> bytes:
    """What a binary COPY of columns of equal length sends."""
    kinds = types.split()
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for place, kind in enumerate(kinds):
        fields += [(f"size{place}", ">i4"), (f"column{place}", f">{kind}")]
    rows = np.zeros(len(columns[0]), np.dtype(fields))
    rows["fields"] = len(columns)
    for place, (kind, column) in enumerate(zip(kinds, columns, strict=True)):
        rows[f"size{place}"] = np.dtype(kind).itemsize
        rows[f"column{place}"] = column
    return HEADER + rows.tobytes() + END
