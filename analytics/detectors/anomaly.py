"""The headline metric of a device does what it never did before; see anomaly_score.py. One threshold for all."""

from typing import ClassVar, NamedTuple

from analytics.detectors.anomaly_score import Asked, findings, scale
from analytics.detectors.anomaly_state import BRIEF, DEFAULTS, WEEK_S
from analytics.detectors.detector import Changes, Detector, Rows, State
from devices.family import Family


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
    in_rows = True
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
        self.scale = scale((metric.high - metric.low) * self.parameters.least_share)

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        asked = Asked(*self.parameters[:3])
        given = rows.slot, rows.time, rows.told, rows.columns(self.judged)[0], self.records.each, self.records.rows
        return self.changes(findings(*given, DEFAULTS, asked, self.scale))


DETECTORS = (Anomaly,)
