"""Batteries: how many days are left at the pace of the last days, and those that are empty."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.rows import Bools, Floats, Ints, joined
from devices.family import Family

DAY_US = 86_400_000_000
LOCAL_US = 7 * 3_600_000_000
"""Asia/Ho_Chi_Minh is UTC+7 all year."""
KEPT = 14


class Parameters(NamedTuple):
    """`days_left`: a ticket below; `least_days`: days since it was charged or replaced before anything is foretold;
    `empty_level`: where a level is empty; `empty_share`: of the best day, where a voltage is; `charged`: how much
    higher than before, as a share of full, tells a new or charged battery; `flat`: readings in a row at half of
    `empty_level`, or below 0.9 of an empty voltage, that need no days."""

    days_left: float = 14.0
    least_days: int = 4
    empty_level: float = 0.05
    empty_share: float = 0.85
    charged: float = 0.12
    flat: int = 3


class Battery(Detector):
    """Score: 1 from `days_left` days on, less before. The value told is the days left.

    The mean of each local day is kept for two weeks: the day's warmth and the panel's sun cancel out. The pace is the
    median of the slopes of all pairs of days (Theil 1950, Sen 1968). A battery that is charged every few days never has
    enough days in a row to be foretold.
    """

    name = "battery"
    grace = 3
    arrays: ClassVar[dict[str, State]] = {
        "day": State("i4"),
        "sum": State("f4"),
        "readings": State("f4"),
        "last": State("f4", np.nan),
        "means": State("f4", np.nan, (KEPT,)),  # of the days before, newest first, NaN without readings
        "best": State("f4", np.nan),
        "left": State("f4", np.inf),  # days
        "flat": State("u1"),
        "total": State("u1"),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Level and voltage of the battery."""
        names = ("battery_level", "battery_voltage")
        return [family.index[name] for name in names if name in family.index]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        self._voltage = np.array([family.metrics[place].name == "battery_voltage" for place in self.judged])

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        told: Bools = np.asarray(~np.isnan(rows.told[:, rows.columns(self.judged)]).all(axis=1))
        rows = rows if told.all() else rows.of(told)
        return joined([self._round(rows.of(places)) for places in rows.rounds()])

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        value = rows.told[:, rows.columns(self.judged)]
        told = ~np.isnan(value)
        full = np.where(self._voltage, state["best"][slot], 1.0)
        charged = told & (value - state["last"][slot] > asked.charged * full)
        state["means"][slot] = np.where(charged[..., None], np.nan, state["means"][slot])
        state["left"][slot] = np.where(charged, np.inf, state["left"][slot])
        day = np.where(told, ((rows.time + LOCAL_US) // DAY_US)[:, None], state["day"][slot])
        self._close(slot, told, day, charged)
        state["sum"][slot] += np.where(told, value, 0.0)
        state["readings"][slot] += told
        state["last"][slot] = np.where(told, value, state["last"][slot])
        state["total"][slot] = np.minimum(state["total"][slot] + told, 250)
        empty = np.where(self._voltage, 0.9 * asked.empty_share * state["best"][slot], asked.empty_level / 2)
        flat = np.where(told, np.where(value <= empty, state["flat"][slot] + 1, 0), state["flat"][slot])
        state["flat"][slot] = flat = np.minimum(flat, 250)
        left = np.where(flat >= asked.flat, 0.0, state["left"][slot])
        score = np.clip(asked.days_left / np.maximum(left, 1e-3), 0.0, 1.0) * (state["total"][slot] >= self.grace)
        state["score"][slot] = score
        on = latched(state["on"][slot], score)
        return self.switched(slot, on, rows.time[:, None], rows.time[:, None], left)

    def _close(self, slot: Ints, told: Bools, day: Ints, charged: Bools) -> None:
        """Where a new day begins, put the mean of the one before to the others and look ahead; a charge begins anew."""
        state = self.state
        over = told & (day > state["day"][slot])
        anew = over | charged
        if not anew.any():
            return
        row, column = np.nonzero(over)
        at = (slot[row], column)
        n = state["readings"][at]
        mean = np.where(n > 0, state["sum"][at] / np.maximum(n, 1), np.nan)
        means = state["means"][at]
        passed = np.where(n > 0, day[row, column] - state["day"][at], 1)
        kept = np.concatenate((np.where(charged[row, column], np.nan, mean)[:, None], means[:, : KEPT - 1]), axis=1)
        # Days without a reading lie between: what is older moves on, out of the window at last.
        shift = np.minimum(passed - 1, KEPT)[:, None]
        source = np.arange(KEPT)[None, :] - shift
        kept = np.where(source >= 0, np.take_along_axis(kept, np.maximum(source, 0), 1), np.nan)
        state["means"][at] = kept
        state["best"][at] = np.fmax(state["best"][at], mean)
        state["left"][at] = self._days_left(kept, column, state["best"][at])
        state["day"][slot] = np.where(anew, day, state["day"][slot])
        state["sum"][slot] = np.where(anew, 0.0, state["sum"][slot])
        state["readings"][slot] = np.where(anew, 0.0, state["readings"][slot])

    def _days_left(self, means: Floats, column: Ints, best: Floats) -> Floats:
        """From the days before (…, KEPT), newest first."""
        asked = self.parameters
        known = ~np.isnan(means)
        enough = known.sum(axis=1) >= asked.least_days
        left = np.full(len(means), np.inf)
        if not enough.any():
            return left
        slope = -theil_sen(means[enough])  # newest first: a falling battery rises into the past
        newest = means[enough][np.arange(int(enough.sum())), np.argmax(known[enough], axis=1)]
        voltage = self._voltage[column[enough]]
        full = np.where(voltage, best[enough], 1.0)
        empty = np.where(voltage, asked.empty_share * full, asked.empty_level)
        falling = slope < -0.004 * full
        days = np.maximum(newest - empty, 0.0) / np.where(falling, -slope, 1.0)
        left[enough] = np.where(falling, days, np.inf)
        return left


def theil_sen(series: Floats) -> Floats:
    """Median slope of all pairs of each row, per place; NaN are left out (Theil 1950, Sen 1968)."""
    first, second = np.triu_indices(series.shape[1], 1)
    slopes = (series[:, second] - series[:, first]) / (second - first)
    gone = np.isnan(slopes)
    slopes = np.sort(np.where(gone, np.inf, slopes), axis=1)
    n = (~gone).sum(axis=1)
    low, high = np.maximum((n - 1) // 2, 0), np.minimum(n // 2, slopes.shape[1] - 1)
    rows = np.arange(len(series))
    return np.where(n > 0, (slopes[rows, low] + slopes[rows, high]) / 2, np.nan)


DETECTORS = (Battery,)
