"""Counters: what only grows, in the rhythm of those who make it grow, until it is reset."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from devices.family import Metric
from simulators.behaviour_around import Around
from simulators.behaviour_days import Clock, clock
from simulators.behaviour_gauge import Digits
from simulators.behaviour_noise import odds, shares
from simulators.behaviour_rhythm import RHYTHMS
from simulators.draw import Floats
from simulators.sky_past import rain_of_day

COUNTED_FROM_S = 1_735_664_400.0
"""Counters began at 2025-01-01 00:00 local time."""
TURN = 2.0 * np.pi / 24.0


class Counter:
    """A metric with curve `count`."""

    def __init__(self, metric: Metric, section: Mapping[str, Any], places: int) -> None:
        """Raises KeyError, ValueError, TypeError on a faulty section."""
        self._rate = float(section.get("rate", 1.0))
        self._swing, self._peak = float(section.get("swing", 0.5)), float(section.get("peak", 19.0))
        self._spread = float(section.get("own", 0.5))
        self._start = float(section.get("start", 1000.0 * self._rate))
        self._life_s = 86_400.0 * float(section.get("resets", 0.0))
        self._rain = float(section.get("follows", {}).get("rain", 0.0))
        follows = {name: float(share) for name, share in section.get("follows", {}).items() if name != "rain"}
        self._follows = [(name, share / sum(follows.values())) for name, share in follows.items()]
        self._odd = np.concatenate((odds([metric.name], "rate"), odds([metric.name], "start")))
        self._digits = Digits(metric, places)
        self._before = self._at_start() if not self._life_s else 0.0

    def at(self, around: Around) -> Floats:
        """Counted so far, rounded down and inside the legal range."""
        if self._rain:
            return self._digits.below(self._rain * rain_of_day(around.place, around.seconds))
        return self._digits.below(self._counted(around))

    def _counted(self, around: Around) -> Floats:
        unlike, begun = shares(around.words, self._odd)
        mine = self._rate * (1.0 + self._spread * (2.0 * unlike - 1.0))
        grown = self._grown(around.seconds, around.clock, around.grown)
        if not self._life_s:
            return np.asarray(self._start * begun + mine * (grown - self._before + 24.0), dtype=np.float64)
        age = (around.seconds - COUNTED_FROM_S) / self._life_s + begun
        reset = COUNTED_FROM_S + (np.floor(age) - begun) * self._life_s
        return np.asarray(mine * np.maximum(grown - self._grown(reset, clock(reset), {}), 0.0), dtype=np.float64)

    def _at_start(self) -> float:
        start = np.array([COUNTED_FROM_S])
        return float(self._grown(start, clock(start), {})[0])

    def _grown(self, seconds: Floats, now: Clock, known: dict[str, Floats]) -> Floats:
        """Hours, each as long as the counter is fast in it; `known`: those of rhythms at these moments."""
        for name, _ in self._follows:
            if name not in known:
                known[name] = RHYTHMS[name].grown(now)
        if self._follows:
            parts = [share / RHYTHMS[name].mean * known[name] for name, share in self._follows]
            return np.asarray(sum(parts[1:], parts[0]), dtype=np.float64)
        hours = (seconds - COUNTED_FROM_S) / 3600.0
        # The integral of 1 + swing·cos, which is never below 0.
        return np.asarray(hours + self._swing / TURN * np.sin((hours - self._peak) * TURN), dtype=np.float64)
