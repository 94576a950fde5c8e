"""How long a chunk is: so long that the indexes of the chunks that are being written fit into memory together.

A row's place in the index is that of its device, so all of the newest chunk's index is written to all the time; what of
it is not in memory has to be read first. A chunk that is there keeps its length, so a change is felt when the next one
begins. Short chunks cost a look into each when somebody asks for a long time, so they are not shorter than need be.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg import sql

log = structlog.get_logger("ingest.chunk_length")

Connection = psycopg.Connection[Any]

DAY = timedelta(days=1)
LENGTHS = tuple(DAY / parts for parts in (96, 48, 24, 12, 8, 6, 4, 3, 2, 1))
"""What divides a day, from a quarter of an hour on: chunks begin and end with the days of UTC."""
SHARE = 4
"""The indexes may take the fourth part of what the database takes for its memory (`effective_cache_size`)."""
SMOOTHED_S = 600.0
"""Over so long the growth is averaged: a burst shortens nothing."""
NEWEST = """
select h.hypertable_name::text, c.chunk_name::text,
       pg_indexes_size(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass)
from timescaledb_information.hypertables h
cross join lateral (
    select c.* from timescaledb_information.chunks c
    where c.hypertable_schema = h.hypertable_schema and c.hypertable_name = h.hypertable_name
    order by c.range_end desc limit 1) c
where h.hypertable_schema = 'reading'
"""
LENGTHS_NOW = """
select hypertable_name::text, time_interval from timescaledb_information.dimensions
where hypertable_schema = 'reading' and dimension_number = 1
"""
ROOM = "select pg_size_bytes(current_setting('effective_cache_size')) / %s"


class Seen(NamedTuple):
    """The newest chunk of a family, the bytes of its indexes, and when that was (monotonic, s)."""

    chunk: str
    bytes: int
    at: float


class Growth:
    """How fast the index of each family grows, bytes/s, averaged."""

    def __init__(self) -> None:
        self.per_s: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}

    def see(self, newest: Mapping[str, tuple[str, int]], now: float) -> None:
        """Take in the newest chunks (name, bytes of its indexes) by family."""
        for family, (chunk, size) in newest.items():
            before = self._seen.get(family)
            self._seen[family] = Seen(chunk, size, now)
            if before and before.chunk == chunk and now > before.at:
                self._average(family, max(size - before.bytes, 0) / (now - before.at), now - before.at)

    def _average(self, family: str, per_s: float, over_s: float) -> None:
        weight = min(over_s / SMOOTHED_S, 1.0)
        self.per_s[family] = per_s * weight + self.per_s.get(family, per_s) * (1 - weight)


def lengths(per_s: Mapping[str, float], room: float) -> dict[str, timedelta]:
    """The length of the chunks of each family. `per_s`: growth of its index, bytes/s; `room`: bytes for all of them.

    Families whose day fits into an equal share keep days; the others share what is left.

    >>> lengths({"air_quality": 4_000_000, "rain": 100}, 3e9)["air_quality"]
    datetime.timedelta(seconds=900)
    """
    share, left, many = room, room, len(per_s)
    for need in sorted(growth * DAY.total_seconds() for growth in per_s.values()):
        share = left / many
        if need > share:
            break
        left, many = left - need, many - 1
    return {family: length(share / growth) if growth else DAY for family, growth in per_s.items()}


def length(seconds: float) -> timedelta:
    """The longest that is not longer, or the shortest."""
    return max((one for one in LENGTHS if one.total_seconds() <= seconds), default=LENGTHS[0])


def adapt(connection: Connection, growth: Growth, now: float) -> dict[str, timedelta]:
    """Look at the newest chunks and set the length of those to come; what was changed. Autocommit, of the owner.

    Shortened as soon as need be, lengthened only by four at least, so that it does not go back and forth.
    """
    growth.see({family: (chunk, size) for family, chunk, size in connection.execute(NEWEST.encode())}, now)
    row = connection.execute(ROOM, (SHARE,)).fetchone()
    assert row is not None  # a setting that every server has
    present = dict(connection.execute(LENGTHS_NOW).fetchall())
    wanted = lengths(growth.per_s, row[0])
    changed = {family: one for family, one in wanted.items() if one < present[family] or one >= 4 * present[family]}
    for family, one in changed.items():
        table = sql.Identifier("reading", family).as_string()
        connection.execute("select set_chunk_time_interval(%s::regclass, %s)", (table, one))
        log.info("chunks change their length", family=family, hours=one / timedelta(hours=1))
    return changed
