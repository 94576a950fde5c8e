"""Fire by what it does to the air: smoke, carbon monoxide or warmth rise above what was usual, and stay there.

A one-sided cumulative sum (E. S. Page, Biometrika 41, 1954) of the distance to a level that is learnt from the stream,
in spreads. Each reading counts for 4 spreads at most, so that no spike is a fire.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import (
    SECOND_US,
    Array,
    Number,
    Told,
    change,
    columns,
    compiled,
    f4,
    fetch,
    i8,
    inlined,
    latched,
    later,
    lines_of,
)
from analytics.detectors.detector import Changes, Rows, State
from analytics.detectors.fire_frames import MINUTE_US, Marked, expired
from analytics.detectors.layout import Records
from devices.family import Family

ZERO, ONE, THREE = f4(0), f4(1), f4(3)
LONG_S = 4096
"""What is forgotten in fewer seconds is reckoned once."""
SIGMA = f4(1.2533)
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

    in_rows = True
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
        self._parts = parts(self.memory)

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        given = rows.slot, rows.time, rows.received, rows.told, rows.columns(self.judged)
        return self.changes(
            sweep(*given, self.least, self.memory, self._parts, self.grace, self.records, self.parameters)
        )

    def tick(self, now_us: int) -> Changes:
        """A device that fell silent is no evidence any more."""
        return expired(self, "sum", now_us - self.parameters.apart_us, now_us)


@compiled
def parts(memory: Array) -> Array:
    """How much of the usual is forgotten after so many seconds, below LONG_S: metrics × seconds."""
    found = np.empty((len(memory), LONG_S), np.float32)
    for j in range(len(memory)):
        for passed_s in range(LONG_S):
            found[j, passed_s] = forgotten(passed_s, memory[j])
    return found


@inlined
def forgotten(passed_s: int, memory: Number) -> Number:
    """How much of the usual is."""
    return -np.expm1(-f4(passed_s) / memory)


@compiled
def sweep(
    slots: Array,
    times: Array,
    receipts: Array,
    values: Array,
    places: Array,
    least: Array,
    memory: Array,
    parts: Array,
    grace: int,
    kept: Records,
    asked: Parameters,
) -> Told:
    """In 32-bit numbers throughout: all of it is reckoned for every value."""
    told = []
    most, enough = f4(asked.most), f4(asked.enough)
    each, lines, end = kept.each, lines_of(kept.rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot, received = slots[i], receipts[i] // SECOND_US
        for j in range(len(places)):
            entry, value = each[slot, j], f4(values[i, places[j]])
            level, seen, sum_before = entry.level, i8(entry.seen), entry.sum
            passed_s = max(received - i8(entry.heard), 0)
            before = ZERO if passed_s > asked.apart_us / SECOND_US else sum_before
            total, known = before, seen >= grace - 1
            if value == value:
                off, usual = value - level, max(SIGMA * entry.spread, least[j])
                if known:
                    more = min(max(off / usual, -most), most) - f4(asked.slack)
                    total = min(max(before + more, ZERO), f4(1.25) * enough)
                    off = min(max(off, -THREE * usual), THREE * usual)
                    part = parts[j, passed_s] if passed_s < LONG_S else forgotten(passed_s, memory[j])
                    # What is odd moves the usual no more than what is rare, and hardly at all while it lasts.
                    if total > f4(0.25) * enough:
                        part /= f4(asked.slower)
                else:
                    part = ONE / f4(seen + 1)
                entry.level = level + part * off
                entry.spread += part * ((abs(off) if seen > 0 else ZERO) - entry.spread)
                entry.seen, entry.heard = min(seen + 1, grace), received
            entry.sum = total
            if total <= 0 and sum_before <= 0 and not entry.on:
                continue
            if before <= 0 and total > 0:
                entry.since = times[i] // SECOND_US
            entry.score = score = min(total / enough, ONE)
            on = latched(entry.on, score)
            if on != entry.on:
                entry.on = on
                since = i8(entry.since) * SECOND_US
                told.append(change(slot, j, on, times[i], since, score, value, level))
    return columns(told)


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
