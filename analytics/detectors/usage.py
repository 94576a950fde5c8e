"""Use far above what is usual at that hour of the week, for most of a day: a tap left open, a device left on, theft.

The profile is one byte for each of the 168 hours of the week, on a scale of equal ratios: 9 % are a step, and the least
standard deviation that is reckoned with is half of the mean use.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Rows, State, latched
from analytics.detectors.rows import Floats, Ints, joined
from analytics.detectors.seasonal import HOURS, MONDAY, SIGMA
from analytics.detectors.single import Single
from devices.family import Family

HOUR_US = 3_600_000_000
LOCAL_US = 7 * HOUR_US
SMALLEST, STEPS = 1e-4, 8
"""The least use per hour that is told from none, kW.h or m3, and steps of the scale for a doubling."""
UNKNOWN, NONE = 0, 1
SCALE = np.r_[np.nan, 0.0, SMALLEST * 2.0 ** (np.arange(254) / STEPS)]
"""What the bytes of a profile mean: up to 330,000 per hour."""
COUNTERS = ("total_active_energy_import", "total_volume")


class Parameters(NamedTuple):
    """`grace`: hours before any verdict; `memory`: weeks that the profile remembers; `slack`, `limit`, `most`: of the
    CUSUM over hours, and the most one hour adds, in standard deviations: a verdict takes 12 hours at least. `share`:
    least standard deviation as a share of the mean use. `steady`: hours that the spread remembers."""

    grace: int = 3 * HOURS
    memory: float = 6.0
    slack: float = 2.0
    limit: float = 36.0
    most: float = 5.0
    share: float = 0.5
    steady: float = 500.0


class Usage(Single):
    """Score: the CUSUM of hourly use above the profile, as a share of its limit. Value, expected: use of the last full
    hour, per hour in the counter's unit."""

    name = "usage"
    general = True
    grace = 3 * HOURS
    arrays: ClassVar[dict[str, State]] = {
        "profile": State("u1", UNKNOWN, (HOURS,)),
        "last": State("f8", np.nan),
        "time": State("i8", -1),
        "hour": State("i4", -1),  # local, since 1970: the one that is being added up
        "used": State("f4"),
        "span": State("f4"),  # hours
        "hours": State("u2"),
        "mean": State("f4"),
        "spread": State("f4"),
        "sum": State("f4"),
        "since": State("i8"),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """The main counter of a meter."""
        return [family.index[name] for name in COUNTERS if name in family.index]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        value, last, time = rows.values[:, 0], state["last"][slot, 0], state["time"][slot, 0]
        hours = (rows.time - time) / HOUR_US
        good = (value >= last) & (hours > 0) & (hours <= 2)
        hour = ((rows.time + time) // 2 + LOCAL_US) // HOUR_US
        next_hour = good & (hour > state["hour"][slot, 0])
        full = next_hour & (state["span"][slot, 0] >= 0.5)
        changes = self._judge(slot[full], rows.time[full]) if full.any() else joined([])
        for name, step in (("used", value - last), ("span", hours)):
            kept = np.where(next_hour, 0, state[name][slot, 0])
            state[name][slot, 0] = np.where(good, kept + np.nan_to_num(step), kept)
        state["hour"][slot, 0] = np.where(next_hour, hour, state["hour"][slot, 0])
        state["last"][slot, 0], state["time"][slot, 0] = value, rows.time
        return changes

    def _judge(self, slot: Ints, time: Ints) -> Changes:
        state, asked = self.state, self.parameters
        rate = state["used"][slot, 0] / state["span"][slot, 0]
        place = (state["hour"][slot, 0] + MONDAY) % HOURS
        usual = SCALE[state["profile"][slot, 0, place]]
        known = ~np.isnan(usual) & (state["hours"][slot, 0] >= asked.grace)
        sigma = np.maximum(SIGMA * state["spread"][slot, 0], asked.share * state["mean"][slot, 0]) + 1e-9
        odd = np.where(known, np.clip((rate - usual) / sigma, -asked.most, asked.most), 0)
        total = state["sum"][slot, 0]
        grown = np.clip(total + odd - asked.slack, 0, asked.limit)
        state["since"][slot, 0] = np.where((total == 0) & (grown > 0), time, state["since"][slot, 0])
        state["sum"][slot, 0] = grown
        state["score"][slot, 0] = grown / asked.limit
        self._learn(slot, place, rate, usual, sigma)
        on = latched(state["on"][slot, 0], state["score"][slot, 0])[:, None]
        return self.switched(slot, on, time[:, None], state["since"][slot], rate[:, None], usual[:, None])

    def _learn(self, slot: Ints, place: Ints, rate: Floats, usual: Floats, sigma: Floats) -> None:
        state, asked = self.state, self.parameters
        hours = np.minimum(state["hours"][slot, 0].astype(np.float64) + 1, 60_000)
        away = np.where(np.isnan(usual), 0, rate - usual)
        weight = 1 / np.minimum(1 + hours // HOURS, asked.memory)
        near = np.where(hours < asked.grace, away, np.clip(away, -3 * sigma, 3 * sigma))
        level = np.where(np.isnan(usual), rate, usual + weight * near)
        state["profile"][slot, 0, place] = coded(level)
        slow = 1 / np.minimum(hours, asked.steady)
        state["mean"][slot, 0] += slow * (rate - state["mean"][slot, 0])
        bounded = np.minimum(np.abs(away), np.where(hours < asked.grace, np.inf, 3 * sigma))
        learn = ~np.isnan(usual)
        state["spread"][slot, 0] += learn * slow * (bounded - state["spread"][slot, 0])
        state["hours"][slot, 0] = hours


def coded(level: Floats) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """Use per hour → the nearest byte of SCALE.

    >>> coded(np.array([0.0, 4e-5, 1e-4, 1.0, 1.03, 1e9]))
    array([  1,   1,   2, 108, 109, 255], dtype=uint8)
    """
    code = np.round(np.log2(np.maximum(level, SMALLEST) / SMALLEST) * STEPS) + 2
    return np.where(level < SMALLEST / 2, NONE, np.clip(code, 2, 255)).astype(np.uint8)


DETECTORS = (Usage,)
