"""From the stream of batches to columns: which batches come next, and the rows they are."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from typing import NamedTuple

import numpy as np
import psycopg
import structlog
from psycopg import sql

from analytics.binary import columns_of
from analytics.columns import Columns, FloatArray
from devices.family import FAMILIES, Family

log = structlog.get_logger("analytics.consume")

CONSUMER = "analyst"  # of what rings
BOARDS = "boards"  # of what is shown
EPOCH_2000_US = 946_684_800_000_000  # PostgreSQL counts microseconds from 2000-01-01
MOST_PEEKED = 4000

PEEK = """
select b.rows, extract(epoch from clock_timestamp() - b.committed)::float8 from ops.batch b
where b.xid > coalesce((select c.xid from ops.consumer c where c.consumer = %s), '0') order by b.xid limit %s
"""


class Waiting(NamedTuple):
    """What lies before us: how many rows of ops.batch the next round takes, and the age of the oldest (s; 0: none)."""

    most: int
    age_s: float


class Taken(NamedTuple):
    """Batches of one family that were taken together. `rows`: readings in them; times bound those readings."""

    family: Family
    batches: tuple[int, ...]
    rows: int
    time_min: datetime
    time_max: datetime

    @property
    def condition(self) -> sql.Composed:
        """The rows of these batches, and no others. The index on batch is of ranges, so the bounds find the pages;
        the times find the chunks."""
        return sql.SQL("batch between {} and {} and batch = any({}) and time between {} and {}").format(
            min(self.batches), max(self.batches), list(self.batches), self.time_min, self.time_max
        )


def peek(connection: psycopg.Connection, consumer: str, most_rows: int) -> Waiting:
    """How much to take so that a round holds about `most_rows` readings; at least one batch where there is any."""
    found = connection.execute(PEEK, (consumer, MOST_PEEKED)).fetchall()
    sums = list(accumulate(rows for rows, _ in found))
    most = min(bisect_left(sums, most_rows) + 1, len(sums))
    return Waiting(most, max(0.0, found[0][1]) if found else 0.0)


def take(connection: psycopg.Connection, consumer: str, most: int) -> list[Taken]:
    """The next batches by family. The position of the consumer moves with the caller's transaction.

    A family that this code does not know is passed over and said: its files are gone, so nothing shows it either.
    """
    rows = connection.execute(
        "select family, batch, rows, time_min, time_max from ops.take_batches(%s, %s) order by family, batch",
        (consumer, most),
    ).fetchall()
    grouped = [(name, list(group)) for name, group in groupby(rows, key=lambda row: row[0])]
    for name, group in grouped:
        if name not in FAMILIES:
            log.error("batches of an unknown family passed over", family=name, batches=len(group))
    return [taken_from(FAMILIES[name], group) for name, group in grouped if name in FAMILIES]


def taken_from(family: Family, rows: Iterable[tuple[str, int, int, datetime, datetime]]) -> Taken:
    """One family's batches together."""
    _, batches, counts, earliest, latest = zip(*rows, strict=True)
    return Taken(family, tuple(batches), sum(counts), min(earliest), max(latest))


class Sent:
    """The metrics of each family that some row has had, of those that were read with it. A row costs the server by its
    columns, empty ones included, and devices send half of what their family knows: only these are asked for."""

    def __init__(self) -> None:
        self._places: dict[str, set[int]] = {}

    def places(self, family: Family) -> list[int] | None:
        """Places of the metrics to ask for, among those of the family; None while nothing is known."""
        known = self._places.get(family.name)
        return None if known is None else sorted(known)

    def note(self, columns: Columns) -> None:
        """Rows that were read with all metrics."""
        there = np.flatnonzero(~np.isnan(columns.values).all(axis=0)).tolist()
        self._places.setdefault(columns.family.name, set()).update(there)


def read(connection: psycopg.Connection, taken: Taken, numbered: bool = False, sent: Sent | None = None) -> Columns:
    """All rows of the batches. The transaction must have taken them, so that they are committed.

    `numbered`: each row with the batch it came in. `sent`: what to ask for first; a row that has another metric is
    noticed, and then all are read again with all.
    """
    places = sent.places(taken.family) if sent else None
    columns = None if places is None else read_some(connection, taken, numbered, places)
    if columns is None:
        columns = read_some(connection, taken, numbered, range(len(taken.family.metrics)))
        assert columns is not None  # no metric is beyond all
        if sent:
            sent.note(columns)
    return check(taken, columns)


def read_some(connection: psycopg.Connection, taken: Taken, numbered: bool, places: Sequence[int]) -> Columns | None:
    """The rows with the metrics at these places; None when one of the rows has another."""
    wanted, beyond = expressions(taken.family, places)
    number = [sql.SQL("batch")] if numbered else []
    query = sql.SQL("select device, area, time, seq, received, {} from {} where {}").format(
        sql.SQL(", ").join(wanted + beyond + number), sql.Identifier("reading", taken.family.name), taken.condition
    )
    types = "i4 i2 i8 i8 i8" + " f8" * len(wanted) + " f8?" * len(beyond) + " i8" * len(number)
    device, area, time, seq, received, *found = columns_of(connection, query, types)
    if beyond and len(found[len(wanted)]):
        return None
    values: FloatArray = np.full((len(device), len(taken.family.metrics)), np.nan)
    for place, column in zip(places, found, strict=False):
        values[:, place] = column
    return Columns(
        taken.family,
        device,
        area,
        time + EPOCH_2000_US,
        seq,
        received + EPOCH_2000_US,
        values,
        taken.batches,
        found[-1] if numbered else None,
    )


def expressions(family: Family, places: Sequence[int]) -> tuple[list[sql.Composed], list[sql.Composed]]:
    """The metrics at these places, NaN where there is none; and, where there are others, the first that a row has."""
    named = [sql.SQL("{}::float8").format(sql.Identifier(metric.name)) for metric in family.metrics]
    others = [name for place, name in enumerate(named) if place not in places]
    first = [sql.SQL("coalesce({})").format(sql.SQL(", ").join(others))] if others else []
    return [sql.SQL("coalesce({}, 'NaN')").format(named[place]) for place in places], first


def check(taken: Taken, columns: Columns) -> Columns:
    """Say it when rows are missing: retention has dropped them before they were taken, or the index is broken."""
    if len(columns.device) != taken.rows:
        log.error(
            "batches lack rows",
            family=taken.family.name,
            batches=f"{min(taken.batches)} to {max(taken.batches)}",
            rows=taken.rows,
            found=len(columns.device),
        )
    return columns
