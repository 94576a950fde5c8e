"""The sums of devices, kept in memory, added up by area."""

from collections.abc import Callable, Iterator, Sequence
from operator import add
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.columns import FloatArray, IntArray
from analytics.rollup.areas import area_table
from analytics.rollup.grid import NOWHERE, Grid, Sums
from analytics.rollup.shape import summed_columns
from analytics.rollup.width import Width
from devices.family import Family

JOINS: dict[str, Callable[[Any, Any], Any]] = {"n": add, "sum": add, "min": min, "max": max}
Row = dict[str, Any]  # a row of rollup.<family>_area_<width> without bucket and area; what is absent is left out


class Joined(NamedTuple):
    """Parts of one bucket as one, by place: readings, area, and whether all of them lie in that area."""

    n: IntArray
    area: IntArray
    plain: npt.NDArray[np.bool_]


def joined(grids: Sequence[Grid]) -> Joined:
    """What parts of a bucket say together."""
    size = max((len(grid.n) for grid in grids), default=0)
    n, area, plain = np.zeros(size, np.int64), np.full(size, NOWHERE, np.int16), np.ones(size, np.bool_)
    for grid in grids:
        some = slice(0, len(grid.n))
        filled = grid.n > 0
        plain[some] &= ~filled | (area[some] == NOWHERE) | (area[some] == grid.area)
        plain[list(grid.odd)] = False
        area[some] = np.where(filled, grid.area, area[some])
        n[some] += grid.n
    return Joined(n, area, plain)


def totals(
    family: Family, width: Width, grids: Sequence[Grid], whole: Joined, interval_s: FloatArray
) -> dict[int, Row]:
    """Area → its row, over the devices that are plain. `interval_s`: by place."""
    places = np.flatnonzero(whole.plain & (whole.n > 0))
    places = places[np.argsort(whole.area[places], kind="stable")]
    area, n = whole.area[places], whole.n[places]
    starts = np.flatnonzero(np.diff(area, prepend=NOWHERE))
    devices = np.diff(starts, append=len(places))
    share = np.minimum(1.0, n * interval_s[places] / width.seconds)
    counted = zip(devices.tolist(), reduced(np.add, n, starts), reduced(np.add, share, starts), strict=True)
    found = area[starts].tolist()
    rows: list[Row] = [{"devices": d, "n": readings, "filled": filled} for d, readings, filled in counted]
    for metric, *parts in zip(family.metrics, *(grid.metrics for grid in grids), strict=True):
        for sums in filter(None, parts):
            for row, more in zip(rows, metric_totals(sums, places, starts, len(whole.n)), strict=True):
                join(row, {f"{metric.name}_{part}": value for part, value in more.items()})
    return dict(zip(found, rows, strict=True))


def metric_totals(sums: Sums, places: IntArray, starts: IntArray, size: int) -> Iterator[Row]:
    """n, sum, min and max of one metric of each run of places; empty where none of them has it."""
    sums.grow(size)
    columns = (
        reduced(np.add, sums.n[places].astype(np.int64), starts),
        reduced(np.add, sums.sum[places], starts),
        reduced(np.fmin, sums.low[places], starts),
        reduced(np.fmax, sums.high[places], starts),
    )
    for values in zip(*columns, strict=True):
        yield dict(zip(JOINS, values, strict=True)) if values[0] else {}


def reduced(by: np.ufunc, values: npt.NDArray[Any], starts: IntArray) -> list[Any]:
    """One value for each run."""
    found: list[Any] = by.reduceat(values, starts).tolist() if len(starts) else []
    return found


def join(row: Row, more: Row) -> None:
    """Add to a row what other readings of its area say."""
    for name, value in more.items():
        known = row.get(name)
        row[name] = value if known is None else JOINS.get(name.rpartition("_")[2], add)(known, value)


def insert_totals(
    connection: psycopg.Connection, family: Family, width: Width, bucket: sql.Literal, rows: dict[int, Row]
) -> None:
    """Rows of areas of which there are none yet."""
    names = ["devices", "n", "filled", *(column.name for column in summed_columns(family))]
    statement = sql.SQL("insert into {} (bucket, area, {}) values ({}, {})").format(
        area_table(family, width),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        bucket,
        sql.SQL(", ").join([sql.Placeholder()] * (len(names) + 1)),
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, [[area, *(row.get(name) for name in names)] for area, row in rows.items()])
