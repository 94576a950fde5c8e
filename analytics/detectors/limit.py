"""Thresholds on readings, with duration and hysteresis: the alarms of profiles, and those that rules add.

One detector for each severity, so that a metric may be at several limits at once. What is beyond `raise` for `for_s`
is on; it is over when it is back past `clear`. Between the two nothing changes, so nothing comes and goes in the band.
"""

from typing import ClassVar

import numpy as np

from analytics.alarms.limits import Limits, in_use
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
    fetch,
    i8,
    inlined,
    later,
    likely,
    lines_of,
    none_told,
)
from analytics.detectors.detector import Changes, Detector, Fleet, Rows, State
from analytics.detectors.layout import Records
from devices.family import Family

HIGH, LOW = 1, 2
LIMIT = np.dtype(
    [(f"{side}_{name}", "f8") for side in ("high", "low") for name in ("raise", "clear", "for_s")]
    + [("state_raise", "i8"), ("state_clear", "i8")]
)
"""Of a model and a metric: see `Arrays`."""


class Limit(Detector):
    """Score: how long it has been beyond, of the time that it takes. `value`: what was read, `expected`: the limit."""

    in_rows = True
    grace = 1
    severity: ClassVar[str]
    arrays: ClassVar[dict[str, State]] = {
        "side": State("u1"),  # HIGH or LOW, beyond which it is; 0: neither
        "since": State("u4"),  # s since 1970: the first reading of those in a row that are beyond
        "newest": State("u4", per_device=True),  # s since 1970
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Metrics on which a profile of the family has an alarm of this severity, or a rule."""
        return in_use().judged(family, cls.severity)

    def __init__(self, family: Family, limits: Limits | None = None) -> None:
        super().__init__(family)
        self.limits = (limits or in_use()).of(family, self.severity, self.judged.tolist())
        self._table = np.zeros(self.limits.high_raise.shape, LIMIT)
        for name in LIMIT.names or ():
            self._table[name] = getattr(self.limits, name)

    def grow(self, fleet: Fleet) -> None:
        """As every detector."""
        super().grow(fleet)
        self._models = self.limits.models(fleet)

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        assert self.fleet is not None
        given = rows.slot, rows.time, rows.told, rows.known(self.judged), rows.columns(self.judged), self.fleet.silent_s
        return self.changes(sweep(*given, self._models, self._table, self.records))


@compiled
def sweep(
    slots: Array,
    times: Array,
    values: Array,
    known: Array,
    places: Array,
    silent_s: Array,
    models: Array,
    table: Array,
    kept: Records,
) -> Told:
    """Most readings are beyond nothing, as those before them, or beyond what they were: they change nothing."""
    told = none_told()
    each, devices, rows = kept
    lines, end = lines_of(rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot, time_s = np.uint64(slots[i]), times[i] // SECOND_US
        device = devices[slot]
        before = i8(device.newest)
        device.newest = max(before, time_s)
        # After a silence nobody knows what was in between, and the time begins anew.
        gap = time_s - before > silent_s[slot]
        for n in range(len(known)):
            j = known[n]
            value = values[i, places[j]]
            if value != value:
                continue
            entry, limit = each[slot, j], table[models[slot], j]
            was, on = i8(entry.side), entry.on
            # Of numbers that is told without a branch.
            states = (limit.state_raise | limit.state_clear) != 0
            within = (value >= limit.low_raise) & (value <= limit.high_raise) & (was == 0) & (not on)
            past = value > limit.low_clear if was == LOW else value < limit.high_clear
            goes_on = on & (was != 0) & (entry.score == 1) & (not past)
            if likely((within | goes_on) & (not states)):
                continue
            crosses(told, entry, limit, i8(slot), j, times[i], gap, value)
    return columns(told)


@compiled
def crosses(
    told: list[Change], entry: Record, limit: Record, slot: int, column: int, time: int, gap: bool, value: Number
) -> None:
    """A value that may be beyond a limit, or back. Apart from the loop, which is short without it."""
    was, on, time_s = i8(entry.side), entry.on, time // SECOND_US
    seen = beyond(value, limit)
    if seen == 0 and was == 0 and not on:
        return
    if on and was and entry.score == 1 and not back(value, was, limit):
        return
    # What is on stays so in the band; beyond the other limit it is over, and that other one begins.
    held = on and not back(value, was, limit)
    side = was if held else seen
    if not held and (seen != was or (gap and not on)):
        entry.since = time_s
    since = i8(entry.since)
    for_s = limit.low_for_s if side == LOW else limit.high_for_s
    lasting = max(time_s - since, 0)
    full = side > 0 and lasting >= for_s
    now = held if on else full
    score = 1.0 if full or now else min(lasting / max(for_s, 1.0), 0.999)
    entry.side, entry.score = side, score if side > 0 else 0.0
    if now != on:
        entry.on = now
        expected = limit.low_raise if side == LOW else limit.high_raise
        told.append(change(slot, column, now, time, since * SECOND_US, entry.score, value, expected))


@inlined
def beyond(value: Number, limit: Record) -> Number:
    """Beyond which limit a value is; 0: none."""
    if limit.state_raise != 0 and limit.state_raise & place(value):
        return HIGH
    if value < limit.low_raise:
        return LOW
    return HIGH if value > limit.high_raise else 0


@inlined
def back(value: Number, was: int, limit: Record) -> Number:
    """Whether a value is past the limit at which the side it was beyond is over."""
    if limit.state_clear != 0 and limit.state_clear & place(value):
        return True
    return value > limit.low_clear if was == LOW else value < limit.high_clear


@inlined
def place(value: Number) -> Number:
    """A bit for the number of a state."""
    return i8(1) << i8(min(max(value, 0.0), 62.0))


class Critical(Limit):
    """Of severity critical."""

    name = "limit-critical"
    severity = "critical"


class Major(Limit):
    """Of severity major."""

    name = "limit-major"
    severity = "major"


class Minor(Limit):
    """Of severity minor."""

    name = "limit-minor"
    severity = "minor"


class Warn(Limit):
    """Of severity warning."""

    name = "limit-warning"
    severity = "warning"


DETECTORS = (Critical, Major, Minor, Warn)
