"""The headline metric of a device does what it never did before; see anomaly_score.py. One threshold for all."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.anomaly_score import evidence_of, score
from analytics.detectors.anomaly_state import DEFAULTS, WEEK_S, brief
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.rows import joined
from devices.family import Family

BRIEF = brief()


class Parameters(NamedTuple):
    """`threshold`: score of a finding, much higher than 0.5, which is worth a look at one series: a population of
    100,000 breaks records all day; `learning_s`: seconds of a device before that; `hold_rows`: readings for which it is
    told; `least_share`: of the metric's legal range, what any series is taken to move in.
    """

    threshold: float = 0.99
    learning_s: int = WEEK_S
    hold_rows: int = 24
    least_share: float = 1e-3


class Anomaly(Detector):
    """Score: that of `dothi analytics compute anomaly`, in the brief form."""

    name = "anomaly"
    general = True
    grace = DEFAULTS.grace
    arrays: ClassVar[dict[str, State]] = BRIEF | {"hold": State("u1")}

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """The headline alone."""
        return [] if family.headline is None else [family.index[family.headline]]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        metric = family.metrics[int(self.judged[0])]
        self.least = (metric.high - metric.low) * self.parameters.least_share

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        there = rows.of(np.isfinite(rows.values[:, self.judged[0]]))
        return joined([self._round(there.of(places)) for places in there.rounds()])

    def _round(self, rows: Rows) -> Changes:
        slot, time, value = rows.slot, rows.time, rows.values[:, self.judged[0]]
        kept = {name: self.state[name][:, 0] for name in BRIEF}
        evidence = evidence_of(kept, slot, time, value, DEFAULTS, self.least)
        scored = score(evidence)
        old_enough = time // 1_000_000 - kept["begun"][slot] >= self.parameters.learning_s
        found = (scored >= self.parameters.threshold) & old_enough
        hold = self.state["hold"][slot, 0]
        hold = np.where(found, self.parameters.hold_rows, np.where(hold > 0, hold - 1, 0)).astype("u1")
        self.state["hold"][slot, 0], self.state["score"][slot, 0] = hold, scored
        expected = kept["origin"][slot] + kept["level"][slot]
        columns = (time[:, None], time[:, None], value[:, None], expected[:, None])
        return self.switched(slot, (hold > 0)[:, None], *columns)


DETECTORS = (Anomaly,)
