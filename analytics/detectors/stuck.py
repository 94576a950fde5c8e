"""A sensor that repeats its value, longer than this series ever does by itself."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.implausible import bound
from analytics.detectors.rows import Bools, Floats, Ints
from devices.family import Family

REACH = 6
"""Lengths of runs that are counted one by one."""
MOST = 8192
"""Runs of a length, beyond which what is long ago counts half."""


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

    How likely a run of so many equal values is to go on is learnt per series and length, so that quantised, slow and
    mostly constant metrics judge themselves: they are stuck after a very long time or never. A series whose values all
    come three times (what is measured every three hours, told every hour) says so by its lengths, too. Runs at either
    end of the metric's range are saturation (no rain, dark), not a fault; those of implausible values teach nothing.
    Repeated times count once.
    """

    name = "stuck"
    general = True
    narrow = True
    grace = 30
    arrays: ClassVar[dict[str, State]] = {
        "last": State("f4", np.nan),
        "run": State("u2"),
        "longest": State("f4"),
        "reached": State("u2", 0, (REACH + 1,)),  # runs of 1, 2, … REACH values; last: values beyond these
        "since": State("u4"),  # s since 1970
        "time": State("i8", -1, per_device=True),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        metrics = [family.metrics[place] for place in self.judged]
        self._low = np.array([metric.low for metric in metrics])
        self._high = np.array([metric.high for metric in metrics])
        self._least = np.array([bound(metric, "low") for metric in metrics])
        self._most = np.array([bound(metric, "high") for metric in metrics])

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        value = rows.values[:, self.judged].astype("f4")  # as it is kept, to be compared
        told = ~np.isnan(value) & (rows.time > state["time"][slot])[:, None]
        state["time"][slot] = rows.time
        was, run = state["on"][slot], state["run"][slot].astype("i4")
        inside = (value > self._low) & (value < self._high)
        last = state["last"][slot]
        same = told & (value == last) & inside
        other = told & ~same
        ended = other & ~was & (run > 1) & (last >= self._least) & (last <= self._most)
        longest = state["longest"][slot]
        assert self.fleet is not None
        days = self.fleet.interval_s[slot][:, None] / 86_400
        lasting = 1 - other * np.minimum(days / self.parameters.memory_days, 0.01)
        longest = np.where(ended, np.maximum(longest, run), longest * lasting)
        since = np.where(other, rows.time[:, None] // 1_000_000, state["since"][slot].astype(np.int64))
        run = np.where(same, np.minimum(run + 1, 60_000), np.where(other, 1, run))
        self._count(slot, told & inside & ~was & (value >= self._least) & (value <= self._most), run)
        score = np.zeros(run.shape, np.float32)
        at = np.nonzero(run >= self.parameters.least)  # few: what costs is reckoned for these alone
        if len(at[0]):
            devices = slot[at[0]]
            score[at] = self._score(
                self.fleet.interval_s[devices], run[at], state["reached"][devices, at[1]], longest[at]
            )
        state["last"][slot] = np.where(told, value, last)
        state["run"][slot], state["longest"][slot], state["since"][slot] = run, longest, since
        state["score"][slot] = score
        return self.switched(slot, latched(was, score), rows.time[:, None], since * 1_000_000, value)

    def _count(self, slot: Ints, learn: Bools, run: Ints) -> None:
        """Note how long runs are by now."""
        reached, (row, column) = self.state["reached"], np.nonzero(learn)
        at = (slot[row], column, np.minimum(run[row, column], REACH + 1) - 1)
        count = reached[at] + 1
        reached[at] = count
        full = count > MOST  # what is long ago counts half
        if full.any():
            reached[at[0][full], at[1][full]] //= 2

    def _score(self, interval_s: Floats, run: Ints, reached: Ints, longest: Floats) -> Floats:
        """Of runs of equal values, each as a share of the run that no ordinary one of its series reaches.

        The run that is judged is no witness for itself.
        """
        asked = self.parameters
        hours = interval_s / 3600.0
        own = np.clip(run[:, None] - np.arange(REACH + 1), 0, 1)
        own[:, REACH] = np.maximum(run - REACH, 0)
        others = np.maximum(reached.astype("i4") - own, 0)
        chance = np.clip(asked.chance * hours, asked.least_chance, 10 * asked.chance)
        too_long = np.maximum(np.ceil(rare_length(others, chance)), asked.least)
        beyond = longest * (1.0 + asked.beyond * np.clip(1.0 - hours, 0.0, 1.0)) + 1.0
        a_while = np.maximum(asked.evidence, np.minimum(asked.days * 86_400 / interval_s, 4000))
        return np.asarray(np.minimum(run / np.maximum(too_long, beyond), 1.0) * (others.sum(axis=1) > a_while))


def rare_length(reached: Ints, chance: Floats) -> Floats:
    """How long a run must be to be no more likely than `chance` (series).

    `reached` (series × REACH + 1): how many runs had 1, 2, … REACH values at least, and by how many values the longest
    went beyond. A length that was hardly ever reached is taken to go on as the one before.
    """
    likely = (reached[:, 1] + 0.5) / (reached[:, 0] + 1.0)
    left = np.log(chance / likely)
    found = np.full(len(reached), 2.0)
    for length in range(2, REACH + 1):
        more = reached[:, length] + 2.0 * likely
        of = reached[:, length - 1] + (reached[:, length] if length == REACH else 0) + 2.0
        likely = np.minimum(more / of, 0.9999)
        step = np.log(likely)
        further = left / step if length == REACH else np.minimum(left / step, 1.0)
        found += np.where(left < 0, np.maximum(further, 0.0), 0.0)
        left = left - step
    return found


DETECTORS = (Stuck,)
