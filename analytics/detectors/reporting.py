"""A device that is heard, yet loses much of what it ought to say."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from devices.family import Family


class Parameters(NamedTuple):
    """`least`: share of the expected readings below which too little arrives; `memory`: readings over which it is
    taken; `evidence`: readings before anything is judged; `most`: intervals that one gap counts, at most: what is
    longer is silence; `burst`: gaps below this share of the interval come from a buffer and do not count."""

    least: float = 0.6
    memory: float = 40.0
    evidence: int = 80
    most: float = 4.0
    burst: float = 0.2


class Reporting(Detector):
    """Score: what is missing, as a share of what may be missing."""

    name = "reporting"
    whole = True
    grace = 80
    late = True
    arrays: ClassVar[dict[str, State]] = {
        "heard": State("i8"),
        "gap": State("f4", 1.0),  # intervals between two receipts, mean
        "readings": State("u1"),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        assert self.fleet is not None
        state, slot, asked = self.state, rows.slot, self.parameters
        received, heard, n = rows.received[:, None], state["heard"][slot], state["readings"][slot]
        gap = np.minimum((received - heard) / 1e6 / self.fleet.interval_s[slot][:, None], asked.most)
        counts = (gap >= asked.burst) & (n > 0)
        mean = state["gap"][slot] + np.where(counts, (gap - state["gap"][slot]) / asked.memory, 0.0)
        n = np.minimum(n + (counts | (n == 0)), 250)
        share = 1.0 / np.maximum(mean, 1e-3)
        score = np.clip((1.0 - share) / (1.0 - asked.least), 0.0, 1.0) * (n >= asked.evidence)
        state["heard"][slot], state["gap"][slot], state["readings"][slot] = np.maximum(heard, received), mean, n
        state["score"][slot] = score
        return self.switched(slot, latched(state["on"][slot], score), received, received, share, 1.0)


DETECTORS = (Reporting,)
