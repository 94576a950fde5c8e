"""Rows that the database itself refuses: told apart from faults of the infrastructure, and found by halving."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

# SQLSTATE classes that speak of the rows: data exception, integrity constraint, limit exceeded (a value too large to be
# stored), and a trigger's own refusal. All other classes are faults of the infrastructure or of the schema.
ROW_CLASSES = frozenset(("22", "23", "54", "P0"))


def refuses_rows(error: psycopg.Error) -> bool:
    """Whether the database refused because of the rows; otherwise nothing may be acknowledged until it is mended."""
    return (error.sqlstate or "")[:2] in ROW_CLASSES


async def store_or_name(
    connection: psycopg.AsyncConnection[Any], rows: list[int], store: Callable[[list[int]], Awaitable[None]]
) -> dict[int, str]:
    """Store rows, all but those that the database refuses; returns these with the database's words.

    Raises UniqueViolation when a key is taken, and whatever is no refusal of rows. Works within a transaction: each
    half has a savepoint.
    """
    try:
        async with connection.transaction():
            await store(rows)
        return {}
    except psycopg.errors.UniqueViolation as error:
        if is_key(error):
            raise
        words = said(error)
    except psycopg.Error as error:
        if not refuses_rows(error):
            raise
        words = said(error)
    if len(rows) == 1:
        return {rows[0]: words}
    half = len(rows) // 2
    first = await store_or_name(connection, rows[:half], store)
    return first | await store_or_name(connection, rows[half:], store)


def is_key(error: psycopg.errors.UniqueViolation) -> bool:
    """Whether it is the readings' own key; of a chunk's index the name ends like that of the table's."""
    return (error.diag.constraint_name or "").endswith("_key")


def said(error: psycopg.Error) -> str:
    """The database's words in one line."""
    primary, detail = error.diag.message_primary or str(error), error.diag.message_detail
    return f"{error.sqlstate}: {primary}" + (f" ({detail})" if detail else "")
