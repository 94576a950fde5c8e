"""Noise above the legal limit of the time of day, hour after hour. Limits are the table `noise_limits`."""

from datetime import UTC, datetime
from typing import ClassVar

import msgspec
import numpy as np

from analytics import tables
from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.rows import Floats, Ints, joined
from analytics.detectors.single import rounds_of
from devices.family import Family

HOUR_US = 3_600_000_000
LOCAL_US = 7 * HOUR_US
PLACE = "ordinary"
"""The kind of place of a device: the registry does not know which stand at hospitals and schools."""


class Limits(msgspec.Struct, frozen=True):
    """The values of the table: local hours from and to by part of the day, dB(A) by kind of place and part."""

    hours: dict[str, tuple[int, int]]
    limit: dict[str, dict[str, float]]


def limits_by_hour(limits: Limits, place: str = PLACE) -> Floats:
    """The limit, dB(A), of each hour of the day.

    >>> limits_by_hour(Limits({"day": (6, 21), "night": (21, 6)}, {PLACE: {"day": 70, "night": 55}}))[[5, 6, 20, 21]]
    array([55., 70., 70., 55.])
    """
    hours = np.arange(24)
    found = np.full(24, np.nan)
    for part, (start, end) in limits.hours.items():
        within = (hours >= start) & (hours < end) if start < end else (hours >= start) | (hours < end)
        found[within] = limits.limit[place][part]
    return found


class Loud(Detector):
    """Score: hours in a row whose LAeq is above the limit, as a share of three. An hour less than 2 dB below it takes
    one hour back, a quieter one or one without readings ends it. Value: LAeq of the last hour; expected: its limit."""

    name = "loud"
    grace = 3
    hours: ClassVar[int] = 3
    margin: ClassVar[float] = 2.0
    arrays: ClassVar[dict[str, State]] = {
        "hour": State("i4", -1),  # local, since 1970
        "energy": State("f8"),  # of the hour so far: seconds x 10^(level / 10)
        "seconds": State("f4"),
        "above": State("u1"),
        "since": State("i8"),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """LAeq."""
        return [family.index["laeq"]] if "laeq" in family.index else []

    def __init__(self, family: Family, limits: Limits | None = None) -> None:
        super().__init__(family)
        day = datetime.now(UTC).date()
        self.limits = limits_by_hour(limits or tables.load("noise_limits", tables.ANY, day, Limits).held)
        self._period = family.index.get("period_s")

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        columns = self.judged.tolist() if self._period is None else [*self.judged.tolist(), self._period]
        return joined([self._round(some) for some in rounds_of(rows, *columns)])

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        hour = (rows.time + LOCAL_US) // HOUR_US
        other = hour != state["hour"][slot, 0]
        over = other & (state["seconds"][slot, 0] > 0)
        changes = self._judge(slot[over], rows.time[over], hour[over]) if over.any() else joined([])
        seconds = self._seconds(rows)
        energy = seconds * 10 ** (rows.values[:, 0] / 10)
        for name, more in (("energy", energy), ("seconds", seconds)):
            state[name][slot, 0] = np.where(other, 0, state[name][slot, 0]) + more
        state["hour"][slot, 0] = hour
        return changes

    def _seconds(self, rows: Rows) -> Floats:
        assert self.fleet is not None
        usual = self.fleet.interval_s[rows.slot].astype(np.float64)
        if self._period is None:
            return usual
        said = rows.values[:, 1]
        return np.where(np.isnan(said), usual, np.minimum(said, 3600))

    def _judge(self, slot: Ints, time: Ints, now: Ints) -> Changes:
        state = self.state
        hour, above = state["hour"][slot, 0].astype(np.int64), state["above"][slot, 0].astype(np.int64)
        level = 10 * np.log10(state["energy"][slot, 0] / state["seconds"][slot, 0])
        limit = self.limits[hour % 24]
        near = np.where(level > limit - self.margin, np.maximum(above - 1, 0), 0)
        grown = np.where(level > limit, np.minimum(above + 1, self.hours), near)
        grown = np.where(now - hour > 2, 0, grown)
        begin = hour * HOUR_US - LOCAL_US
        state["since"][slot, 0] = np.where((above == 0) & (grown > 0), begin, state["since"][slot, 0])
        state["above"][slot, 0] = grown
        state["score"][slot, 0] = grown / self.hours
        on = latched(state["on"][slot, 0], state["score"][slot, 0])[:, None]
        return self.switched(slot, on, time[:, None], state["since"][slot], level[:, None], limit[:, None])


DETECTORS = (Loud,)
