"""A level that jumps and stays: a sensor that speaks another unit, was moved or knocked, or whose scale was changed."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State
from analytics.detectors.rows import Bools, Floats, Ints
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

    def _round(self, rows: Rows) -> Changes:
        """Most values are near the one before and within what was: of these nothing but the value is noted."""
        assert self.fleet is not None
        state, slot, value, before = self.state, rows.slot, self.short(rows), self.state["time"][rows.slot]
        state["time"][slot] = np.maximum(before, rows.time)
        apart = (rows.time - before) / 1e6 > self.parameters.contiguous * self.fleet.interval_s[slot]
        self._fade(slot, rows.time)
        last, half, n = state["last"][slot], state["half"][slot], state["readings"][slot]
        told = (value == value) & (rows.time > before)[:, None]
        size = np.abs(value - last)
        size[apart] = 0.0
        odd = (size > state["step"][slot]) | ~((value >= state["low"][slot]) & (value <= state["high"][slot]))
        state["last"][slot] = np.where(told, value, last)
        state["readings"][slot] = np.minimum(n, FULL - 1) + told
        repeated = np.nonzero(told & (value == last))
        state["same"][slot[repeated[0]], repeated[1]] += 1
        if (n >= FULL - 1).any():  # what is long ago counts half
            full = np.nonzero(n >= FULL - 1)
            for name in ("readings", "same"):
                state[name][slot[full[0]], full[1]] //= 2
        row, column = np.nonzero(told & (odd | (half != 0)))
        if not len(row):
            return NO_CHANGES
        step = np.where(apart[row] | np.isnan(last[row, column]), 0.0, value[row, column] - last[row, column])
        return self._odd(rows, row, column, value[row, column], step, n[row, column])

    def _fade(self, slot: Ints, time: Ints) -> None:
        """Half of what was is forgotten now and then."""
        state = self.state
        span = (time // int(self.parameters.memory_days * 86_400_000_000)).astype("u2")
        over = slot[span != state["span"][slot]]
        state["span"][slot] = span
        if len(over):
            quarter = np.nan_to_num((state["high"][over] - state["low"][over]) / 4, posinf=0.0, neginf=0.0)
            state["low"][over] += quarter
            state["high"][over] -= quarter
            state["step"][over] /= 2

    def _odd(self, rows: Rows, row: Ints, column: Ints, value: Floats, step: Floats, n: Ints) -> Changes:
        """New records and what comes after a jump, given by row and column."""
        state, asked, slot = self.state, self.parameters, rows.slot[row]
        at = (slot, column)
        half, stayed, now_s = state["half"][at], state["stayed"][at].astype("i4"), rows.time[row] // 1_000_000
        jumped = (half == 0) & self._beyond(slot, column, step, n)
        state["before"][at] = before = np.where(jumped, value - step, state["before"][at])
        state["since"][at] = since = np.where(jumped, now_s, state["since"][at].astype("i8"))
        half = np.where(jumped, step / 2, half)
        away = half != 0
        beyond = (value - before - half) * half > 0
        stayed = np.where(away & beyond, np.minimum(stayed + 1, asked.stays), 0)
        over = away & (~beyond | (now_s - since > asked.settled_days * 86_400))
        half, stayed = np.where(over, 0.0, half), np.where(over, 0, stayed)
        state["half"][at], state["stayed"][at] = half, stayed
        learn = half == 0
        state["step"][at] = np.where(learn, np.maximum(state["step"][at], np.abs(step)), state["step"][at])
        state["low"][at] = np.where(learn, np.minimum(state["low"][at], value), state["low"][at])
        state["high"][at] = np.where(learn, np.maximum(state["high"][at], value), state["high"][at])
        score = stayed / asked.stays
        return self.settled(slot, column, score, score >= 1, rows.time[row], since * 1_000_000, value, before)

    def _beyond(self, slot: Ints, column: Ints, step: Floats, n: Ints) -> Bools:
        """Steps that are too large for their series."""
        state, asked = self.state, self.parameters
        assert self.fleet is not None
        at, size = (slot, column), np.abs(step)
        large = (size > asked.times * state["step"][at]) & (size > asked.share * (state["high"][at] - state["low"][at]))
        a_while = np.clip(asked.days * 86_400 / self.fleet.interval_s[slot], asked.evidence, FULL // 2 - 1)
        return np.asarray(large & (n >= a_while) & (state["same"][at] < asked.idle * n))


DETECTORS = (Shift,)
