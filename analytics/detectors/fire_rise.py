"""Fire by what it does to the air: smoke, carbon monoxide or warmth rise above what was usual, and stay there.

A one-sided cumulative sum (E. S. Page, Biometrika 41, 1954) of the distance to a level that is learnt from the stream,
in spreads. Each reading counts for 4 spreads at most, so that no spike is a fire.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Rows, State, latched
from analytics.detectors.fire_frames import MINUTE_US, Marked, expired, micros, passed, whole
from devices.family import Family

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
        self.least = np.array([mark.least for mark in marks])
        self.memory = np.array([float(mark.memory_us) for mark in marks])

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        values, time, received = rows.values[:, self.judged], whole(rows.time), whole(rows.received)
        there = ~np.isnan(values)
        level, spread, seen = (state[name][slot].astype("f8") for name in ("level", "spread", "seen"))
        apart = np.where(there, values - level, 0.0)
        known = seen >= self.grace - 1
        usual = np.maximum(SIGMA * spread, self.least)
        since_us = passed(received, state["heard"][slot])
        before = np.where(since_us > asked.apart_us, 0.0, state["sum"][slot])
        more = np.clip(apart / usual, -asked.most, asked.most) - asked.slack
        total = np.where(there & known, np.clip(before + more, 0.0, 1.25 * asked.enough), before)
        # What is odd moves the usual no more than what is rare, and hardly at all while it lasts.
        part = -np.expm1(-since_us / self.memory)
        part = np.where(known, part / np.where(total > 0.25 * asked.enough, asked.slower, 1.0), 1.0 / (seen + 1.0))
        part = np.where(there, part, 0.0)
        near = np.where(known, np.clip(apart, -3.0 * usual, 3.0 * usual), apart)
        state["level"][slot] = level + part * near
        state["spread"][slot] = spread + part * (np.where(seen > 0, np.abs(near), 0.0) - spread)
        state["seen"][slot] = np.minimum(seen + there, self.grace).astype("u1")
        state["heard"][slot] = np.where(there, received, state["heard"][slot])
        since = np.where((before <= 0) & (total > 0), time, state["since"][slot])
        score = np.minimum(total / asked.enough, 1.0)
        state["sum"][slot], state["since"][slot], state["score"][slot] = total, since, score
        on = latched(state["on"][slot], score)
        return self.switched(slot, on, rows.time[:, None], micros(since), values, level)

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
