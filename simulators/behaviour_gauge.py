"""Gauges: the metrics of a family that go up and down, worked out together as one matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.family import Metric
from simulators.behaviour_around import Around
from simulators.behaviour_noise import character, noise, odds
from simulators.draw import Floats

Matrix = NDArray[np.float64]


class Gauges:
    """Several metrics with curve `day`: a mean, a wave over the day, what they follow, character and noise."""

    def __init__(self, parts: Sequence[tuple[Metric, Mapping[str, Any], int]]) -> None:
        """`parts`: metric, its section, its decimals. Raises KeyError, ValueError, TypeError on a faulty section."""
        sections = [section for _, section, _ in parts]
        self.names = [metric.name for metric, _, _ in parts]
        self._mean, self._noise = _column(sections, "mean"), _column(sections, "noise").astype(np.float32)
        self._own = _own(sections)
        turn = _column(sections, "peak", 14.0) * (2.0 * np.pi / 24.0)
        self._cosine, self._sine = (_column(sections, "swing") * side for side in (np.cos(turn), np.sin(turn)))
        self._moved, self._drawn = odds(self.names, "noise"), odds(self.names, "own")
        self._scale = 10.0 ** np.array([float(places) for _, _, places in parts]).reshape(-1, 1)
        self._low, self._high = edges([metric for metric, _, _ in parts], self._scale)
        self._follows = [
            (row, driver, float(amount))
            for row, section in enumerate(sections)
            for driver, amount in section.get("follows", {}).items()
        ]

    def at(self, around: Around) -> Matrix:
        """One row of values per metric, rounded and inside the legal range."""
        if not self.names:
            return np.empty((0, len(around.keys)))
        total = self._mean + noise(around.words, self._moved) * self._noise
        total += character(around.words, self._drawn) * self._own
        if self._cosine.any() or self._sine.any():
            cosine, sine = around.wave
            total += self._cosine * cosine
            total += self._sine * sine
        for row, driver, amount in self._follows:
            total[row] += amount * around.driver(driver)
        return self._written(total)

    def _written(self, total: Matrix) -> Matrix:
        """Rounded and cut to the legal range, in place; the last step turns -0.0 into 0.0."""
        total *= self._scale
        np.rint(total, out=total)
        np.clip(total, self._low, self._high, out=total)
        total /= self._scale
        total += 0.0
        return total


def inside(rounded: Floats, metric: Metric, places: int) -> Floats:
    """Numbers in units of the last digit as values, cut to the legal range."""
    low, high = edges([metric], np.array([[10.0**places]]))
    return np.asarray(np.clip(rounded, low[0], high[0]) / 10.0**places, dtype=np.float64)


def edges(metrics: Sequence[Metric], scale: Matrix) -> tuple[Matrix, Matrix]:
    """The ends of the ranges in units of the last digit, rounded inwards, so that what is written is legal too."""
    low, high = (np.array([[end] for end in ends]).reshape(-1, 1) for ends in _ends(metrics))
    return np.ceil(low * scale - 1e-6), np.floor(high * scale + 1e-6)


def _ends(metrics: Sequence[Metric]) -> tuple[list[float], list[float]]:
    return [metric.low for metric in metrics], [metric.high for metric in metrics]


def _column(sections: Sequence[Mapping[str, Any]], key: str, usual: float = 0.0) -> Floats:
    return np.array([float(section.get(key, usual)) for section in sections], dtype=np.float64).reshape(-1, 1)


def _own(sections: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """Deviation between devices: half of the noise unless stated."""
    usual = [float(section.get("own", float(section.get("noise", 0.0)) / 2)) for section in sections]
    return np.array(usual, dtype=np.float32).reshape(-1, 1)
