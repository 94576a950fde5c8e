"""Fire by what it does to the air: smoke, carbon monoxide or warmth rise above what was usual, and stay there.

A one-sided cumulative sum (E. S. Page, Biometrika 41, 1954) of the distance to a level that is learnt from the stream,
in spreads. Each reading counts for 4 spreads at most, so that no spike is a fire.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import NO_CHANGES, Changes, Rows, State, latched
from analytics.detectors.fire_frames import MINUTE_US, SECOND_US, Marked, expired, whole
from analytics.detectors.rows import Floats, Ints
from devices.family import Family

ZERO = np.float32(0)
SIGMA = 1.2533
"""Standard deviation of a normal distribution, as a multiple of its mean absolute deviation."""


class Mark(NamedTuple):
    """Of a metric. `least`: the smallest spread, in its unit: what is less than this above the usual is no sign of fire
    however calm the device; `memory_us`: after which the usual is forgotten to 1/e."""

    least: float
    memory_us: int


class Parameters(NamedTuple):
    """`slack`: spreads above the usual that are no evidence; `most`: as which a reading counts at most; `enough`: the
    sum that is evidence (four readings at least); `slower`: how much slower is learnt while there is some; after
    `apart_us` without a reading the sum begins anew."""

    slack: float = 1.0
    most: float = 4.0
    enough: float = 12.0
    slower: float = 20.0
    apart_us: int = 30 * MINUTE_US


class Rise(Marked):
    """Score: the cumulative sum, of what is enough."""

    grace = 30
    marks: ClassVar[dict[str, dict[str, Mark]]]
    arrays: ClassVar[dict[str, State]] = {
        "level": State("f4"),
        "spread": State("f4"),  # mean absolute deviation
        "seen": State("u1"),  # readings, up to the grace
        "sum": State("f4"),
        "since": State("u4"),  # s since 1970: when the sum left 0
        "heard": State("u4"),  # s since 1970 by our clock: the last reading
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        marks = list(self.marks.get(family.name, {}).values())
        self.least = np.array([mark.least for mark in marks], np.float32)
        self.memory = np.array([mark.memory_us / SECOND_US for mark in marks], np.float32)

    def _round(self, rows: Rows) -> Changes:
        """In 32-bit numbers throughout: all of it is reckoned for every value."""
        state, slot, asked = self.state, rows.slot, self.parameters
        value, received = self.short(rows), whole(rows.received)
        there = value == value
        level, spread, seen, heard = (state[name][slot] for name in ("level", "spread", "seen", "heard"))
        apart = np.where(there, value - level, ZERO)
        known = seen >= self.grace - 1
        usual = np.maximum(np.float32(SIGMA) * spread, self.least)
        passed_s = np.maximum(received.astype("i8") - heard, 0).astype("f4")
        sum_before = state["sum"][slot]
        before = np.where(passed_s > asked.apart_us / SECOND_US, ZERO, sum_before)
        most, enough = np.float32(asked.most), np.float32(asked.enough)
        more = np.minimum(np.maximum(apart / usual, -most), most) - np.float32(asked.slack)
        grown = np.minimum(np.maximum(before + more, ZERO), np.float32(1.25) * enough)
        total = np.where(there & known, grown, before)
        # What is odd moves the usual no more than what is rare, and hardly at all while it lasts.
        part = -np.expm1(-passed_s / self.memory)
        part = np.where(total > np.float32(0.25) * enough, part / np.float32(asked.slower), part)
        part = np.where(known, part, 1 / (seen + np.float32(1)))
        part = np.where(there, part, ZERO)
        near = np.where(known, np.minimum(np.maximum(apart, -3 * usual), 3 * usual), apart)
        state["level"][slot] = level + part * near
        state["spread"][slot] = spread + part * (np.where(seen > 0, np.abs(near), ZERO) - spread)
        if (seen < self.grace).any():
            state["seen"][slot] = np.minimum(seen + there, self.grace).astype("u1")
        state["heard"][slot] = np.where(there, received, heard)
        state["sum"][slot] = total
        row, column = np.nonzero((total > 0) | (sum_before > 0) | state["on"][slot])
        return self._rising(rows, row, column, before[row, column], total[row, column], value, level)

    def _rising(
        self, rows: Rows, row: Ints, column: Ints, before: Floats, total: Floats, value: Floats, level: Floats
    ) -> Changes:
        """Values by which something rises or is over, given by row and column."""
        if not len(row):
            return NO_CHANGES
        state, at = self.state, (rows.slot[row], column)
        begun = (before <= 0) & (total > 0)
        state["since"][at] = since = np.where(begun, rows.time[row] // SECOND_US, state["since"][at].astype("i8"))
        score = np.minimum(total / self.parameters.enough, 1.0)
        on = latched(state["on"][at], score)
        seen = (value[row, column], level[row, column])
        return self.settled(*at, score, on, rows.time[row], since * SECOND_US, *seen)

    def tick(self, now_us: int) -> Changes:
        """A device that fell silent is no evidence any more."""
        return expired(self, "sum", now_us - self.parameters.apart_us, now_us)


class Smoke(Rise):
    """Smoke particles or carbon monoxide in the air, ug/m3."""

    name = "fire-smoke"
    marks: ClassVar = {
        "fire_watch": {"smoke": Mark(60.0, 120 * MINUTE_US), "co": Mark(1000.0, 120 * MINUTE_US)},
        "air_quality": {"pm25": Mark(40.0, 120 * MINUTE_US), "co": Mark(1000.0, 120 * MINUTE_US)},
    }


class Warmth(Rise):
    """Air at the device that grows warmer faster than a morning, Cel."""

    name = "fire-warmth"
    marks: ClassVar = {"fire_watch": {"temperature": Mark(3.0, 30 * MINUTE_US)}}


DETECTORS = (Smoke, Warmth)
