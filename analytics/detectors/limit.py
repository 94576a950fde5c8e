"""Thresholds on readings, with duration and hysteresis: the alarms of profiles, and those that rules add.

One detector for each severity, so that a metric may be at several limits at once. What is beyond `raise` for `for_s`
is on; it is over when it is back past `clear`. Between the two nothing changes, so nothing comes and goes in the band.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.alarms.limits import Limits, in_use
from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State
from analytics.detectors.fire_frames import micros, whole
from analytics.detectors.rows import Bools, Floats, Ints
from devices.family import Family

HIGH, LOW = 1, 2


class Seen(NamedTuple):
    """Values against the limits of their devices (rows × judged)."""

    side: Ints  # 0: beyond none
    back: Bools  # past the limit at which the side that was on is over


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

    def _round(self, rows: Rows) -> Changes:
        assert self.fleet is not None
        state, slot, limits = self.state, rows.slot, self.limits
        model = limits.models(self.fleet)[slot]
        some = limits.any[model]
        if not some.any():
            return NO_CHANGES
        if not some.all():
            slot, model, rows = slot[some], model[some], rows.of(np.flatnonzero(some))
        values, time = rows.values[:, self.judged], whole(rows.time)
        seen = self._seen(values, model, state["side"][slot])
        told, on = ~np.isnan(values), state["on"][slot]
        # After a silence nobody knows what was in between: the time begins anew.
        gap = time.astype("i8") - state["newest"][slot][:, None] > self.fleet.silent_s[slot][:, None]
        was = state["side"][slot]
        begins = (seen.side != was) | (gap & ~on)
        # What is on stays so in the band; beyond the other limit it is over, and that other one begins.
        side = np.where(told, np.where(on & ~seen.back, was, seen.side), was)
        since = np.where(told & ~(on & ~seen.back) & begins, time, state["since"][slot])
        for_s = np.where(side == LOW, limits.low_for_s[model], limits.high_for_s[model])
        lasting = np.maximum(time.astype("i8") - since, 0)
        full = (side > 0) & (lasting >= for_s)
        now = np.where(told, np.where(on, ~seen.back, full), on)
        score = np.where(full | now, 1.0, np.minimum(lasting / np.maximum(for_s, 1.0), 0.999)) * (side > 0)
        state["side"][slot], state["since"][slot] = side, since
        state["newest"][slot] = np.maximum(state["newest"][slot], time[:, 0])
        state["score"][slot] = np.where(told, score, state["score"][slot])
        limit = np.where(side == LOW, limits.low_raise[model], limits.high_raise[model])
        return self.switched(slot, now, rows.time[:, None], micros(since), values, limit)

    def _seen(self, values: Floats, model: Ints, was: Ints) -> Seen:
        limits = self.limits
        high, low = values > limits.high_raise[model], values < limits.low_raise[model]
        back = np.where(was == LOW, values > limits.low_clear[model], values < limits.high_clear[model])
        if limits.states is not None:
            place = np.clip(np.nan_to_num(values), 0, 63).astype("i8")
            bit = np.int64(1) << place
            high |= (limits.state_raise[model] & bit) > 0
            back |= (limits.state_clear[model] & bit) > 0
        return Seen(np.where(high, HIGH, np.where(low, LOW, 0)).astype("u1"), back)


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
