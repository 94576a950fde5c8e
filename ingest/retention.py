"""How long things are kept: chunks and rows whose time is over, named first, then dropped."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import structlog

from devices.family import FAMILIES
from ingest.chunks import Chunk, chunks, drop_chunk

LOCK_TIMEOUT = "1s"
DAY = timedelta(days=1)
KEPT = {
    "": 30 * DAY,
    "1m": 30 * DAY,
    "1h": 730 * DAY,
    "1d": 3650 * DAY,
    "quarantine": 30 * DAY,
    "ledger": 730 * DAY,
    "event": 730 * DAY,
    "batch": 2 * DAY,
}
"""What is kept how long unless told otherwise: readings under "", rollups by bucket, and what lies beside them."""
ROLLUPS = ("1m", "1h", "1d")

log = structlog.get_logger("ingest.retention")

Connection = psycopg.Connection[Any]
Kept = Mapping[str, timedelta]


class RetentionRefused(Exception):
    """Something would be forgotten too early; the message names both limits."""


class Going(NamedTuple):
    """A chunk whose time is over. `what` is the name under which its retention is set."""

    what: str
    chunk: Chunk


class Outcome(NamedTuple):
    """What a round of retention did. `busy`: chunks in use just now, left for the next round."""

    dropped: list[Going]
    busy: list[Going]
    rows: dict[str, int]

    @property
    def bytes(self) -> int:
        """Bytes given back to the disk."""
        return sum(going.chunk.bytes for going in self.dropped)


def kept_for(kept: Kept, name: str) -> timedelta:
    """How long something is kept: set for it alone, or for its bucket, or for all readings."""
    if name in kept:
        return kept[name]
    bucket = name.rpartition("_")[2]
    return kept[bucket] if bucket in ROLLUPS else kept[""]


def require_longer_than_late(kept: Kept, late_us: Mapping[str, int]) -> None:
    """Refuse to forget readings, or what is reckoned from them, while late ones may still come for the same time."""
    for family in FAMILIES:
        late = timedelta(microseconds=late_us.get(family, late_us[""]))
        for name in (family, *(f"{family}_{bucket}" for bucket in ROLLUPS)):
            if kept_for(kept, name) < late:
                raise RetentionRefused(
                    f"{name} is kept {shown(kept_for(kept, name))}, shorter than its late limit of {shown(late)} "
                    f"(DOTHI_LATE_LIMIT); allowed: {shown(late)} or more"
                )


def shown(span: timedelta) -> str:
    """Days, or hours where days do not fit.

    >>> shown(timedelta(days=30)), shown(timedelta(hours=12))
    ('30d', '12h')
    """
    return f"{span / timedelta(hours=1):g}h" if span % DAY else f"{span // DAY}d"


def going(connection: Connection, kept: Kept, now: datetime) -> list[Going]:
    """The chunks whose last moment is longer ago than they are kept, oldest first within each table."""
    found = []
    for schema, table, name in tables(connection):
        cut = now - kept_for(kept, name)
        found += [Going(name, chunk) for chunk in chunks(connection, table, schema) if chunk.span.end <= cut]
    return found


def tables(connection: Connection) -> list[tuple[str, str, str]]:
    """Hypertables with a retention: schema, table, and the name under which it is set."""
    rows = connection.execute(
        "select hypertable_schema::text, hypertable_name::text from timescaledb_information.hypertables"
        " where hypertable_schema in ('reading', 'rollup')"
        " or (hypertable_schema, hypertable_name) = ('ops', 'quarantine')"
        " order by 1, 2"
    ).fetchall()
    return [(schema, table, table) for schema, table in rows if schema != "reading" or table in FAMILIES]


def retain(
    connection: Connection, kept: Kept, now: datetime, release: Callable[[Chunk], bool] | None = None
) -> Outcome:
    """Drop the chunks whose time is over and forget rows beside them. Autocommit connection, of the owner.

    `release` drops a chunk of readings after making sure that it is kept elsewhere; without it readings just go.
    """
    dropped: list[Going] = []
    busy: list[Going] = []
    for one in going(connection, kept, now):
        drop = release if release and one.chunk.schema == "reading" else lambda chunk: drop_quickly(connection, chunk)
        (dropped if drop(one.chunk) else busy).append(one)
        log.info("chunk dropped" if one in dropped else "chunk in use", what=one.what, chunk=one.chunk.name)
    rows = {name: forget(connection, statement, now - kept[what]) for name, (what, statement) in FORGET.items()}
    return Outcome(dropped, busy, rows)


def drop_quickly(connection: Connection, chunk: Chunk) -> bool:
    """Drop a chunk unless somebody reads it for longer than a moment: those behind us must not wait."""
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            drop_chunk(connection, chunk)
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def forget(connection: Connection, statement: str, before: datetime) -> int:
    """Delete rows from before a moment; returns how many."""
    return connection.execute(statement.encode(), {"before": before}).rowcount


def forgettable(connection: Connection, kept: Kept, now: datetime) -> dict[str, int]:
    """How many rows `retain` would forget."""
    counted = {}
    for name, (what, statement) in FORGET.items():
        count = statement.replace("delete from", "select count(*) from", 1)
        row = connection.execute(count.encode(), {"before": now - kept[what]}).fetchone()
        counted[name] = int(row[0]) if row else 0
    return counted


FORGET = {
    "quota_lines": (
        "quarantine",
        "delete from ops.quarantine_quota where day < (%(before)s::timestamptz at time zone 'Asia/Ho_Chi_Minh')::date",
    ),
    "settled_lines": ("quarantine", "delete from ops.settled where at < %(before)s"),
    "ledger_minutes": ("ledger", "delete from ops.ledger where minute < %(before)s"),
    "events": ("event", "delete from ops.event where time < %(before)s"),
    # Batches that some consumer has still to take stay, however old. They go in the order of their numbers, so that
    # what is left begins somewhere and has no holes: the audit compares rows with it from its first number on.
    "batches": (
        "batch",
        "delete from ops.batch b where b.batch < coalesce("
        "(select min(k.batch) from ops.batch k where k.committed >= %(before)s or k.xid > "
        "coalesce((select c.xid from ops.consumer c order by c.xid limit 1), '18446744073709551615'::xid8)),"
        " 9223372036854775807)",
    ),
}
"""Rows beside the hypertables: the name under which their retention is set, and the statement."""
