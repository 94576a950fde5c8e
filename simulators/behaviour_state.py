"""States, and numbers that are chosen from a few: drawn by weight and kept for a while."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.family import Metric
from simulators import draw
from simulators.behaviour_around import Around
from simulators.behaviour_noise import noise, odds, phase_of, shares
from simulators.draw import Floats, Keys, salt

BINS = 1 << 16
_BIN, _UNIT = np.uint64(48), 2.0**-53
_S11 = np.uint64(11)
LATEST = 0.5


class Choice:
    """A metric with curve `choice`: drawn by weight and kept for about `hold` seconds."""

    def __init__(self, metric: Metric, section: Mapping[str, Any]) -> None:
        """Raises KeyError, ValueError, TypeError on a faulty section."""
        weights = section["weights"]
        if metric.states:
            self._of = np.array([place_of(metric, option) for option in weights], dtype=np.int64)
        else:
            self._of = np.array([float(option) + 0.0 for option in weights])  # never -0.0
        self._lot = Lot(np.array([float(weight) for weight in weights.values()]))
        self.draws = len(self._of) > 1

    def at(self, around: Around, words: Keys | None) -> NDArray[Any]:
        """Numbers, or indices of states, by a random word for each device if it `draws`."""
        if words is None:
            return np.repeat(self._of, len(around.keys))
        return np.asarray(self._of[self._lot.drawn(words)])


class Steps:
    """A metric with curve `step`: the last state whose threshold is reached by what it follows; `weights` go before.

    Those are the shares of time in which the state is another one, as a fault is, for about `hold` seconds each.
    """

    def __init__(self, metric: Metric, section: Mapping[str, Any]) -> None:
        """Raises KeyError, ValueError, TypeError on a faulty section."""
        steps = sorted(section["steps"].items(), key=lambda pair: float(pair[1]))
        self._of = np.array([place_of(metric, state) for state, _ in steps], dtype=np.int64)
        self._thresholds = np.array([float(threshold) for _, threshold in steps])
        self._follows = {name: float(amount) for name, amount in section["follows"].items()}
        self._noise, self._odd = np.float32(section.get("noise", 0.0)), odds([metric.name], "noise")
        others = section.get("weights", {})
        left = 1.0 - sum(map(float, others.values()))
        self._others = np.array([-1, *(place_of(metric, state) for state in others)], dtype=np.int64)
        self._lot = Lot(np.array([left, *map(float, others.values())]))
        self.draws = len(self._others) > 1

    def at(self, around: Around, words: Keys | None) -> NDArray[np.int64]:
        """Indices of states, as `Choice`."""
        level = sum((amount * around.driver(name) for name, amount in self._follows.items()), np.zeros(1))
        if self._noise:
            level = level + self._noise * noise(around.words, self._odd)[0]
        usual = self._of[np.maximum(np.searchsorted(self._thresholds, level, side="right") - 1, 0)]
        if words is None:
            return np.asarray(usual)
        other = self._others[self._lot.drawn(words)]
        return np.where(other < 0, usual, other)


class Draws:
    """Random words that are kept for a while, for several metrics at once: each device has moments of its own."""

    def __init__(self, parts: Sequence[tuple[Metric, Mapping[str, Any]]]) -> None:
        self._hold = np.array([float(section.get("hold", 600.0)) for _, section in parts]).reshape(-1, 1)
        self._odd = odds([metric.name for metric, _ in parts], "hold")
        self._purpose = np.array([salt("choice", metric.name) for metric, _ in parts], dtype=np.uint64).reshape(-1, 1)

    def at(self, around: Around) -> Keys:
        """One word per metric (row), device and moment."""
        if not len(self._odd):
            return np.empty((0, len(around.keys)), dtype=np.uint64)
        place = around.seconds / self._hold + shares(around.words, self._odd)
        turn = np.floor(place)
        number = (around.words.key ^ self._purpose) + turn.astype(np.int64).view(np.uint64) * draw.GOLDEN
        words = draw.finish(draw.finish(number))
        # What is drawn begins up to half a turn late: until then the word before still holds.
        waits = place - turn < LATEST * phase_of(words)
        words[waits] = draw.finish(draw.finish(number[waits] - draw.GOLDEN))
        return words


def place_of(metric: Metric, state: object) -> int:
    """The place of a state. Raises ValueError for an unknown one."""
    if state not in metric.states:
        raise ValueError(f"{state} is no state; expected {', '.join(metric.states)}")
    return metric.states.index(str(state))


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
