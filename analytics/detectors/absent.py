"""A metric that a device used to send and does not send any more, though it is heard: a part of it has failed."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.rows import joined
from devices.family import Family


class Parameters(NamedTuple):
    """`evidence`: readings with the metric before it can be missed; `least`: readings without it, at least; `times`:
    of the longest run without it that was before. Devices that send their metrics by turns are not found so."""

    evidence: int = 24
    least: int = 12
    times: float = 3.0


class Absent(Detector):
    """Score: the run of readings without the metric, as a share of the run that is too long."""

    name = "absent"
    general = True
    narrow = True
    grace = 24
    arrays: ClassVar[dict[str, State]] = {
        "seen": State("u1"),  # readings with it, up to the evidence
        "run": State("u2"),  # readings without it since the last one with it
        "longest": State("u2"),  # such run, of those that ended
        "since": State("i8"),  # µs since 1970: the first reading of this run
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """All metrics."""
        return list(range(len(family.metrics)))

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        return joined([self._round(rows.of(places)) for places in rows.rounds()])

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        there = ~np.isnan(rows.values[:, self.judged])
        time = rows.time[:, None]
        seen, run, longest = state["seen"][slot], state["run"][slot], state["longest"][slot]
        since = np.where(run == 0, time, state["since"][slot])
        longest = np.where(there, np.maximum(run, longest), longest)
        run = np.where(there, 0, np.minimum(run.astype("i4") + 1, 65_535)).astype("u2")
        seen = np.minimum(seen + there, asked.evidence).astype("u1")
        score = np.minimum(run / np.maximum(asked.least, asked.times * longest), 1) * (seen >= asked.evidence)
        state["seen"][slot], state["run"][slot], state["longest"][slot] = seen, run, longest
        state["since"][slot], state["score"][slot] = since, score
        return self.switched(slot, latched(state["on"][slot], score), time, since, np.nan)


DETECTORS = (Absent,)
