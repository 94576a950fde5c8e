"""How many devices are in which state: newest values counted a range of devices at a time, and written by family.

The count goes round all the time and takes a small share of it, so its price does not grow with the city, its age does.
"""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg import sql

from analytics.columns import Columns
from analytics.newest_rows import highest_device, newest_table
from devices.family import FAMILIES, Family, Metric

STEP = 50_000  # devices looked at in one piece
EVERY_S = 10.0  # a small city is not counted more often
BUSY_S = 0.04  # of each tick, at least one piece

COMPLETE = "select coalesce(bool_or(complete), false) from rollup.newest_state"
FORGET = "delete from rollup.state_count where family = %s"
WRITE = """
insert into rollup.state_count (family, area, metric, state, devices, as_of)
select %s, u.*, %s from unnest(%s::text[], %s::text[], %s::text[], %s::integer[]) u
"""


class Piece(NamedTuple):
    """Devices of a family with registry ids from `low` to below `low + STEP`; `last`: then the family is counted."""

    family: Family
    low: int
    last: bool


Counts = Counter[tuple[str, str, str]]
"""Devices by area, metric and state."""


class States:
    """A follower of the stream (analytics/analyst.py): keeps rollup.state_count."""

    name = "states"

    def __init__(self, step: int = STEP, busy_s: float = BUSY_S) -> None:
        self._step = step
        self._busy_s = busy_s
        self._forget()

    def _forget(self) -> None:
        self._pieces: Iterator[Piece] = iter(())
        self._counts: Counts = Counter()
        self._next = 0.0

    def reset(self, connection: psycopg.Connection) -> None:
        """Begin with the first family; what was written stays until it is counted again."""
        self._forget()

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Newest values say who is in which state."""

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Count the next ranges of devices, for a moment."""
        until = time.monotonic() + self._busy_s
        for piece in self._due(connection):
            self._counts.update(counted(connection, piece, self._step))
            if piece.last:
                write(connection, piece.family, self._counts, now)
                self._counts = Counter()
            if time.monotonic() >= until:
                return

    def _due(self, connection: psycopg.Connection) -> Iterator[Piece]:
        """The pieces that are left of this round, then those of the next one when that is due."""
        yield from self._pieces
        if time.monotonic() >= self._next and connection.execute(COMPLETE).fetchone() == (True,):
            self._next = time.monotonic() + EVERY_S
            self._pieces = iter(pieces(highest_device(connection), self._step))
            yield from self._pieces


def pieces(highest: int, step: int) -> list[Piece]:
    """One round: every family that has states, all devices of each."""
    return [
        Piece(family, low, low + step > highest)
        for family in FAMILIES.values()
        if stateful(family)
        for low in range(0, highest + 1, step)
    ]


def stateful(family: Family) -> list[Metric]:
    """The metrics of a family that are states."""
    return [metric for metric in family.metrics if metric.kind == "state"]


def counted(connection: psycopg.Connection, piece: Piece, step: int) -> Counts:
    """The states of one range of devices: one look at each, whatever it tells."""
    metrics = stateful(piece.family)
    states = sql.SQL(", ").join(sql.Identifier(metric.name) for metric in metrics)
    query = sql.SQL("select area, {}, count(*) from {} where device >= {} and device < {} group by area, {}").format(
        states, newest_table(piece.family, complete=True), piece.low, piece.low + step, states
    )
    found: Counts = Counter()
    for area, *codes, devices in connection.execute(query).fetchall():
        for metric, code in zip(metrics, codes, strict=True):
            if code is not None:
                found[area, metric.name, metric.states[code]] += devices
    return found


def write(connection: psycopg.Connection, family: Family, counts: Counts, now: datetime) -> None:
    """Put the counts of a family in the place of the last ones."""
    connection.execute(FORGET, (family.name,))
    areas, metrics, states = (list(column) for column in zip(*counts, strict=True)) if counts else ([], [], [])
    connection.execute(WRITE, (family.name, now, areas, metrics, states, list(counts.values())))
