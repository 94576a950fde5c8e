"""Counters: what only grows, by the hour, faster around a time of day."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from devices.family import Metric
from simulators import draw
from simulators.behaviour_around import Around
from simulators.behaviour_gauge import inside
from simulators.draw import Floats, salt

COUNTED_FROM_S = 1_735_664_400.0
"""Counters began at 2025-01-01 00:00 local time."""
TURN = 2.0 * np.pi / 24.0


class Counter:
    """A metric with curve `count`."""

    def __init__(self, metric: Metric, section: Mapping[str, Any], places: int) -> None:
        """Raises ValueError, TypeError on a faulty section."""
        self._rate = float(section.get("rate", 1.0))
        self._swing, self._peak = min(float(section.get("swing", 0.5)), 0.95), float(section.get("peak", 19.0))
        self._start = float(section.get("start", 1000.0 * self._rate))
        self._own, self._begun = salt("rate", metric.name), salt("start", metric.name)
        self._metric, self._places = metric, places

    def at(self, around: Around) -> Floats:
        """Counted so far, rounded down and inside the legal range."""
        mine = self._rate * (0.5 + draw.uniform(around.keys, self._own))
        counted = self._start * draw.uniform(around.keys, self._begun) + mine * (self._grown(around) + 24.0)
        return inside(np.floor(counted * 10.0**self._places), self._metric, self._places)

    def _grown(self, around: Around) -> Floats:
        """Hours since the beginning, each as long as the counter is fast in it."""
        hours = (around.seconds - COUNTED_FROM_S) / 3600.0
        # The integral of 1 + swing·cos, which is never below 0.
        return np.asarray(hours + self._swing / TURN * np.sin((hours - self._peak) * TURN), dtype=np.float64)
