"""Thresholds on readings, with duration and hysteresis: the alarms of profiles, and those that rules add.

One detector for each severity, so that a metric may be at several limits at once. What is beyond `raise` for `for_s`
is on; it is over when it is back past `clear`. Between the two nothing changes, so nothing comes and goes in the band.
"""

from typing import ClassVar

import numpy as np

from analytics.alarms.limits import Limits, in_use
from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State
from analytics.detectors.fire_frames import micros, whole
from analytics.detectors.rows import Bools, Floats, Ints, joined
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
        """As every detector. Most devices are beyond nothing in all of their rows, and were not before: of these only
        the time is noted, of all rows at once, so that a list of fifty costs no more than fifty single readings."""
        assert self.fleet is not None
        slot = rows.slot
        side = self._sides(rows.values[:, self.judged], self.limits.models(self.fleet)[slot])
        beyond = (side != 0).any(axis=1) | (self.state["side"][slot] != 0).any(axis=1)
        busy = np.isin(slot, slot[beyond]) if beyond.any() else beyond
        np.maximum.at(self.state["newest"], slot[~busy], whole(rows.time)[~busy, 0])
        if not busy.any():
            return NO_CHANGES
        some = rows if busy.all() else rows.of(busy)
        return joined([self._round(some.of(places)) for places in some.rounds()])

    def _round(self, rows: Rows) -> Changes:
        assert self.fleet is not None
        state, slot, limits = self.state, rows.slot, self.limits
        model = limits.models(self.fleet)[slot]
        values, time = rows.values[:, self.judged], whole(rows.time)[:, 0]
        before = state["newest"][slot]
        state["newest"][slot] = np.maximum(before, time)
        # Most readings are beyond nothing, and so were those before them: they change nothing else.
        side = self._sides(values, model)
        busy = np.flatnonzero((side != 0).any(axis=1) | (state["side"][slot] != 0).any(axis=1))
        if not len(busy):
            return NO_CHANGES
        apart_s = time[busy].astype("i8") - before[busy]
        gap = (apart_s > self.fleet.silent_s[slot[busy]])[:, None]
        return self._judge(slot[busy], model[busy], values[busy], rows.time[busy, None], side[busy], gap)

    def _judge(self, slot: Ints, model: Ints, values: Floats, at: Ints, seen: Ints, gap: Bools) -> Changes:
        """Of rows that are, or were, beyond a limit. `gap`: after a silence nobody knows what was in between, and the
        time begins anew."""
        state, limits, time = self.state, self.limits, whole(at[:, 0])
        was, on, told = state["side"][slot], state["on"][slot], ~np.isnan(values)
        # What is on stays so in the band; beyond the other limit it is over, and that other one begins.
        held = on & ~self._back(values, model, was)
        side = np.where(told & ~held, seen, was)
        begins = told & ~held & ((seen != was) | (gap & ~on))
        since = np.where(begins, time, state["since"][slot])
        for_s = np.where(side == LOW, limits.low_for_s[model], limits.high_for_s[model])
        lasting = np.maximum(time.astype("i8") - since, 0)
        full = (side > 0) & (lasting >= for_s)
        now = np.where(told, np.where(on, held, full), on)
        score = np.where(full | now, 1.0, np.minimum(lasting / np.maximum(for_s, 1.0), 0.999)) * (side > 0)
        state["side"][slot], state["since"][slot] = side, since
        state["score"][slot] = np.where(told, score, state["score"][slot])
        limit = np.where(side == LOW, limits.low_raise[model], limits.high_raise[model])
        return self.switched(slot, now, at, micros(since), values, limit)

    def _sides(self, values: Floats, model: Ints) -> Ints:
        """Beyond which limit each value is (rows × judged); 0: none. One model at a time needs no row for each."""
        limits = self.limits
        one = len(model) > 0 and bool((model == model[0]).all())
        which = model[:1] if one else model
        side = np.where(values > limits.high_raise[which], HIGH, 0).astype("u1")
        side[values < limits.low_raise[which]] = LOW
        if limits.states:
            side[(limits.state_raise[which] & places(values)) > 0] = HIGH
        return side

    def _back(self, values: Floats, model: Ints, was: Ints) -> Bools:
        """Whether each value is past the limit at which the side it was beyond is over."""
        limits = self.limits
        back = np.where(was == LOW, values > limits.low_clear[model], values < limits.high_clear[model])
        return np.asarray(back | ((limits.state_clear[model] & places(values)) > 0))


def places(values: Floats) -> Ints:
    """A bit for each number of a state; none for none."""
    there = ~np.isnan(values)
    return np.where(there, np.int64(1) << np.clip(np.nan_to_num(values), 0, 62).astype("i8"), 0)


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
