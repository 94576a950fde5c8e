"""A sensor that repeats its value, longer than this series ever does by itself."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State, latched
from analytics.detectors.implausible import bound
from analytics.detectors.rows import Bools, Floats, Ints
from devices.family import Family

REACH = 6
"""Lengths of runs that are counted one by one."""
POSITION = frozenset(("latitude", "longitude", "altitude"))
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
        "first": State("u2"),  # runs that were begun
        "reached": State("u2", 0, (REACH,)),  # runs of 2, … REACH values; last: values beyond these
        "longest": State("f4"),
        "longest_at": State("u4"),  # s since 1970
        "since": State("u4"),
        "time": State("i8", -1, per_device=True),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """All gauges but positions: what is parked stays where it is."""
        return [place for place in super().judges(family) if family.metrics[place].name not in POSITION]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        metrics = [family.metrics[place] for place in self.judged]
        self._low = np.array([metric.low for metric in metrics], np.float32)
        self._high = np.array([metric.high for metric in metrics], np.float32)
        least = np.array([bound(metric, "low") for metric in metrics], np.float32)
        most = np.array([bound(metric, "high") for metric in metrics], np.float32)
        self._least = np.where(least > self._low, np.nextafter(least, np.float32(-np.inf)), self._low)
        self._most = np.where(most < self._high, np.nextafter(most, np.float32(np.inf)), self._high)

    def _round(self, rows: Rows) -> Changes:
        """Most values differ from the one before, which differed, too: of these nothing but the value is noted."""
        state, slot, value = self.state, rows.slot, self.short(rows)
        before = state["time"][slot]
        state["time"][slot] = rows.time
        fresh = (rows.time > before)[:, None]
        last, run, first = state["last"][slot], state["run"][slot], state["first"][slot]
        told = fresh & (value == value)
        plausible = told & (value > self._least) & (value < self._most)
        first += plausible & (value != last)
        state["first"][slot] = first
        state["last"][slot] = np.where(told, value, last)
        row, column = np.nonzero(told & ((value == last) | (run != 1)))
        if not len(row):
            return NO_CHANGES
        if (first > MOST).any():  # what is long ago counts half
            full = np.nonzero(first > MOST)
            for name in ("first", "reached"):
                state[name][slot[full[0]], full[1]] //= 2
        at = (row, column)
        return self._runs(rows, row, column, value[at], last[at], run[at], before[row], plausible[at])

    def _runs(
        self, rows: Rows, row: Ints, column: Ints, value: Floats, last: Floats, run: Ints, before: Ints, learn: Bools
    ) -> Changes:
        """Values that repeat the one before, or end such a run, each given by its row and column."""
        state, slot = self.state, rows.slot[row]
        at = (slot, column)
        was = state["on"][at]
        same = (value == last) & (value > self._low[column]) & (value < self._high[column])
        now_s = rows.time[row] // 1_000_000
        ended = ~same & ~was & (run > 1) & (last > self._least[column]) & (last < self._most[column])
        longest = self._longest(at, now_s)
        if ended.any():
            longest[ended] = np.maximum(longest[ended], run[ended])
            over = (slot[ended], column[ended])
            state["longest"][over], state["longest_at"][over] = longest[ended], now_s[ended]
        # A run begins with the reading before its second value.
        since = np.where(same, np.where(run == 1, before // 1_000_000, state["since"][at].astype("i8")), now_s)
        state["since"][at] = since
        run = np.where(same, np.minimum(run.astype("i4") + 1, 60_000), 1)
        state["run"][at] = run
        counted = same & learn & ~was
        state["reached"][slot[counted], column[counted], np.minimum(run[counted], REACH + 1) - 2] += 1
        score = np.zeros(len(run), np.float32)
        long = np.flatnonzero(run >= self.parameters.least)
        if len(long):
            score[long] = self._judge(slot[long], column[long], run[long], longest[long], was[long])
        on = latched(was, score)
        return self.settled(slot, column, score, on, rows.time[row], since * 1_000_000, value, np.nan)

    def _longest(self, at: tuple[Ints, Ints], now_s: Ints) -> Floats:
        """The longest ordinary run, of which less and less is left."""
        passed_s = np.maximum(now_s - self.state["longest_at"][at].astype("i8"), 0)
        return np.asarray(self.state["longest"][at] * np.exp(-passed_s / (self.parameters.memory_days * 86_400)))

    def _judge(self, slot: Ints, column: Ints, run: Ints, longest: Floats, was: Bools) -> Floats:
        """Scores of long runs; one that is found teaches nothing."""
        assert self.fleet is not None
        state = self.state
        reached = np.column_stack((state["first"][slot, column], state["reached"][slot, column])).astype("i4")
        others = np.maximum(reached - witnessed(run), 0)
        score = self._score(self.fleet.interval_s[slot], run, others, longest)
        found = (score >= 1) & ~was
        state["reached"][slot[found], column[found]] = others[found, 1:]
        return score

    def _score(self, interval_s: Floats, run: Ints, others: Ints, longest: Floats) -> Floats:
        """Of runs of equal values, as shares of the run that no ordinary one of their series reaches. `others`:
        what was reached without these runs, which are no witnesses for themselves."""
        asked = self.parameters
        hours = interval_s / 3600.0
        chance = np.clip(asked.chance * hours, asked.least_chance, 10 * asked.chance)
        too_long = np.maximum(np.ceil(rare_length(others, chance)), asked.least)
        beyond = longest * (1.0 + asked.beyond * np.clip(1.0 - hours, 0.0, 1.0)) + 1.0
        a_while = np.maximum(asked.evidence, np.minimum(asked.days * 86_400 / interval_s, 4000))
        return np.asarray(np.minimum(run / np.maximum(too_long, beyond), 1.0) * (others.sum(axis=1) > a_while))


def witnessed(run: Ints) -> Ints:
    """What runs of so many values have added to what was reached (runs × REACH + 1)."""
    own = np.clip(run[:, None] - np.arange(REACH + 1), 0, 1)
    own[:, REACH] = np.maximum(run - REACH, 0)
    return np.asarray(own)


def rare_length(reached: Ints, chance: Floats) -> Floats:
    """How long a run must be to be no more likely than `chance` (series).

    `reached` (series × REACH + 1): how many runs had 1, 2, … REACH values at least, and by how many values the longest
    went beyond. A length that was hardly ever reached is taken to go on as the one before, or as all do, whichever is
    less likely.
    """
    likely = (reached[:, 1] + 0.5) / (reached[:, 0] + 1.0)
    usually = (reached[:, 2:].sum(axis=1) + 2.0 * likely) / (reached[:, 1:].sum(axis=1) + 2.0)
    left = np.log(chance / likely)
    found = np.full(len(reached), 2.0)
    for length in range(2, REACH + 1):
        tried = reached[:, length - 1] + (reached[:, length] if length == REACH else 0)
        likely = np.minimum((reached[:, length] + 2.0 * np.minimum(likely, usually)) / (tried + 2.0), 0.9999)
        step = np.log(likely)
        further = left / step if length == REACH else np.minimum(left / step, 1.0)
        found += np.where(left < 0, np.maximum(further, 0.0), 0.0)
        left = left - step
    return found


DETECTORS = (Stuck,)
