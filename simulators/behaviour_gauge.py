"""Gauges: the metrics of a family that go up and down, worked out together as one matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.family import Metric
from simulators.behaviour_around import Around
from simulators.behaviour_days import DAY_S
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
        total = np.repeat(self._mean, len(around.keys), axis=1)
        if self._noise.any():
            total += noise(around.words, self._moved) * self._noise
        if self._own.any():
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
        np.maximum(total, self._low, out=total)
        np.minimum(total, self._high, out=total)
        total /= self._scale
        total += 0.0
        return total


class Battery:
    """A metric with curve `battery`: it falls from `full` to `empty` in about `days` and is then replaced."""

    def __init__(self, metric: Metric, section: Mapping[str, Any], places: int) -> None:
        """Raises KeyError, ValueError, TypeError on a faulty section."""
        self._full, self._empty, self._days = (float(section[key]) for key in ("full", "empty", "days"))
        self._digits = Digits(metric, places)
        self._drawn = odds(["battery"], "own")

    def at(self, around: Around) -> Floats:
        """What is left, rounded; each device lasts a little longer or shorter and begins at its own moment."""
        unlike = character(around.words, self._drawn)[0].astype(np.float64)
        lives = around.seconds / (self._days * DAY_S * (1.0 + 0.1 * unlike))
        spent = lives - np.floor(lives)
        left = self._full - (self._full - self._empty) * spent
        return self._digits.near(left)


class Digits:
    """How values of one metric are written: so many decimals, and inside the legal range."""

    def __init__(self, metric: Metric, places: int) -> None:
        self._scale = 10.0**places
        low, high = edges([metric], np.array([[self._scale]]))
        self._low, self._high = float(low[0, 0]), float(high[0, 0])

    def near(self, values: Floats) -> Floats:
        """The nearest; none is -0.0."""
        return self._inside(np.rint(values * self._scale))

    def below(self, values: Floats) -> Floats:
        """The next below, as counters show it."""
        return self._inside(np.floor(values * self._scale))

    def _inside(self, rounded: Floats) -> Floats:
        return np.asarray(np.minimum(np.maximum(rounded, self._low), self._high) / self._scale + 0.0, dtype=np.float64)


def edges(metrics: Sequence[Metric], scale: Matrix) -> tuple[Matrix, Matrix]:
    """The ends of the ranges in units of the last digit, rounded inwards, so that what is written is legal too."""
    low, high = (np.array([[end] for end in ends]).reshape(-1, 1) for ends in _ends(metrics))
    return np.ceil(low * scale - 1e-6) + 0.0, np.floor(high * scale + 1e-6) + 0.0


def _ends(metrics: Sequence[Metric]) -> tuple[list[float], list[float]]:
    return [metric.low for metric in metrics], [metric.high for metric in metrics]


def _column(sections: Sequence[Mapping[str, Any]], key: str, usual: float = 0.0) -> Floats:
    return np.array([float(section.get(key, usual)) for section in sections], dtype=np.float64).reshape(-1, 1)


def _own(sections: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """Deviation between devices: half of the noise unless stated."""
    usual = [float(section.get("own", float(section.get("noise", 0.0)) / 2)) for section in sections]
    return np.array(usual, dtype=np.float32).reshape(-1, 1)
