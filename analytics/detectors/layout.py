"""Where a detector keeps what it knows: all of a device in one row of bytes, so that a reading touches few cache lines.

    per device: its plain numbers | for each judged metric: its plain numbers, then its tables | up to a whole line

Each array of a detector is a view of its place in these rows. Readings come by chance, so that nearly every line that
they touch comes from far away: with an array for each number a value would wait for a dozen of them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

LINE = 64
"""Bytes that the processor fetches at once."""
WORTH = 1.25
"""Rows are filled up to whole lines where that takes no more than this."""


class State(NamedTuple):
    """An array of a detector: numpy type, what a new device begins with, and its shape behind the slot.

    One entry per judged metric, each of the further `shape`; with `per_device` one per device.
    """

    kind: str
    filling: float = 0
    shape: tuple[int, ...] = ()
    per_device: bool = False

    @property
    def size(self) -> int:
        """Bytes of an entry."""
        return np.dtype(self.kind).itemsize * int(np.prod(self.shape, dtype=int))


States = Mapping[str, State]


Arrays = dict[str, npt.NDArray[Any]]
"""By name: slots × judged × shape, or slots × shape per device."""


class Records(NamedTuple):
    """Rows of devices, for loops. `each`: records of metrics, slots × judged; `devices`: records of what is
    per device, slots; `rows`: all of it as bytes, slots × bytes."""

    each: npt.NDArray[Any]
    devices: npt.NDArray[Any]
    rows: npt.NDArray[Any]


def record(states: States) -> np.dtype[Any]:
    """Plain numbers first, the widest before the others; then tables, small ones first."""
    names = sorted(
        states, key=lambda name: (bool(states[name].shape), states[name].size * (1 if states[name].shape else -1))
    )
    return np.dtype([(name, states[name].kind, states[name].shape) for name in names], align=True)


class Row(NamedTuple):
    """Of a device: the type of what is kept of it, that of a metric, where metrics begin, and bytes in all."""

    device: np.dtype[Any]
    metric: np.dtype[Any]
    metrics_at: int
    size: int


def row_of(states: States, judged: int) -> Row:
    """The row of a device of which so many metrics are judged."""
    device = record({name: state for name, state in states.items() if state.per_device})
    metric = record({name: state for name, state in states.items() if not state.per_device})
    begin = rounded(device.itemsize, max(metric.alignment, 1))
    size = rounded(begin + judged * metric.itemsize, 8)
    if judged > 1 and size == judged * metric.itemsize:
        size += 8  # else it would be another kind of array to numba than with other metrics, and be compiled by itself
    lines = rounded(size, LINE)
    return Row(device, metric, begin, lines if lines <= WORTH * size else size)


def rounded(size: int, unit: int) -> int:
    """Up to a multiple."""
    return -(-size // unit) * unit


def new_rows(states: States, judged: int, slots: int) -> tuple[Arrays, Records]:
    """Rows of devices of which nothing was seen, and arrays that are views of them. Where all begins with 0, memory of
    devices that never send is never touched."""
    row = row_of(states, judged)
    memory = np.zeros(max(slots, 1) * row.size + LINE, np.uint8)
    begin = -memory.ctypes.data % LINE

    def view(kind: npt.DTypeLike, at: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> npt.NDArray[Any]:
        return np.ndarray(shape, kind, memory, begin + at, steps)

    each = view(row.metric, row.metrics_at, (slots, judged), (row.size, row.metric.itemsize))
    bytes_of = view("u1", 0, (slots, row.size), (row.size, 1))
    devices = view(row.device, 0, (slots,), (row.size,)) if row.device.names else bytes_of
    arrays = {name: (devices if state.per_device else each)[name] for name, state in states.items()}
    for name, state in states.items():
        if state.filling:
            arrays[name][...] = state.filling
    known = [name for name in row.metric.names or () if row.metric[name].base != np.float16]  # by numba
    return arrays, Records(each[known], devices, bytes_of)


def new_columns(states: States, judged: int, slots: int) -> Arrays:
    """The same, an array for each number."""

    def column(state: State) -> npt.NDArray[Any]:
        shape = (slots, *(() if state.per_device else (judged,)), *state.shape)
        kind = np.dtype(state.kind)
        return np.full(shape, state.filling, kind) if state.filling else np.zeros(shape, kind)

    return {name: column(state) for name, state in states.items()}
