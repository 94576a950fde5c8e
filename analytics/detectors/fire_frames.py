"""Fire by what cameras, heat sensors and flame detectors conclude themselves: three of the last five readings agree,
or one of a detector or panel that has made sure itself."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import SECOND_US
from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State, latched
from analytics.detectors.rows import Bools, Floats, Ints
from devices.family import Family

MINUTE_US = 60 * SECOND_US


def whole(time_us: Ints) -> Ints:
    """Moments in µs as whole seconds, a row each: half the room, to 2106."""
    return np.asarray((time_us // SECOND_US)[:, None].astype("u4"))


def micros(seconds: Ints) -> Ints:
    """Moments in s as µs."""
    return np.asarray(seconds.astype("i8") * SECOND_US)


def passed(now: Ints, before: Ints) -> Ints:
    """µs between moments in s, not below 0."""
    return np.asarray(np.maximum(now.astype("i8") - before, 0) * SECOND_US)


class Marked(Detector):
    """`marks`: by family, the metrics that are judged and what counts of each."""

    marks: ClassVar[Mapping[str, Mapping[str, Any]]]

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """The metrics that are marked."""
        return [family.index[metric] for metric in cls.marks.get(family.name, {})]


class Parameters(NamedTuple):
    """`needed` of the last `frames` readings (8 at most) must agree; after `apart_us` without one all begins anew."""

    needed: int = 3
    frames: int = 5
    apart_us: int = 30 * MINUTE_US


class Frames(Marked):
    """Score: readings that agree, of those that are needed. `marks`: by family and metric the lowest value that counts,
    or the states that do; `sure`: by metric the states of which one reading is enough."""

    grace = 3
    marks: ClassVar[dict[str, dict[str, float | tuple[str, ...]]]]
    sure: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    arrays: ClassVar[dict[str, State]] = {
        "frames": State("u1"),  # the last readings, the newest in the lowest bit
        "since": State("u4"),  # s since 1970: the first that agreed in this run
        "heard": State("u4"),  # s since 1970 by our clock: the last reading
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def agreeing(self, values: Floats) -> Bools:
        """Which values of the judged metrics speak of a fire."""
        found = np.zeros(values.shape, np.bool_)
        for column, (metric, mark) in enumerate(self.marks[self.family.name].items()):
            told = values[:, column]
            found[:, column] = self.one_of(metric, told, mark) if isinstance(mark, tuple) else told >= mark
        return found

    def concluded(self, values: Floats) -> Bools:
        """Which values of the judged metrics need no second reading."""
        metrics = enumerate(self.marks[self.family.name])
        return np.column_stack([self.one_of(metric, values[:, n], self.sure.get(metric, ())) for n, metric in metrics])

    def one_of(self, metric: str, values: Floats, states: tuple[str, ...]) -> Bools:
        """Which values of a metric are one of these states."""
        known = self.family.metrics[self.family.index[metric]].states
        return np.isin(values, [known.index(state) for state in states])

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        values = rows.values[:, self.judged]
        there = ~np.isnan(values)
        time, received = whole(rows.time), whole(rows.received)
        before = np.where(passed(received, state["heard"][slot]) > asked.apart_us, 0, state["frames"][slot])
        mask = (1 << asked.frames) - 1
        after = np.where(there, ((before.astype("i4") << 1) | self.agreeing(values)) & mask, before).astype("u1")
        if self.sure:  # counts as all the readings that are needed
            after = np.where(self.concluded(values), after | ((1 << asked.needed) - 1), after).astype("u1")
        first = (after > 0) & (before == 0)
        state["frames"][slot] = after
        state["since"][slot] = since = np.where(first, time, state["since"][slot])
        state["heard"][slot] = np.where(there, received, state["heard"][slot])
        score = np.minimum(np.bitwise_count(after) / asked.needed, 1)
        state["score"][slot] = score
        on = latched(state["on"][slot], score)
        return self.switched(slot, on, rows.time[:, None], micros(since), values)

    def tick(self, now_us: int) -> Changes:
        """A device that fell silent is no evidence any more."""
        return expired(self, "frames", now_us - self.parameters.apart_us, now_us)


def expired(detector: Detector, array: str, heard_before_us: int, now_us: int) -> Changes:
    """Take back what is on of metrics that were not heard since; `array` is what makes the score, and becomes 0."""
    state = detector.state
    limit = max(heard_before_us // SECOND_US, 0)
    slot = np.flatnonzero((state["on"] & (state["heard"] < limit)).any(axis=1))
    if not len(slot):
        return NO_CHANGES
    gone = state["heard"][slot] < limit
    for name in (array, "score"):
        state[name][slot] = np.where(gone, 0, state[name][slot])
    return detector.switched(slot, state["on"][slot] & ~gone, now_us, micros(state["since"][slot]), np.nan)


class Camera(Frames):
    """A camera that sees smoke or fire."""

    name = "fire-camera"
    marks: ClassVar = {"fire_watch": {"smoke_confidence": 0.7, "fire_confidence": 0.7}}


class Heat(Frames):
    """A thermal camera that sees something hot. Rocks in the sun reach 80 Cel."""

    name = "fire-heat"
    marks: ClassVar = {"fire_watch": {"heat_confidence": 0.7, "hot_spot_temperature": 120.0}}


class Flame(Frames):
    """A flame detector or a fire panel that says so itself: it has looked for seconds before it does, and then stays
    with it, so that one reading is enough. A pre-alarm is not."""

    name = "fire-flame"
    grace = 1
    marks: ClassVar = {"fire_watch": {"flame": ("flame",), "alarm_state": ("pre_alarm", "alarm")}}
    sure: ClassVar = {"flame": ("flame",), "alarm_state": ("alarm",)}


DETECTORS = (Camera, Heat, Flame)
