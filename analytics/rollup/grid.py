"""Sums of one open bucket in memory, for families of gauges: dense arrays, one place per device.

Bytes per place: 6 for count and area, and 28 for each metric that any device has sent (count int32; sum, lowest and
highest float64). With three metrics that is 90 bytes per device and open bucket.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.columns import FloatArray, IntArray

NOWHERE = -1


class Places:
    """Device ids → places in dense arrays, in the order in which devices are first heard."""

    def __init__(self) -> None:
        self.devices = np.empty(0, dtype=np.int32)  # place → id
        self.count = 0
        self._places = np.empty(0, dtype=np.int32)  # id → place

    def of(self, devices: IntArray) -> npt.NDArray[np.int32]:
        """The places of devices, new ones included."""
        highest = int(devices.max()) + 1
        self._places = grown(self._places, highest, NOWHERE)
        found = self._places[devices]
        new = np.unique(devices[found == NOWHERE])
        if len(new):
            self.devices = grown(self.devices, self.count + len(new), 0)
            self.devices[self.count : self.count + len(new)] = new
            self._places[new] = np.arange(self.count, self.count + len(new), dtype=np.int32)
            self.count += len(new)
            found = self._places[devices]
        return found


class Sums:
    """One metric: how many readings have it, their sum, lowest and highest; NaN where there is none."""

    def __init__(self) -> None:
        self.n = np.empty(0, dtype=np.int32)
        self.sum = np.empty(0)
        self.low = np.empty(0)
        self.high = np.empty(0)

    def grow(self, size: int) -> None:
        """Make room."""
        self.n = grown(self.n, size, 0)
        self.sum = grown(self.sum, size, 0.0)
        self.low = grown(self.low, size, np.nan)
        self.high = grown(self.high, size, np.nan)

    def add(self, places: IntArray, n: IntArray, total: FloatArray, low: FloatArray, high: FloatArray) -> None:
        """Add to places, each of which is named once."""
        self.n[places] += n
        self.sum[places] += total
        self.low[places] = np.fmin(self.low[places], low)
        self.high[places] = np.fmax(self.high[places], high)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.n.nbytes + self.sum.nbytes + self.low.nbytes + self.high.nbytes


class Grid:
    """The sums of one bucket. Devices that sent from two areas in it are `odd`: their sums are not to be used."""

    def __init__(self, metrics: int, size: int = 0) -> None:
        """Of so many metrics; `size`: how many places are likely to be filled."""
        self.n = np.zeros(size, dtype=np.int32)
        self.area = np.full(size, NOWHERE, dtype=np.int16)
        self.metrics: list[Sums | None] = [None] * metrics
        self.odd: set[int] = set()  # places

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.n.nbytes + self.area.nbytes + sum(sums.nbytes for sums in self.metrics if sums)

    def add(self, places: IntArray, areas: IntArray, values: FloatArray) -> None:
        """Readings: places (rows), areas (rows), values (rows, metrics) with NaN where there is none."""
        order = np.argsort(places, kind="stable")
        ordered = places[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=NOWHERE))
        touched, runs, first = ordered[starts], lengths(starts, len(ordered)), areas[order[starts]]
        self.odd.update(ordered[areas[order] != np.repeat(first, runs)].tolist())
        self._count(touched, first, runs)
        for metric in range(values.shape[1]):
            present = ~np.isnan(values[:, metric])
            if present.any():
                column, present = values[order, metric], present[order]
                n = np.add.reduceat(present.astype(np.int32), starts)
                total = np.add.reduceat(np.where(present, column, 0.0), starts)
                extremes = np.fmin.reduceat(column, starts), np.fmax.reduceat(column, starts)
                self._sums(metric).add(touched, n, total, *extremes)

    def merge(self, other: "Grid") -> None:
        """Add another bucket of the same places."""
        filled = np.flatnonzero(other.n)
        self.odd |= other.odd
        if not len(filled):
            return
        self._count(filled, other.area[filled], other.n[filled])
        for metric, sums in enumerate(other.metrics):
            if sums:
                some = filled[filled < len(sums.n)]
                self._sums(metric).add(some, sums.n[some], sums.sum[some], sums.low[some], sums.high[some])

    def add_sums(self, places: IntArray, areas: IntArray, n: IntArray, parts: list[npt.NDArray[Any]]) -> None:
        """Add what was added up elsewhere: places in order, each named once; `parts`: n, sum, lowest and highest of
        each metric in turn, the latter NaN where there is none."""
        self._count(places, areas, n)
        for metric, (count, total, low, high) in enumerate(zip(*[iter(parts)] * 4, strict=True)):
            if count.any():
                self._sums(metric).add(places, count, total, low, high)

    def filled(self) -> npt.NDArray[np.intp]:
        """The places that are to be written."""
        found = self.n > 0
        found[list(self.odd)] = False
        return np.flatnonzero(found)

    def suspect(self, places: IntArray) -> None:
        """The sums of these places are not to be used."""
        self._room(int(places.max()) + 1)
        self.odd.update(places.tolist())

    def _room(self, size: int) -> None:
        self.n, self.area = grown(self.n, size, 0), grown(self.area, size, NOWHERE)

    def _count(self, places: IntArray, areas: IntArray, n: IntArray) -> None:
        self._room(int(places[-1]) + 1)
        known = self.area[places]
        self.odd.update(places[(known != NOWHERE) & (known != areas)].tolist())
        self.area[places] = areas
        self.n[places] += n

    def _sums(self, metric: int) -> Sums:
        sums = self.metrics[metric] or Sums()
        self.metrics[metric] = sums
        sums.grow(len(self.n))
        return sums


def lengths(starts: IntArray, rows: int) -> IntArray:
    """Rows of each run."""
    return np.diff(starts, append=rows).astype(np.int32)


def grown(array: npt.NDArray[Any], size: int, fill: float) -> npt.NDArray[Any]:
    """The array with room for `size`, and for some more so that this is rare."""
    if len(array) >= size:
        return array
    larger = np.full(max(size + size // 16, 64), fill, dtype=array.dtype)
    larger[: len(array)] = array
    return larger
