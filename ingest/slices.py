"""What a table holds of a local day, chunk by chunk, and what it held when the lake had all of it."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from devices.family import Family
from ingest.chunks import Chunk, Span, chunks, local_days, local_span

Connection = psycopg.Connection[Any]


class Slice(NamedTuple):
    """The part of a local day that lies in one chunk, and what the table holds of it."""

    span: Span
    rows: int
    digest: Decimal


def measure(connection: Connection, family: Family, span: Span) -> Iterator[Slice]:
    """What the table holds of a span, chunk by chunk."""
    for chunk in chunks(connection, family.name):
        start, end = max(span.start, chunk.span.start), min(span.end, chunk.span.end)
        if start < end:
            yield measure_slice(connection, family, Span(start, end))


def measure_slice(connection: Connection, family: Family, span: Span) -> Slice:
    """Rows and the sum of the hashes of whole rows, in which their order plays no part."""
    statement = sql.SQL(
        "select count(*), coalesce(sum(hash_record_extended(r, 0)::numeric), 0) from {} r"
        " where time >= %s and time < %s"
    ).format(sql.Identifier("reading", family.name))
    row = connection.execute(statement, span).fetchone()
    assert row is not None  # an aggregate has one row
    return Slice(span, *row)


def kept(connection: Connection, family: Family, day: date, chunk: Chunk) -> bool:
    """Whether the chunk's part of a day is what it was when the lake had all of it."""
    whole = local_span(day)
    span = Span(max(whole.start, chunk.span.start), min(whole.end, chunk.span.end))
    now = measure_slice(connection, family, span)
    noted = connection.execute(
        "select rows, digest from ops.lake_slice where family = %s and day = %s and from_time = %s and to_time = %s",
        (family.name, day, *span),
    ).fetchone()
    return now.rows == 0 or noted == (now.rows, now.digest)


def note_dropped(connection: Connection, family: Family, chunk: Chunk) -> None:
    """Record that the lake alone has these rows now."""
    connection.execute(
        "update ops.lake_slice set dropped = now() where family = %s and from_time >= %s and to_time <= %s",
        (family.name, *chunk.span),
    )
    connection.execute(
        "update ops.lake l set dropped = now() where family = %s and day = any(%s) and dropped is null and not exists"
        " (select from ops.lake_slice s where s.family = l.family and s.day = l.day and s.dropped is null"
        " and s.rows > 0)",
        (family.name, local_days(chunk.span)),
    )
