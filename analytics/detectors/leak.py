"""A leak behind a water meter: water that runs while everybody sleeps, night after night.

Minimum night flow, as in district metering (IWA Water Losses Task Force): the least flow between two readings from 01
to 04 h local time. A one-sided CUSUM over nights (Page 1954) tells a lasting rise from a single late shower.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Rows, State, latched
from analytics.detectors.rows import Bools, Floats, Ints, joined
from analytics.detectors.single import Single
from devices.family import Family

HOUR_US = 3_600_000_000
LOCAL_US = 7 * HOUR_US
DAY_US = 24 * HOUR_US
SIGMA = 1.2533  # standard deviation of a normal distribution, as a multiple of its mean absolute deviation


class Parameters(NamedTuple):
    """`night`: local hours, from and to; `grace`: nights before any verdict; `memory`: nights of the usual flow.

    `slack`, `limit`, `most`: the CUSUM's k and h, and the most that one night adds, in standard deviations. With k 0.5
    and h 15 a false alarm comes once in 10 million nights (Siegmund's approximation, normal nights); four nights of a
    clear leak are needed. `floor`: least standard deviation, m3/h, and `share`: as a share of the usual flow.
    `calm`: what a quiet night takes off while the alarm stands.
    """

    night: tuple[int, int] = (1, 4)
    grace: int = 10
    memory: float = 30.0
    slack: float = 0.5
    limit: float = 15.0
    most: float = 4.5
    floor: float = 0.002
    share: float = 0.3
    calm: float = 3.0


class Leak(Single):
    """Score: the CUSUM of the minimum night flow as a share of its limit. Value: flow of the last night, m3/h.

    Meters that send less often than every 90 minutes have no two readings in a night's window with one between and are
    not judged; a leak that was there from the first night on is their usual flow.
    """

    name = "leak"
    grace = 10
    arrays: ClassVar[dict[str, State]] = {
        "volume": State("f8", np.nan),
        "time": State("i8", -1),
        "night": State("i4", -1),  # local day
        "least": State("f4", np.inf),
        "steps": State("u1"),
        "nights": State("u2"),
        "usual": State("f4"),
        "spread": State("f4"),
        "sum": State("f4"),
        "since": State("i8"),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """The counter of a water meter."""
        return [family.index["total_volume"]] if "total_volume" in family.index else []

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        over = self._night_is_over(rows)
        changes = self._judge(rows.of(over)) if over.any() else None
        volume, before, time = rows.values[:, 0], state["volume"][slot, 0], state["time"][slot, 0]
        hours = np.maximum(rows.time - time, 1) / HOUR_US
        inside = self._in_window(rows.time) & self._in_window(time) & (hours <= 2) & (volume >= before)
        flow = np.where(inside, (volume - before) / hours, np.inf)
        state["least"][slot, 0] = np.minimum(state["least"][slot, 0], flow)
        state["steps"][slot, 0] += inside & (rows.time > time)
        state["night"][slot, 0] = np.where(inside, local_day(rows.time), state["night"][slot, 0])
        state["volume"][slot, 0], state["time"][slot, 0] = volume, rows.time
        return changes if changes is not None else joined([])

    def _in_window(self, time: Ints) -> Bools:
        start, end = (hour * HOUR_US for hour in self.parameters.night)
        of_day = (time + LOCAL_US) % DAY_US
        return np.asarray((of_day >= start) & (of_day <= end))

    def _night_is_over(self, rows: Rows) -> Bools:
        """Whether a reading is the first after a night of which two steps are known."""
        begun = self.state["steps"][rows.slot, 0] >= 2
        later = (local_day(rows.time) > self.state["night"][rows.slot, 0]) | ~self._in_window(rows.time)
        return np.asarray(begun & later)

    def _judge(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        flow = state["least"][slot, 0].astype(np.float64)
        nights, usual, total = state["nights"][slot, 0], state["usual"][slot, 0], state["sum"][slot, 0]
        sigma = self._sigma(usual, state["spread"][slot, 0], nights)
        odd = np.clip((flow - usual) / sigma, -asked.most, asked.most)
        judged = nights >= asked.grace
        was = state["on"][slot, 0]
        grown = np.maximum(0, total + odd - asked.slack - asked.calm * (was & (odd < 1)))
        grown = np.where(judged, np.minimum(grown, asked.limit), 0)
        last_calm = ~was & ((odd <= 1) | (state["since"][slot, 0] == 0))
        state["since"][slot, 0] = np.where(last_calm, rows.time, state["since"][slot, 0])
        state["sum"][slot, 0] = grown
        self._learn(slot, flow, ~judged | ((odd < 2) & ~was))
        state["least"][slot, 0], state["steps"][slot, 0] = np.inf, 0
        state["score"][slot, 0] = np.minimum(grown / asked.limit, 1)
        on = latched(was, state["score"][slot, 0])[:, None]
        since = state["since"][slot]
        return self.switched(slot, on, rows.time[:, None], since, flow[:, None], usual[:, None])

    def _sigma(self, usual: Floats, spread: Floats, nights: Ints) -> Floats:
        """Standard deviation of a night's flow, m3/h: larger while few nights are known."""
        asked = self.parameters
        learnt = SIGMA * spread * (1 + 4 / np.maximum(nights, 1))
        return np.asarray(np.maximum(np.maximum(learnt, asked.share * usual), asked.floor))

    def _learn(self, slot: Ints, flow: Floats, ordinary: Bools) -> None:
        state = self.state
        slot, flow = slot[ordinary], flow[ordinary]
        nights = state["nights"][slot, 0].astype(np.float64) + 1
        rate = 1 / np.minimum(nights, self.parameters.memory)
        away = flow - state["usual"][slot, 0]
        state["spread"][slot, 0] += np.where(nights > 1, rate * (np.abs(away) - state["spread"][slot, 0]), 0)
        state["usual"][slot, 0] += rate * away
        state["nights"][slot, 0] = np.minimum(nights, 60_000)


def local_day(time: Ints) -> Ints:
    """Local days since 1970 of times in µs since 1970 UTC."""
    return np.asarray((time + LOCAL_US) // DAY_US)


DETECTORS = (Leak,)
