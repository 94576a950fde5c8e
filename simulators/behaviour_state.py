"""States, and numbers that are chosen from a few: drawn by weight and kept for a while."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.family import Metric
from simulators import draw
from simulators.behaviour_around import Around
from simulators.behaviour_noise import phase_of
from simulators.draw import Floats, Keys, salt

BINS = 1 << 16
_BIN, _UNIT = np.uint64(48), 2.0**-53
_S11 = np.uint64(11)


class Choice:
    """A metric with curve `choice`."""

    def __init__(self, metric: Metric, section: Mapping[str, Any]) -> None:
        """Raises KeyError, ValueError, TypeError on a faulty section."""
        options = list(section["weights"])
        unknown = [option for option in options if metric.states and option not in metric.states]
        if unknown:
            raise ValueError(f"{unknown[0]} is no state; expected {', '.join(metric.states)}")
        self._of = np.array([metric.states.index(option) if metric.states else float(option) for option in options])
        self._lot = Lot(np.array([float(section["weights"][option]) for option in options], dtype=np.float64))
        self._hold, self._purpose = float(section.get("hold", 600.0)), np.uint64(salt("choice", metric.name))

    def at(self, around: Around) -> NDArray[Any]:
        """Numbers, or indices of states; drawn anew every `hold` seconds, each device at its own moment."""
        mine = around.keys ^ self._purpose
        turn = np.floor(around.seconds / self._hold + phase_of(mine)).astype(np.int64).astype(np.uint64)
        return np.asarray(self._of[self._lot.drawn(draw.finish(draw.finish(mine) + turn * draw.GOLDEN))])


class Lot:
    """Draws a place by weight, exactly, mostly by one look into a table."""

    def __init__(self, weights: Floats) -> None:
        """`weights` need not add up to one. Raises ValueError unless they are 0 or more and some is above 0."""
        if not len(weights) or weights.min() < 0 or weights.sum() <= 0:
            raise ValueError("weights must be 0 or more, and one of them above 0")
        self._edges = np.cumsum(weights) / weights.sum()
        starts = np.arange(BINS + 1) / BINS
        first, last = self._place(starts[:-1]), self._place(np.nextafter(starts[1:], 0.0))
        self._table, self._split = first.astype(np.uint8), first != last

    def drawn(self, words: Keys) -> NDArray[np.uint8]:
        """A place per random 64-bit word."""
        bins = words >> _BIN
        places = np.asarray(self._table[bins])
        torn = np.flatnonzero(self._split[bins])
        if len(torn):
            places[torn] = self._place((words[torn] >> _S11).astype(np.float64) * _UNIT)
        return places

    def _place(self, numbers: Floats) -> NDArray[np.int64]:
        return np.minimum(np.searchsorted(self._edges, numbers, side="right"), len(self._edges) - 1)
