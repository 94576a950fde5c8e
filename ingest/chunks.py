"""Chunks of hypertables and the local days that they hold parts of."""

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from ingest.quarantine import LOCAL

Connection = psycopg.Connection[Any]


class Span(NamedTuple):
    """From a moment up to, not including, another."""

    start: datetime
    end: datetime


class Chunk(NamedTuple):
    """One chunk of a hypertable: its tables' names, what it covers, and its bytes with indexes."""

    schema: str
    table: str
    name: str
    span: Span
    bytes: int


def local_span(day: date) -> Span:
    """A day in Asia/Ho_Chi_Minh, from midnight to midnight."""
    start = datetime(day.year, day.month, day.day, tzinfo=LOCAL)
    return Span(start, start + timedelta(days=1))


def chunks(connection: Connection, table: str, schema: str = "reading") -> list[Chunk]:
    """The chunks of a hypertable, oldest first."""
    rows = connection.execute(
        "select chunk_schema, chunk_name, range_start, range_end,"
        " pg_total_relation_size(format('%%I.%%I', chunk_schema, chunk_name)::regclass)"
        " from timescaledb_information.chunks where hypertable_schema = %s and hypertable_name = %s"
        " and range_start is not null order by range_start",
        (schema, table),
    )
    return [Chunk(schema, table, f"{inner}.{name}", Span(start, end), size) for inner, name, start, end, size in rows]


def local_days(span: Span) -> list[date]:
    """The days in Asia/Ho_Chi_Minh that a span touches."""
    first = span.start.astimezone(LOCAL).date()
    last = (span.end - timedelta(microseconds=1)).astimezone(LOCAL).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def drop_chunk(connection: Connection, chunk: Chunk) -> None:
    """Drop this chunk and no other."""
    dropped = connection.execute(
        "select drop_chunks(%s::regclass, older_than => %s::timestamptz, newer_than => %s::timestamptz)",
        (f"{chunk.schema}.{chunk.table}", chunk.span.end, chunk.span.start),
    ).fetchall()
    assert dropped == [(chunk.name,)] or not dropped, dropped
