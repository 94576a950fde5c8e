"""How long a chunk is: so long that the indexes of the chunks that are being written fit into memory together.

A row's place in the index is that of its device, so all of the newest chunk's index is written to all the time; what of
it is not in memory has to be read first. A chunk that is there keeps its length, so a change is felt when the next one
begins. Short chunks cost a look into each when somebody asks for a long time, so there are as few as may be.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg import sql

log = structlog.get_logger("ingest.chunk_length")

Connection = psycopg.Connection[Any]
Chunk = tuple[str, str, int]
"""Family, name of a chunk, bytes of its indexes."""

DAY = timedelta(days=1)
LENGTHS = tuple(DAY / parts for parts in (288, 144, 96, 48, 24, 12, 8, 6, 4, 3, 2, 1))
"""What divides a day, from five minutes on: chunks begin and end with the days of UTC."""
SHARE = 2
"""The indexes may take half of what the database takes for its memory (`effective_cache_size`). Less would make more
chunks, and each costs a look-up wherever somebody goes by device: see docs/decisions/0014-key-order-and-chunks.md."""
SMOOTHED_S = 600.0
"""Over so long the growth is averaged: a burst shortens nothing."""
NEWEST = """
select h.hypertable_name::text, c.chunk::text, pg_indexes_size(c.chunk)
from timescaledb_information.hypertables h
cross join lateral ops.newest_chunks(h.hypertable_name, 3) c (chunk)
where h.hypertable_schema = 'reading'
order by 1
"""
"""Of each family the chunks that are being written: devices whose clocks run ahead begin the next one early."""
LENGTHS_NOW = """
select hypertable_name::text, time_interval from timescaledb_information.dimensions
where hypertable_schema = 'reading' and dimension_number = 1
"""
ROOM = "select pg_size_bytes(current_setting('effective_cache_size')) / %s"


class Seen(NamedTuple):
    """The newest chunks of a family with the bytes of their indexes, and when that was (monotonic, s)."""

    chunks: Mapping[str, int]
    at: float


class Growth:
    """How fast the indexes of each family grow, bytes/s, averaged."""

    def __init__(self) -> None:
        self.per_s: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}

    def see(self, newest: Iterable[Chunk], now: float) -> None:
        """Take in the newest chunks, ordered by family."""
        for family, chunks in groupby(newest, key=lambda chunk: chunk[0]):
            seen = Seen({chunk: size for _, chunk, size in chunks}, now)
            before, self._seen[family] = self._seen.get(family), seen
            if before and now > before.at:
                grown = sum(max(size - before.chunks.get(chunk, 0), 0) for chunk, size in seen.chunks.items())
                self._average(family, grown / (now - before.at), now - before.at)

    def _average(self, family: str, per_s: float, over_s: float) -> None:
        weight = min(over_s / SMOOTHED_S, 1.0)
        self.per_s[family] = per_s * weight + self.per_s.get(family, per_s) * (1 - weight)


def lengths(per_s: Mapping[str, float], room: float) -> dict[str, timedelta]:
    """The length of the chunks of each family. `per_s`: growth of its index, bytes/s; `room`: bytes for all of them.

    With as few chunks a day as fit: shortened is always where a further chunk gives most room. Halving a chunk of
    length d gives growth × d / 2 for 1 / d more of them, so families that grow four times as fast get chunks about half
    as long.

    >>> lengths({"air_quality": 4_000_000, "rain": 100}, 6e9)["air_quality"]
    datetime.timedelta(seconds=900)
    """
    gains = {gain(growth, *step) for growth in per_s.values() for step in pairwise(LENGTHS)}
    for least in sorted(gains, reverse=True):
        longer = {family: length(growth, least) for family, growth in per_s.items()}
        if sum(growth * longer[family].total_seconds() for family, growth in per_s.items()) <= room:
            return longer
    return dict.fromkeys(per_s, LENGTHS[0])


def gain(growth: float, shorter: timedelta, longer: timedelta) -> float:
    """Bytes of room for each further chunk a day, where chunks are shortened by a step."""
    return growth * shorter.total_seconds() * longer.total_seconds()


def length(growth: float, least: float) -> timedelta:
    """What is left when every step that gains more than `least` is taken."""
    taken = (shorter for shorter, longer in pairwise(LENGTHS) if gain(growth, shorter, longer) > least)
    return next(taken, LENGTHS[-1])


def adapt(connection: Connection, growth: Growth, now: float) -> dict[str, timedelta]:
    """Look at the newest chunks and set the length of those to come; what was changed. Autocommit, of the owner.

    Shortened as soon as need be, lengthened only by four at least, so that it does not go back and forth.
    """
    growth.see(connection.execute(NEWEST.encode()).fetchall(), now)
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
