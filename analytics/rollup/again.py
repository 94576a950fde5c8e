"""After a restart: what was taken of the open buckets before it is read again, beside the stream.

Hours and minutes come from the batches that had been taken; a day from those of its hours that are closed.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.beside import Job, Piece
from analytics.binary import columns_of
from analytics.columns import Columns
from analytics.consume import Taken, read, taken_from
from analytics.rollup.fresh import instant
from analytics.rollup.rolling import Rolling
from analytics.rollup.width import HOUR
from devices.family import Family

PIECE_ROWS = 200_000
PIECE_DEVICES = 20_000
MOST_WAITING = 2
RANK = 1  # closing comes first

TAKEN = sql.SQL(
    "select b.batch, b.rows, b.time_min, b.time_max from ops.batch b where b.family = {} and b.time_max >= {} "
    "and b.xid <= coalesce((select c.xid from ops.consumer c where c.consumer = {}), '0') order by b.batch"
)
HOURS = sql.SQL(
    "select device, area, sum(n)::integer, {} from {} "
    "where device >= {} and device < {} and bucket >= {} and bucket < {} group by device, area order by device"
)
OF_METRIC = (
    "coalesce(sum({n}), 0)::integer, coalesce(sum({sum}), 0), coalesce(min({min}), 'NaN'), coalesce(max({max}), 'NaN')"
)
TYPES_OF_METRIC = "i4 f8 f8 f8"


class Again:
    """Something read by a thread on its way into sums, which are whole when all of it is there."""

    def __init__(self, rollings: Sequence[Rolling]) -> None:
        self._rollings = rollings
        self._found: deque[Any] = deque()
        self.job = Job(self._pieces(), RANK, lambda: len(self._found) < MOST_WAITING)

    def take(self) -> bool:
        """Add some of what has been read; False when nothing is there now."""
        done = self.job.done.is_set()  # asked first: what was found before that is there
        if self._found:
            self._add(self._found.popleft())
        elif done:
            for rolling in self._rollings:
                rolling.reading_again = False
        return bool(self._found)

    @property
    def family(self) -> str:
        """The name of the family."""
        return self._rollings[0].family.name

    @property
    def over(self) -> bool:
        """Whether all is in the sums."""
        return not any(rolling.reading_again for rolling in self._rollings)

    def _pieces(self) -> Iterator[Piece]:
        raise NotImplementedError

    def _add(self, found: Any) -> None:
        raise NotImplementedError


class BatchesAgain(Again):
    """The batches of a family, for hours and minutes."""

    def __init__(self, rollings: Sequence[Rolling], batches: list[Taken]) -> None:
        self._batches = batches
        super().__init__(rollings)

    def _pieces(self) -> Iterator[Piece]:
        for taken in self._batches:
            yield partial(self._read, taken)

    def _read(self, taken: Taken, connection: psycopg.Connection) -> None:
        self._found.append(read(connection, taken))

    def _add(self, found: Columns) -> None:
        for rolling in self._rollings:
            rolling.take_again(found)


class Summed(NamedTuple):
    """Hours of one day added up, a row per device and area. `parts`: n, sum, lowest, highest of each metric."""

    day: int
    device: npt.NDArray[np.int32]
    area: npt.NDArray[np.int16]
    n: npt.NDArray[np.int32]
    parts: list[npt.NDArray[Any]]


class HoursAgain(Again):
    """The hours that were closed before the start, for the days in which they lie. What late readings change in them
    from then on is not seen here: whoever takes those must let these devices be suspected.

    `until`: up to where hours are closed; `highest`: of the registry's ids.
    """

    def __init__(self, rolling: Rolling, until: int, highest: int) -> None:
        self._rolling = rolling
        self._until = until
        self._highest = highest
        super().__init__([rolling])

    def _pieces(self) -> Iterator[Piece]:
        width = self._rolling.width
        for day in range(self._rolling.again_from, self._until, width.us):
            for first in range(0, self._highest + 1, PIECE_DEVICES):
                query = hours(self._rolling.family, first, day, min(day + width.us, self._until))
                yield partial(self._read, day, query)

    def _read(self, day: int, query: sql.Composed, connection: psycopg.Connection) -> None:
        metrics = self._rolling.family.metrics
        device, area, n, *parts = columns_of(connection, query, f"i4 i2 i4 {f'{TYPES_OF_METRIC} ' * len(metrics)}")
        if len(device):
            self._found.append(Summed(day, device, area, n, parts))

    def _add(self, found: Summed) -> None:
        if found.day < self._rolling.frozen or not self._rolling.keeps(found.day):
            return
        places, grid = self._rolling.places.of(found.device), self._rolling.grid(found.day)
        order = np.argsort(places)
        once = np.ones(len(order), np.bool_)
        twice = np.flatnonzero(np.diff(places[order]) == 0)
        once[np.r_[twice, twice + 1]] = False
        if len(twice):
            grid.suspect(places[order[twice]])
        some = order[once]
        if len(some):
            grid.add_sums(places[some], found.area[some], found.n[some], [part[some] for part in found.parts])


def batches_taken(connection: psycopg.Connection, consumer: str, family: Family, since: int) -> list[Taken]:
    """The batches that have been taken with readings from `since` on (µs since 1970 UTC), in portions to be read."""
    return list(portions(family, connection.execute(TAKEN.format(family.name, instant(since), consumer)).fetchall()))


def portions(family: Family, batches: Iterable[tuple[int, int, datetime, datetime]]) -> Iterator[Taken]:
    """Batches put together until they are of some size."""
    portion: list[tuple[str, int, int, datetime, datetime]] = []
    rows = 0
    for batch in batches:
        portion.append((family.name, *batch))
        rows += batch[1]
        if rows >= PIECE_ROWS:
            yield taken_from(family, portion)
            portion, rows = [], 0
    if portion:
        yield taken_from(family, portion)


def hours(family: Family, first: int, start: int, until: int) -> sql.Composed:
    """The closed hours from `start` to `until` of some devices, added up."""
    metrics = [
        sql.SQL(OF_METRIC).format(
            **{part: sql.Identifier(f"{metric.name}_{part}") for part in ("n", "sum", "min", "max")}
        )
        for metric in family.metrics
    ]
    return HOURS.format(
        sql.SQL(", ").join(metrics),
        sql.Identifier("rollup", f"{family.name}_{HOUR.name}"),
        first,
        first + PIECE_DEVICES,
        instant(start),
        instant(until),
    )
