"""The headline metric of a device does what it never did before; see anomaly_score.py. One threshold for all."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.anomaly_score import evidence
from analytics.detectors.anomaly_state import DEFAULTS, WEEK_S, Kept, brief, kept_of
from analytics.detectors.compiled import SECOND_US, Array, Number, Told, change, compiled, i8
from analytics.detectors.detector import Changes, Detector, Rows, State
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
        kept = kept_of({name: self.state[name][:, 0] for name in BRIEF})
        given = rows.slot, rows.time, rows.values, int(self.judged[0]), kept, self.kept(Held)
        return self.changes(sweep(*given, self.parameters, float(self.least)))


class Held(NamedTuple):
    """As `Anomaly` declares it."""

    hold: Array
    on: Array
    score: Array


@compiled
def sweep(
    slots: Array, times: Array, values: Array, place: int, kept: Kept, held: Held, asked: Parameters, least: Number
) -> Told:
    """Every value is judged."""
    told = []
    for i in range(len(slots)):
        at, time, value = (slots[i], 0), times[i], values[i, place]
        if not np.isfinite(value):
            continue
        found = evidence(kept, at[0], time, value, DEFAULTS, least)
        score, hold = found / (1 + found), i8(held.hold[at])
        if score >= asked.threshold and time // SECOND_US - kept.begun[at[0]] >= asked.learning_s:
            hold = asked.hold_rows
        else:
            hold = max(hold - 1, 0)
        held.hold[at], held.score[at], on = hold, score, hold > 0
        if on != held.on[at]:
            held.on[at] = on
            expected = kept.origin[at[0]] + kept.level[at[0]]
            told.append(change(at[0], 0, on, time, time, held.score[at], value, expected))
    return told


DETECTORS = (Anomaly,)
