"""Closing a bucket: its rows are written in pieces, and then the border moves that the views go by."""

from collections.abc import Iterable, Iterator

import numpy as np
import psycopg
from psycopg import sql

from analytics.beside import Piece
from analytics.columns import FloatArray
from analytics.rollup.fresh import Fresh, instant
from analytics.rollup.grid import Grid, Places
from analytics.rollup.total import joined, totals
from analytics.rollup.width import MINUTE, Width
from devices.family import Family

GRID_ROWS = 100_000
READ_DEVICES = 5_000

Ids = np.ndarray[tuple[int], np.dtype[np.integer]]


class Heard:
    """The ids of the devices that sent readings of an open bucket."""

    def __init__(self) -> None:
        self._parts: list[Ids] = []

    def add(self, devices: Ids) -> None:
        """Note the devices of some rows."""
        self._parts.append(np.unique(devices))
        if len(self._parts) > 64:
            self._parts = [np.unique(np.concatenate(self._parts))]

    def ids(self) -> list[int]:
        """Each device once, in order."""
        return np.unique(np.concatenate(self._parts)).tolist() if self._parts else []


def from_memory(
    fresh: Fresh, grid: Grid, places: Places, bucket: int, interval_s: FloatArray, first: bool
) -> Iterator[Piece]:
    """Write the sums of a bucket, to which nothing is added any more. `interval_s`: by place; `first`: nobody can have
    begun to write this bucket, so nothing that is there is looked for."""
    devices = places.devices[: places.count].copy()

    def areas(connection: psycopg.Connection) -> None:
        fresh.forget_areas(connection, bucket)
        fresh.insert_areas(connection, bucket, totals(fresh.family, fresh.width, [grid], joined([grid]), interval_s))

    if fresh.width is not MINUTE:
        yield areas
    filled = grid.filled()
    filled = filled[np.argsort(devices[filled])]  # in the order of the key, which then grows at its end only
    for first_row in range(0, len(filled), GRID_ROWS):
        some = filled[first_row : first_row + GRID_ROWS]

        def piece(connection: psycopg.Connection, some: Ids = some) -> None:
            if first:
                fresh.copy_grid(connection, grid, devices, some, bucket)
            else:
                fresh.from_grid(connection, grid, devices, some, bucket)
                fresh.put(connection)

        yield piece


def from_readings(fresh: Fresh, devices: Iterable[int], bucket: int) -> Iterator[Piece]:
    """Compute a bucket of some devices in the database."""
    ids = list(devices)
    yield lambda connection: fresh.forget_areas(connection, bucket)
    for first in range(0, len(ids), READ_DEVICES):
        some = ids[first : first + READ_DEVICES]

        def piece(connection: psycopg.Connection, some: list[int] = some) -> None:
            fresh.of_bucket(connection, some, bucket)
            fresh.place(connection)

        yield piece


def enrolled(connection: psycopg.Connection, family: Family) -> list[int]:
    """Ids of all devices of a family."""
    rows = connection.execute(
        "select d.id from registry.device d join registry.profile p on p.id = d.profile where p.family = %s order by 1",
        (family.name,),
    )
    return [number for (number,) in rows]


def move_border(connection: psycopg.Connection, family: Family, width: Width, until: int) -> None:
    """Everything before `until` (µs since 1970 UTC) is closed from this transaction on."""
    statement = sql.SQL("update rollup.closed set until = {} where family = %s and width = %s")
    connection.execute(statement.format(instant(until)), (family.name, width.name))


def touched_within(connection: psycopg.Connection, family: Family, width: Width, start: int, until: int) -> bool:
    """Whether rows of these buckets wait to be made anew."""
    statement = sql.SQL(
        "select exists(select from rollup.touched where family = %s and width = %s and bucket >= {} and bucket < {})"
    ).format(instant(start), instant(until))
    return connection.execute(statement, (family.name, width.name)).fetchone() == (True,)
