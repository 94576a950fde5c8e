"""Thresholds on readings, with duration and hysteresis: the alarms of profiles, and those that rules add.

One detector for each severity, so that a metric may be at several limits at once. What is beyond `raise` for `for_s`
is on; it is over when it is back past `clear`. Between the two nothing changes, so nothing comes and goes in the band.
"""

from typing import ClassVar, NamedTuple

from analytics.alarms.limits import Arrays, Limits, in_use
from analytics.detectors.compiled import SECOND_US, Array, Number, Told, change, columns, compiled, i8, inlined
from analytics.detectors.detector import Changes, Detector, Rows, State
from devices.family import Family

HIGH, LOW = 1, 2


class Limit(Detector):
    """Score: how long it has been beyond, of the time that it takes. `value`: what was read, `expected`: the limit."""

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

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        assert self.fleet is not None
        given = rows.slot, rows.time, rows.values, self.judged, self.fleet.silent_s, self.limits.models(self.fleet)
        return self.changes(sweep(*given, self.limits, self.kept(Kept)))


class Kept(NamedTuple):
    """As `Limit` declares them."""

    side: Array
    since: Array
    newest: Array
    on: Array
    score: Array


@compiled
def sweep(
    slots: Array, times: Array, values: Array, places: Array, silent_s: Array, models: Array, limits: Arrays, kept: Kept
) -> Told:
    """Most readings are beyond nothing, and so were those before them: they change nothing."""
    told = []
    for i in range(len(slots)):
        slot, time_s = slots[i], times[i] // SECOND_US
        before = i8(kept.newest[slot])
        kept.newest[slot] = max(before, time_s)
        # After a silence nobody knows what was in between, and the time begins anew.
        gap = time_s - before > silent_s[slot]
        for j in range(len(places)):
            at, limit, value = (slot, j), (models[slot], j), values[i, places[j]]
            if value != value:
                continue
            seen, was, on = beyond(value, limit, limits), i8(kept.side[at]), kept.on[at]
            if seen == 0 and was == 0 and not on:
                continue
            # What is on stays so in the band; beyond the other limit it is over, and that other one begins.
            held = on and not back(value, was, limit, limits)
            side = was if held else seen
            if not held and (seen != was or (gap and not on)):
                kept.since[at] = time_s
            since = i8(kept.since[at])
            for_s = limits.low_for_s[limit] if side == LOW else limits.high_for_s[limit]
            lasting = max(time_s - since, 0)
            full = side > 0 and lasting >= for_s
            now = held if on else full
            score = 1.0 if full or now else min(lasting / max(for_s, 1.0), 0.999)
            kept.side[at], kept.score[at] = side, score if side > 0 else 0.0
            if now != on:
                kept.on[at] = now
                expected = limits.low_raise[limit] if side == LOW else limits.high_raise[limit]
                told.append(change(slot, j, now, times[i], since * SECOND_US, kept.score[at], value, expected))
    return columns(told)


@inlined
def beyond(value: Number, limit: tuple[int, int], limits: Arrays) -> Number:
    """Beyond which limit a value is; 0: none."""
    if limits.states and limits.state_raise[limit] & place(value):
        return HIGH
    if value < limits.low_raise[limit]:
        return LOW
    return HIGH if value > limits.high_raise[limit] else 0


@inlined
def back(value: Number, was: int, limit: tuple[int, int], limits: Arrays) -> Number:
    """Whether a value is past the limit at which the side it was beyond is over."""
    if limits.state_clear[limit] & place(value):
        return True
    return value > limits.low_clear[limit] if was == LOW else value < limits.high_clear[limit]


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
