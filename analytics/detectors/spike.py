"""Single readings that are far off and back at once: what a loose contact or a disturbed line leaves in a series."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import (
    SECOND_US,
    Array,
    Number,
    Record,
    Told,
    change,
    columns,
    compiled,
    f4,
    fetch,
    i8,
    inlined,
    later,
    lines_of,
)
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.layout import Records
from devices.family import Family

ZERO, ONE, FIVE = f4(0), f4(1), f4(5)
NEARLY, LEAST, FADING = f4(0.99), f4(1e-30), f4(1 - 1 / 5000)


class Parameters(NamedTuple):
    """How far a reading stands alone, against four measures of what the series does by itself.

    `steps`: mean step from one reading to the next; `tail`: largest excursion before that was none; `grains`: smallest
    step that was seen, the sensor's resolution; `spread`: standard deviation of the series.
    `evidence`: readings before anything is judged; `hold`: readings after which a spike is over; `contiguous`:
    intervals between two readings, at most; `idle`: share of unchanged readings from which a series is not judged.
    """

    steps: float = 7.0
    tail: float = 2.0
    grains: float = 5.0
    spread: float = 1.0
    evidence: int = 48
    hold: int = 8
    contiguous: float = 6.0
    idle: float = 0.85


class Spike(Detector):
    """Score: how far the reading before the newest stands out, as a share of what is too far.

    It stands out by the smaller of its distances to the median of the three before it and to the one after it, both to
    the same side: a level that stays, or a peak that takes its time, is none. So a spike is told one reading later.
    """

    name = "spike"
    general = True
    narrow = True
    in_rows = True
    grace = 48
    arrays: ClassVar[dict[str, State]] = {
        "ring": State("f4", np.nan, (4,)),  # values before, newest first
        "step": State("f4"),
        "tail": State("f4"),
        "grain": State("f4", np.inf),
        "mean": State("f4"),
        "square": State("f4"),
        "idle": State("f4"),
        "readings": State("u2"),
        "hold": State("u1"),
        "since": State("u4"),  # s since 1970
        "time": State("i8", -1, per_device=True),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Gauges that have a distance (359 deg are not far from 1 deg); neither a shower between two dry readings nor a
        vehicle that stops is a spike."""
        gauges = ((place, metric) for place, metric in enumerate(family.metrics) if metric.kind == "gauge")
        leaping = ("precipitation", "rain", "speed")
        return [place for place, metric in gauges if metric.unit != "deg" and not metric.name.startswith(leaping)]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        assert self.fleet is not None
        given = rows.slot, rows.time, rows.short, self.judged, self.fleet.interval_s
        return self.changes(sweep(*given, self.records, self.parameters))


@compiled
def sweep(
    slots: Array, times: Array, values: Array, places: Array, interval_s: Array, kept: Records, asked: Parameters
) -> Told:
    """In 32-bit numbers throughout: all of it is reckoned for every value."""
    told = []
    each, devices, rows = kept
    lines, end = lines_of(rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot, time = slots[i], times[i]
        device = devices[slot]
        before = device.time
        fresh = time > before
        apart = (time - before) / 1e6 > f4(asked.contiguous) * interval_s[slot]
        if fresh:
            device.time = time
        for j in range(len(places)):
            entry, value = each[slot, j], values[i, places[j]]
            ring = entry.ring
            entry.score = ZERO
            if apart:
                ring[:] = np.nan
            if value != value or not fresh:
                continue
            one, e = ring[0], excursion(value, ring)
            size, far = abs(e), limit(entry, asked)
            judged = entry.readings >= asked.evidence and entry.idle < f4(asked.idle)
            found = judged and size >= far  # never where e is NaN
            if judged and size == size:
                entry.score = min(size / far, NEARLY)
            if one == one:
                learn(entry, value, abs(value - one), ZERO if found or size != size else size)
            ring[3], ring[2], ring[1], ring[0] = ring[2], ring[1], one, value
            hold = i8(entry.hold)
            if not found and hold == 0:
                continue
            if found and hold == 0:
                entry.since = before // SECOND_US
            hold = asked.hold if found else hold - 1
            entry.hold, on = hold, hold > 0
            if on:
                entry.score = 1
            if on != entry.on:
                entry.on = on
                since = i8(entry.since) * SECOND_US
                told.append(change(slot, j, on, time, since, entry.score, one, one - e))
    return columns(told)


@inlined
def limit(entry: Record, asked: Parameters) -> Number:
    """How far off is too far, in the metric's unit."""
    grain = ZERO if np.isinf(entry.grain) else entry.grain
    far = max(f4(asked.steps) * entry.step, f4(asked.tail) * entry.tail)
    far = max(far, f4(asked.grains) * grain)
    return max(far, max(f4(asked.spread) * np.sqrt(max(entry.square, ZERO)), LEAST))


@inlined
def learn(entry: Record, value: Number, step: Number, size: Number) -> None:
    """What the series does by itself: steps are cut at five times the mean, so that one leap does not move it."""
    n = f4(entry.readings) + ONE
    share = ONE / n
    weight, slow = max(share, f4(0.02)), max(share, f4(0.002))
    mean_step, square = entry.step, entry.square
    off = value - entry.mean
    cut = step
    if n > 8:
        wide = FIVE * np.sqrt(max(square, ZERO)) + LEAST
        cut, off = min(step, FIVE * mean_step + LEAST), min(max(off, -wide), wide)
    entry.step = mean_step + weight * (cut - mean_step)
    entry.tail = max(entry.tail * FADING, size)
    if step > 0:
        entry.grain = min(entry.grain, step)
    entry.mean += slow * off
    entry.square = (ONE - slow) * (square + slow * off * off)
    entry.idle += slow * ((ONE if step == 0 else ZERO) - entry.idle)
    entry.readings = min(n, f4(60_000))


@inlined
def excursion(newest: Number, ring: Array) -> Number:
    """How far the first of the ring (4) stands alone between the newest value and the three before it; signed."""
    one, a, b, c = ring[0], ring[1], ring[2], ring[3]
    up, back = one - max(min(a, b), min(max(a, b), c)), one - newest
    if a != a or b != b or c != c or not up * back > 0:
        return ZERO * back
    return up if abs(up) < abs(back) else back


DETECTORS = (Spike,)
