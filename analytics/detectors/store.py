"""Positions and packed ranges in the database.

A range is as after all batches up to its own position. The row with `first` -1 of a family stands for devices that are
in no range: nothing of them came up to its position.
"""

from typing import NamedTuple

import numpy as np
import psycopg

from analytics.detectors.pack import SPAN
from analytics.detectors.rows import Ints

NO_RANGE = -1
HEADS = """
select family, first, xid::text, substring(packed from 1 for %s) from rollup.detector_state order by family, first
"""
PACKED = "select packed from rollup.detector_state where family = %s and first = %s"
SAVE = """
insert into rollup.detector_state (family, first, xid, packed) values (%s, %s, %s::xid8, %b)
on conflict (family, first) do update set (xid, packed) = (excluded.xid, excluded.packed)
"""
REST = "update rollup.detector_state set xid = %s::xid8 where family = %s and xid < %s::xid8"
MOVE = """
insert into rollup.detecting (family, xid) select %s, c.xid from ops.consumer c where c.consumer = %s
on conflict (family) do update set xid = excluded.xid returning xid::text
"""
MOVE_TO = """
insert into rollup.detecting (family, xid) values (%s, %s::xid8)
on conflict (family) do update set xid = excluded.xid
"""
TAKEN = "select coalesce((select c.xid from ops.consumer c where c.consumer = %s), '0')::text"


class Head(NamedTuple):
    """A stored range of a family: its position, and the beginning of its bytes, with the devices."""

    family: str
    first: int
    xid: int
    beginning: bytes


def heads(connection: psycopg.Connection) -> list[Head]:
    """All stored ranges."""
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(HEADS, (4 + 4 * SPAN,)).fetchall()
    return [Head(family, first, int(xid), bytes(beginning)) for family, first, xid, beginning in rows]


def packed(connection: psycopg.Connection, family: str, first: int) -> bytes:
    """A stored range as a whole."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(PACKED, (family, first)).fetchone()
    assert row is not None  # listed by `heads` in the same snapshot
    return bytes(row[0])


def save(connection: psycopg.Connection, family: str, first: int, xid: int, content: bytes) -> None:
    """Store a range."""
    connection.execute(SAVE, (family, first, str(xid), content))


def rest_at(connection: psycopg.Connection, family: str, xid: int) -> None:
    """All ranges that are behind a position had nothing to take in up to there."""
    connection.execute(REST, (str(xid), family, str(xid)))


def taken(connection: psycopg.Connection, consumer: str) -> int:
    """The position of the stream."""
    row = connection.execute(TAKEN, (consumer,)).fetchone()
    assert row is not None  # a select without a table always gives a row
    return int(row[0])


def positions(connection: psycopg.Connection) -> dict[str, int]:
    """Up to where what was found is written, by family."""
    return {name: int(xid) for name, xid in connection.execute("select family, xid::text from rollup.detecting")}


def move(connection: psycopg.Connection, family: str, consumer: str) -> int:
    """Go along with the stream; returns the position."""
    row = connection.execute(MOVE, (family, consumer)).fetchone()
    assert row is not None  # whoever takes a batch is a consumer
    return int(row[0])


def move_to(connection: psycopg.Connection, family: str, xid: int) -> None:
    """Say up to where what was found is written."""
    connection.execute(MOVE_TO, (family, str(xid)))


def seen_from(ranges: list[Head], size: int, family: str) -> Ints:
    """By slot, the position up to which what is remembered has taken everything in."""
    own = [head for head in ranges if head.family == family]
    begin = next((head.xid for head in own if head.first == NO_RANGE), 0)
    seen = np.full(size, begin, np.int64)
    for head in own:
        if head.first != NO_RANGE:
            n = int(np.frombuffer(head.beginning, "<i4", 1)[0])
            seen[head.first : head.first + n] = head.xid
    return seen
