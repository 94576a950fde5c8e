"""Rates and delays of a run over time, added up slice by slice; memory depends on the length of the run alone.

Delays are counted in classes 2.3 % wide, 100 to a power of ten, from 10 µs to 10,000 s: a percentile is true to 1.2 %.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Floats, Ints
from simulators.spool import Rows, acknowledged

PER_POWER, LEAST, POWERS = 100, 1e-5, 9
CLASSES = PER_POWER * POWERS
MIDDLES = LEAST * 10 ** ((np.arange(CLASSES) + 0.5) / PER_POWER)
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
MOST_STEPS = 600
DELAYS = ("late", "answer", "received")
RATES = ("due", "sent", "acknowledged", "stored")


def class_of(seconds: NDArray[Any]) -> Ints:
    """The class of each delay; shorter and longer ones than the scale has are in its first and last."""
    power = np.log10(np.maximum(seconds, LEAST) / LEAST) * PER_POWER
    return np.asarray(np.minimum(power.astype(np.int64), CLASSES - 1), dtype=np.int64)


def quantile(counts: Ints, share: float) -> float | None:
    """The delay (s) below which a share of all lie; None where there are none."""
    ordered = np.cumsum(counts)
    if not ordered[-1]:
        return None
    return float(f"{MIDDLES[np.searchsorted(ordered, share * ordered[-1])]:.3g}")


def quantiles(counts: Ints) -> dict[str, float | None]:
    """Percentiles (s) and the greatest, of classes."""
    found = {name: quantile(counts, share) for name, share in QUANTILES.items()}
    return found | {"max": quantile(counts, 1.0), "count": int(counts.sum())}


class Curves:
    """What happened in each step of a run.

    `late`: s from due to sent. `answer`: s from sent to PUBACK. `received`: s from sent to received by the platform.
    A message is counted in the step in which it was due, sent, acknowledged or received; a delay where it was sent.
    """

    def __init__(self, start: float, seconds: float, warm_s: float = 0.0) -> None:
        """`start`: s since 1970. `seconds`: length of the run; what happens after it counts in the last step. `warm_s`:
        delays of messages that were sent so soon after the start are left out."""
        self.start, self.warm = start, start + warm_s
        self.step_s = float(max(1, int(np.ceil(seconds / MOST_STEPS))))
        self.steps = int(max(1, np.ceil(seconds / self.step_s)))
        self.rates: Mapping[str, Ints] = {name: np.zeros(self.steps, dtype=np.int64) for name in RATES}
        self.delays: Mapping[str, Ints] = {name: np.zeros((self.steps, CLASSES), dtype=np.int64) for name in DELAYS}

    def add(self, rows: Rows) -> None:
        """Take what the sender knows of some messages."""
        late, answer = rows["late"].astype(np.float64), rows["answer"].astype(np.float64)
        sent = rows["due"] + late
        went, answered = np.flatnonzero(~np.isnan(late)), np.flatnonzero(~np.isnan(answer) & acknowledged(rows))
        self._count("due", rows["due"])
        self._count("sent", sent[went])
        self._count("acknowledged", sent[answered] + answer[answered])
        self._delay("late", sent[went], late[went])
        self._delay("answer", sent[answered], answer[answered])

    def add_received(self, rows: Rows, received: Floats) -> None:
        """Take when the platform received some messages (s since 1970, NaN: it did not)."""
        there = np.flatnonzero(~np.isnan(received))
        sent = rows["due"][there] + rows["late"][there]
        self._count("stored", received[there])
        self._delay("received", sent, received[there] - sent)

    def rates_document(self) -> dict[str, Any]:
        """Messages per second of each step; `at_s`: where the steps begin, in seconds since the start."""
        at = (np.arange(self.steps) * self.step_s).tolist()
        return {"at_s": at, "per_s": {name: (counts / self.step_s).tolist() for name, counts in self.rates.items()}}

    def delays_document(self) -> dict[str, Any]:
        """Percentiles (s) of each step and of the whole run."""
        return {
            "over_time_s": {name: over_time(counts) for name, counts in self.delays.items()},
            "whole_s": {name: quantiles(counts.sum(axis=0)) for name, counts in self.delays.items()},
        }

    def _step(self, moment: Floats) -> Ints:
        return np.clip((moment - self.start) / self.step_s, 0, self.steps - 1).astype(np.int64)

    def _count(self, name: str, moment: Floats) -> None:
        self.rates[name][:] += np.bincount(self._step(moment), minlength=self.steps)

    def _delay(self, name: str, moment: Floats, seconds: Floats) -> None:
        warm = moment >= self.warm
        place = self._step(moment[warm]) * CLASSES + class_of(seconds[warm])
        self.delays[name][:] += np.bincount(place, minlength=self.steps * CLASSES).reshape(self.steps, CLASSES)


def over_time(counts: Ints, names: Sequence[str] = ("p50", "p99")) -> dict[str, list[float | None]]:
    """Some percentiles of each step."""
    return {name: [quantile(step, QUANTILES[name]) for step in counts] for name in names}
