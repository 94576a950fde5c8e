"""A sensor that repeats its value, longer than this series ever does by itself."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.rows import Floats, Ints
from devices.family import Family


class Parameters(NamedTuple):
    """`least`: equal values in a row, at least; `evidence`: pairs of values, and `days`, before anything is judged.

    `beyond`: how much longer than the longest ordinary run it must be at short intervals, where values follow a smooth
    curve and stand still at its turning points; at hourly ones one value longer is enough. `chance`: of an ordinary run
    that long, at one reading per hour; in proportion to the interval, so that the false detections of a day do not grow
    with the rate; at least `least_chance`, at most ten times as much. `memory_days`: after which the longest ordinary
    run has lost two thirds of its weight.
    """

    least: int = 6
    evidence: int = 30
    days: float = 2.0
    beyond: float = 1.5
    chance: float = 3e-5
    least_chance: float = 1e-8
    memory_days: float = 60.0


class Stuck(Detector):
    """Score: the run of equal values as a share of the run that is too long for this series.

    How likely a value is to be repeated, and once more after that, is learnt per series, so that quantised, slow and
    mostly constant metrics judge themselves: they are stuck after a very long time or never. Runs at either end of
    the metric's range are saturation (no rain, dark), not a fault. Repeated times count once.
    """

    name = "stuck"
    general = True
    narrow = True
    grace = 30
    arrays: ClassVar[dict[str, State]] = {
        "last": State("f4", np.nan),
        "run": State("u2"),
        "longest": State("f4"),
        "pairs": State("u2"),
        "same": State("u2"),
        "again": State("u2"),  # equal to a value that was itself equal to the one before
        "since": State("u4"),  # s since 1970
        "time": State("i8", -1, per_device=True),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        metrics = [family.metrics[place] for place in self.judged]
        self._low = np.array([metric.low for metric in metrics])
        self._high = np.array([metric.high for metric in metrics])

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        value = rows.values[:, self.judged].astype("f4")  # as it is kept, to be compared
        told = ~np.isnan(value) & (rows.time > state["time"][slot])[:, None]
        state["time"][slot] = rows.time
        was, run = state["on"][slot], state["run"][slot].astype("i4")
        inside = (value > self._low) & (value < self._high)
        same = told & (value == state["last"][slot]) & inside
        other = told & ~same
        ended = other & ~was & (run > 1)
        longest = state["longest"][slot]
        assert self.fleet is not None
        days = self.fleet.interval_s[slot][:, None] / 86_400
        lasting = 1 - other * np.minimum(days / self.parameters.memory_days, 0.01)
        longest = np.where(ended, np.maximum(longest, run), longest * lasting)
        learn = told & ~was
        pairs = state["pairs"][slot].astype("i4") + (learn & inside)
        equal = state["same"][slot].astype("i4") + (learn & same)
        again = state["again"][slot].astype("i4") + (learn & same & (run > 1))
        since = np.where(other, rows.time[:, None] // 1_000_000, state["since"][slot].astype(np.int64))
        run = np.where(same, np.minimum(run + 1, 60_000), np.where(other, 1, run))
        score = np.zeros(run.shape, np.float32)
        at = np.nonzero(run >= self.parameters.least)  # few: what costs is reckoned for these alone
        if len(at[0]):
            interval_s = self.fleet.interval_s[slot[at[0]]]
            score[at] = self._score(interval_s, run[at], pairs[at], equal[at], again[at], longest[at])
        state["last"][slot] = np.where(told, value, state["last"][slot])
        full = pairs > 8192  # what is long ago counts half
        for name, count in (("pairs", pairs), ("same", equal), ("again", again)):
            state[name][slot] = np.where(full, count // 2, count)
        state["run"][slot], state["longest"][slot], state["since"][slot] = run, longest, since
        state["score"][slot] = score
        return self.switched(slot, latched(was, score), rows.time[:, None], since * 1_000_000, value)

    def _score(self, interval_s: Floats, run: Ints, pairs: Ints, equal: Ints, again: Ints, longest: Floats) -> Floats:
        """Of runs of equal values, each as a share of the run that no ordinary one of its series reaches.

        The run that is judged is no witness for itself.
        """
        asked = self.parameters
        hours = interval_s / 3600.0
        witnesses = np.maximum(pairs - run + 1, 0)
        chance = np.clip(asked.chance * hours, asked.least_chance, 10 * asked.chance)
        others = np.maximum(equal - run + 1, 0)
        first = (others + 0.5) / (witnesses + 1.0)
        further = np.maximum(first, (np.maximum(again - run + 2, 0) + 2.0 * first) / (others + 2.0))
        by_chance = 2.0 + np.log(chance / first) / np.log(np.minimum(further, 0.9999))
        beyond = longest * (1.0 + asked.beyond * np.clip(1.0 - hours, 0.0, 1.0)) + 1.0
        too_long = np.maximum(np.maximum(np.ceil(by_chance), beyond), asked.least)
        a_while = np.maximum(asked.evidence, np.minimum(asked.days * 86_400 / interval_s, 4000))
        return np.asarray(np.minimum(run / too_long, 1.0) * (witnesses > a_while))


DETECTORS = (Stuck,)
