"""A level that jumps and stays: a sensor that speaks another unit, was moved or knocked, or whose scale was changed."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import (
    SECOND_US,
    Array,
    Change,
    Number,
    Record,
    Told,
    change,
    columns,
    compiled,
    f4,
    f8,
    fetch,
    i8,
    inlined,
    later,
    likely,
    lines_of,
    none_told,
    tally,
)
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.layout import Records
from devices.family import Family

SWITCHED = ("battery_", "precipitation", "rain", "altitude", "disk_", "backup_", "fuel_", "filling_")
"""What fills, is emptied or charged."""
EVENTFUL = ("traffic_flow", "vehicle", "fire_watch", "machine", "parking", "security_event", "camera_event")
"""Families whose values jump and stay because something happens: a queue, a fire, a machine that is started."""


FULL = 60_000
"""Readings after which what is long ago counts half."""


class Parameters(NamedTuple):
    """`times`: of the largest step before, and `share`: of the width of all that was said lately: the least of a jump;
    `stays`: readings that are beyond half of the jump, after which it is one that stays; `evidence`: readings, and
    `days`, before anything is judged (at most 30,000 readings); `idle`: share of unchanged readings from which a metric
    is not judged; `memory_days`: after which half of the largest step and of the width is forgotten; `contiguous`:
    intervals between two readings, at most; `settled_days`: after which the new level is the usual one."""

    times: float = 3.0
    share: float = 0.75
    stays: int = 6
    evidence: int = 200
    days: float = 2.0
    idle: float = 0.5
    memory_days: float = 20.0
    contiguous: float = 6.0
    settled_days: float = 7.0


class Shift(Detector):
    """Score: readings since the jump that stayed beyond half of it, as a share of those that are enough. Value: now;
    expected: before the jump.

    A spike comes back and a front takes its time: neither is a shift. Where jumps are ordinary, they are in the largest
    step and the width that a jump is measured by.
    """

    name = "shift"
    general = True
    narrow = True
    in_rows = True
    grace = 200
    arrays: ClassVar[dict[str, State]] = {
        "last": State("f4", np.nan),
        "step": State("f4"),  # the largest
        "low": State("f4", np.inf),
        "high": State("f4", -np.inf),
        "readings": State("u2"),
        "same": State("u2"),  # readings that repeated the one before
        "before": State("f4"),  # the level that was left
        "half": State("f4"),  # half of the jump, signed; 0: there was none
        "stayed": State("u1"),
        "since": State("u4"),  # s since 1970
        "time": State("i8", -1, per_device=True),
        "span": State("u2", per_device=True),  # of `memory_days`, since 1970
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Gauges of sensors that stand still, with a distance (359 deg are not far from 1 deg)."""
        if family.name in EVENTFUL:
            return []
        gauges = ((place, metric) for place, metric in enumerate(family.metrics) if metric.kind == "gauge")
        return [place for place, metric in gauges if metric.unit != "deg" and not metric.name.startswith(SWITCHED)]

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
    """Most values are near the one before and within what was: of these nothing but the value is noted."""
    told = none_told()
    memory_us = i8(asked.memory_days * 86_400_000_000)
    each, devices, rows = kept
    lines, end = lines_of(rows), len(slots) - 1
    span, span_begun = np.uint16(0), i8(0)
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot, time = np.uint64(slots[i]), times[i]
        device = devices[slot]
        newest = device.time
        if time - span_begun >= memory_us or time < span_begun:  # to divide takes as long as the rest
            span = np.uint16(time // memory_us)
            span_begun = time // memory_us * memory_us
        if span != device.span:
            device.span = span
            for j in range(len(places)):
                fade(each[slot, j])
        if time <= newest:
            continue
        device.time = time
        apart = time - newest > 1e6 * f8(f4(asked.contiguous) * interval_s[slot])
        for j in range(len(places)):
            entry, value = each[slot, j], values[i, places[j]]
            if value != value:
                continue
            last = entry.last
            entry.last = value
            n = tally(entry, value == last, FULL)
            step = f4(0) if apart or last != last else value - last
            within = (abs(step) <= entry.step) & (entry.low <= value) & (value <= entry.high)
            if likely((entry.half == 0) & within):
                continue
            leaves(told, entry, i8(slot), j, time, interval_s[slot], value, step, n, asked)
    return columns(told)


@compiled
def leaves(
    told: list[Change],
    entry: Record,
    slot: int,
    column: int,
    time: int,
    interval_s: Number,
    value: Number,
    step: Number,
    n: int,
    asked: Parameters,
) -> None:
    """A value that leaves what was, or one that comes after a jump. Apart from the loop, which is short without it."""
    now_s, stayed, half = time // SECOND_US, i8(entry.stayed), entry.half
    if half == 0 and beyond(entry, step, n, interval_s, asked):
        entry.before = value - step
        entry.since = now_s
        half = step / f4(2)
    before, since = entry.before, i8(entry.since)
    if half != 0 and (value - before - half) * half > 0:
        stayed = min(stayed + 1, asked.stays)
        if now_s - since > asked.settled_days * 86_400:
            half, stayed = f4(0), 0
    else:
        half, stayed = f4(0), 0
    entry.half, entry.stayed = half, stayed
    if half == 0:
        entry.step = max(entry.step, abs(step))
        entry.low = min(entry.low, value)
        entry.high = max(entry.high, value)
    entry.score = stayed / asked.stays
    on = stayed >= asked.stays
    if on != entry.on:
        entry.on = on
        told.append(change(slot, column, on, time, since * SECOND_US, entry.score, value, before))


@inlined
def fade(entry: Record) -> None:
    """Half of what was is forgotten now and then."""
    if entry.high > entry.low:
        quarter = (entry.high - entry.low) / f4(4)
        entry.low += quarter
        entry.high -= quarter
    entry.step /= f4(2)


@inlined
def beyond(entry: Record, step: Number, n: int, interval_s: Number, asked: Parameters) -> Number:
    """Whether a step is too large for its series."""
    size, width = abs(step), entry.high - entry.low
    if size <= f4(asked.times) * entry.step or size <= f4(asked.share) * width:
        return False
    a_while = min(max(asked.days * 86_400 / interval_s, asked.evidence), FULL // 2 - 1)
    return n >= a_while and entry.same < asked.idle * n


DETECTORS = (Shift,)
