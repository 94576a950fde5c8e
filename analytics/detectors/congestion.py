"""Congestion where there is none at other weeks' same hour: slow and full for three readings, and not as usual.

What comes back every rush hour is no finding: the state of a road is in city.traffic_state. What begins at once is an
incident already, see incident.py.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Rows, State
from analytics.detectors.roadside import Roadside, measured
from analytics.detectors.seasonal import Weekly, arrays
from analytics.indices.free_flow import Learnt, known, learn
from analytics.indices.queue import INTERVALS, slow_and_full
from devices.family import Family


class Parameters(NamedTuple):
    """`usual`: share of the usual speed below which it is not as usual; `fuller`: how much more of the road (1) is
    occupied than usual, at least; `spreads`: and how many of its spreads."""

    usual: float = 0.55
    fuller: float = 0.12
    spreads: float = 4.0


class Congestion(Roadside):
    """Score: readings that are so, as a share of those that it takes; others take one off again."""

    name = "congestion"
    grace = 60
    arrays: ClassVar[dict[str, State]] = {
        "run": State("u1", per_device=True),
        "since": State("i8", per_device=True),  # µs since 1970: the first reading of the run
        "free_kmh": State("f4", per_device=True),
        "free_seen": State("f4", per_device=True),
        **arrays("usual_speed", per_device=True),
        **arrays("usual_full", per_device=True),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        self._speed = Weekly(self.state, "usual_speed", smooth=True)
        self._full = Weekly(self.state, "usual_full", smooth=True)

    def _round(self, rows: Rows) -> Changes:
        slot, time, speed, full = measured(rows)
        state, asked = self.state, self.parameters
        learnt = Learnt(state["free_kmh"][slot].astype(np.float64), state["free_seen"][slot].astype(np.float64))
        usual_speed, usual_full = self._speed.expected(slot, time), self._full.expected(slot, time)
        apart = np.maximum(asked.fuller, asked.spreads * np.nan_to_num(self._full.spread(slot, time)))
        unusual = (speed < asked.usual * usual_speed) & ~(full < usual_full + apart)
        hit = slow_and_full(speed, full, known(learnt)) & unusual
        before = state["run"][slot].astype(np.int64)
        run = np.where(hit, np.minimum(before + 1, INTERVALS), np.maximum(before - 1, 0))
        since = np.where(hit & (before == 0), time, state["since"][slot])
        on = np.where(state["on"][slot, 0], run > 0, run == INTERVALS)
        learnt = learn(learnt, speed, full)
        self._speed.update(slot, time, speed)
        self._full.update(slot, time, full)
        state["run"][slot], state["since"][slot] = run, since
        state["free_kmh"][slot], state["free_seen"][slot] = learnt
        state["score"][slot, 0] = run / INTERVALS
        return self.switched(slot, on[:, None], time[:, None], since[:, None], speed[:, None], usual_speed[:, None])


DETECTORS = (Congestion,)
