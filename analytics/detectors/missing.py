"""A metric that a device always sent and does not send any more, though it is heard: renamed, broken, out of range."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State
from analytics.detectors.rows import Bools, Floats, Ints
from devices.family import Family

KINDS = ("gauge", "counter")


class Parameters(NamedTuple):
    """`chance`: of an ordinary run of readings without the metric; `least_share`: of readings that lack it, what any
    metric is taken to have; `evidence`: readings with it, and `days` since the first of them, before any verdict:
    what rests at night has done so once; `times`: of the longest run before."""

    chance: float = 1e-9
    least_share: float = 0.012
    evidence: int = 60
    days: float = 1.0
    times: float = 2.0


class Missing(Detector):
    """Score: readings without the metric in a row, as a share of those that are too many. Value: how many; there is
    none that was expected.

    Values that were rejected (out of the legal range, of the wrong type) are missing, too: so a sensor that speaks
    another unit since today is found here when the number is no legal one. A metric that comes with every tenth
    reading only is allowed to.
    """

    name = "missing"
    general = True
    narrow = True
    grace = 60
    arrays: ClassVar[dict[str, State]] = {
        "without": State("u2"),  # readings in a row
        "longest": State("u2"),  # such run before
        "seen": State("u1"),  # readings with it, up to the evidence
        "lacking": State("u4"),  # readings without it since it was first seen
        "first": State("u4"),  # of the device's readings the one in which it was first seen
        "since": State("u4"),  # s since 1970
        "readings": State("u4", per_device=True),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """What is measured and counted: states are told when they change."""
        return [place for place, metric in enumerate(family.metrics) if metric.kind in KINDS]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        """Most metrics are there as they were before: of these nothing is noted."""
        state, slot, evidence = self.state, rows.slot, self.parameters.evidence
        state["readings"][slot] = readings = state["readings"][slot] + np.uint32(1)
        value = self.short(rows)
        gone: Bools = value != value
        without, seen = state["without"][slot], state["seen"][slot]
        young = ~gone & (seen < evidence)
        if young.any():
            state["seen"][slot] = seen + young
        row, column = np.nonzero(np.where(gone, seen > 0, (without > 0) | (seen == 0)))
        if not len(row):
            return NO_CHANGES
        at = (slot[row], column)
        gone, without, seen, readings = gone[row, column], without[row, column], seen[row, column], readings[row]
        back = ~gone & (without > 0)
        state["longest"][at] = np.where(back, np.maximum(state["longest"][at], without), state["longest"][at])
        state["first"][at] = first = np.where(seen == 0, readings, state["first"][at])
        state["lacking"][at] = lacking = state["lacking"][at] + gone
        now_s = rows.time[row] // 1_000_000
        state["since"][at] = since = np.where(gone & (without == 0), now_s, state["since"][at].astype("i8"))
        state["without"][at] = without = np.where(gone, np.minimum(without, 59_999) + 1, 0)
        known = np.maximum(readings.astype("i8") - first - without, 1)
        assert self.fleet is not None
        judged = gone & (seen >= evidence) & (known * self.fleet.interval_s[at[0]] >= self.parameters.days * 86_400)
        score = np.where(judged, self._score(at, (lacking - without) / known, without), 0.0)
        on = np.where(state["on"][at], gone, score >= 1)
        return self.settled(*at, score, on, rows.time[row], since * 1_000_000, without.astype("f8"), np.nan)

    def _score(self, at: tuple[Ints, Ints], share: Floats, without: Ints) -> Floats:
        asked = self.parameters
        by_chance = np.log(asked.chance) / np.log(np.clip(share, asked.least_share, 0.999))
        too_many = np.maximum(np.ceil(by_chance), asked.times * self.state["longest"][at] + 1.0)
        return np.asarray(np.minimum(without / too_many, 1.0))


DETECTORS = (Missing,)
