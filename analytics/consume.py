"""From the stream of batches to columns: which batches come next, and the rows they are."""

from bisect import bisect_left
from collections.abc import Iterable
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


def read(connection: psycopg.Connection, taken: Taken, numbered: bool = False) -> Columns:
    """All rows of the batches. The transaction must have taken them, so that they are committed.

    `numbered`: each row with the batch it came in.
    """
    metrics = [sql.SQL("coalesce({}::float8, 'NaN')").format(sql.Identifier(m.name)) for m in taken.family.metrics]
    number = [sql.SQL("batch")] if numbered else []
    query = sql.SQL("select device, area, time, seq, received, {} from {} where {}").format(
        sql.SQL(", ").join(metrics + number), sql.Identifier("reading", taken.family.name), taken.condition
    )
    types = "i4 i2 i8 i8 i8" + " f8" * len(metrics) + " i8" * len(number)
    device, area, time, seq, received, *found = columns_of(connection, query, types)
    values: FloatArray = np.empty((len(device), len(metrics)))
    for place, column in enumerate(found[: len(metrics)]):
        values[:, place] = column
    columns = Columns(
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
    return check(taken, columns)


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
