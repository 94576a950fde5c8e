"""What is usual at an hour of the week: a level and a spread per device, learnt from the stream in bounded memory.

Other than a mean over all weeks, the level forgets what was months ago and is hardly moved by a single odd week.
"""

from collections.abc import MutableMapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.detectors.detector import State as Declared

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Column = npt.NDArray[Any]
State = MutableMapping[str, Column]

HOUR_US = 3_600_000_000
LOCAL_US = 7 * HOUR_US
"""Asia/Ho_Chi_Minh is UTC+7 all year."""
HOURS, DAY = 168, 24
MONDAY = 72
"""Hours from the Monday before 1970-01-01, a Thursday, to that day."""
SIGMA = 1.2533
"""Standard deviation of a normal distribution, as a multiple of its mean absolute deviation: sqrt(pi / 2)."""
CLIP = 3.0
"""One odd week moves a level by no more than it would if it were so many spreads away."""

COLUMNS: dict[str, tuple[int, type[np.generic]]] = {
    "level": (HOURS, np.float32),
    "weeks": (HOURS, np.uint8),
    "spread": (DAY, np.float32),
    "hour": (0, np.int32),
    "total": (0, np.float64),
    "apart": (0, np.float32),
    "count": (0, np.int32),
}
"""Entries per slot (0: a plain number) and type; 956 bytes per slot altogether."""


def hour_of_week(time: Ints) -> Ints:
    """0 (Monday, midnight to 1:00, local time) to 167 of times in µs since 1970 UTC."""
    return (local_hour(time) + MONDAY) % HOURS


def local_hour(time: Ints) -> Ints:
    """Whole hours of local time since 1970."""
    return np.asarray((np.asarray(time) + LOCAL_US) // HOUR_US, dtype=np.int64)


def arrays(name: str = "weekly", *, per_device: bool = False) -> dict[str, Declared]:
    """What a detector declares to keep a `Weekly(self.state, name)` of each judged metric, or one per device.

    Of each metric, what `Weekly` calls slot is slot * len(judged) + the metric's place in `judged`.
    """
    return {
        f"{name}_{column}": Declared(np.dtype(kind).str, 0, (width,) if width else (), per_device)
        for column, (width, kind) in COLUMNS.items()
    }


class Weekly:
    """Level and spread of one metric by slot (device) and hour of the week.

    The readings of an hour make one observation of their mean when the slot's next hour begins. A level is the mean of
    the first `grace` weeks, then moves towards each new week by at least 1 / `memory`, odd weeks clipped. The spread is
    the deviation of single readings from what was expected, by hour of day. Readings must come in order of time; of an
    hour that is over they are left out.

    `state` is where the arrays are kept, under `name` and their own names, so that an owner can save them with its own;
    `smooth`: what is expected goes straight from the middle of one hour to that of the next, for series of several
    readings an hour.
    """

    def __init__(
        self, state: State | None = None, name: str = "weekly", *, smooth: bool = False, grace: int = 2, memory: int = 8
    ) -> None:
        self.state: State = {} if state is None else state
        self._keys = {column: f"{name}_{column}" for column in COLUMNS}
        self.smooth, self.grace, self.memory = smooth, grace, memory
        self.grow(0)

    def grow(self, slots: int) -> None:
        """Make room for this many slots; what is known of those there are stays."""
        for column, (width, kind) in COLUMNS.items():
            old = self.state.get(self._keys[column])
            if old is not None and len(old) >= slots:
                continue
            new = np.zeros((slots, width) if width else slots, kind)
            if old is not None:
                new[: len(old)] = old
            self.state[self._keys[column]] = new

    def update(self, slot: Ints, time: Ints, value: Floats) -> None:
        """Take readings in, of each slot at most one; NaN is no reading. `time`: µs since 1970 UTC."""
        there = np.isfinite(value)
        if not there.all():
            slot, time, value = slot[there], time[there], value[there]
        hour, total, count, apart = (self._of(name) for name in ("hour", "total", "count", "apart"))
        now = local_hour(time)
        begun = now > hour[slot]
        if begun.any():
            self._fold(slot[begun])
            fresh = slot[begun]
            hour[fresh] = now[begun]
            total[fresh] = count[fresh] = apart[fresh] = 0
        open_hour = begun | (now == hour[slot])
        if not open_hour.all():
            slot, time, value = slot[open_hour], time[open_hour], value[open_hour]
        total[slot] += value
        count[slot] += 1
        apart[slot] += np.nan_to_num(np.abs(value - self._level_at(slot, time, 1))).astype(np.float32)

    def expected(self, slot: Ints, time: Ints) -> Floats:
        """What is usual then; NaN for an hour of the week of which fewer than `grace` weeks are known."""
        return self._level_at(slot, time, self.grace)

    def spread(self, slot: Ints, time: Ints) -> Floats:
        """Standard deviation of readings about the expected, at that hour of the day; NaN where nothing is known."""
        found = self._of("spread")[slot, local_hour(time) % DAY].astype(np.float64) * SIGMA
        return np.where(found > 0, found, np.nan)

    def score(self, slot: Ints, time: Ints, value: Floats, least: Floats | float = 0.0) -> Floats:
        """How many spreads above (below: negative) the expected a value is; NaN in grace. `least`: smallest spread."""
        spread = np.maximum(np.nan_to_num(self.spread(slot, time)), least)
        return np.asarray((value - self.expected(slot, time)) / np.where(spread > 0, spread, np.nan))

    def _of(self, column: str) -> Column:
        array = self.state[self._keys[column]]
        width = COLUMNS[column][0]
        return np.reshape(array, (-1, width) if width else -1, copy=False)  # a view: arrays may be slots x metrics

    def _level_at(self, slot: Ints, time: Ints, weeks: int) -> Floats:
        week = hour_of_week(time)
        here = self._known(slot, week, weeks)
        if not self.smooth:
            return here
        part = ((np.asarray(time) + LOCAL_US) % HOUR_US) / HOUR_US - 0.5
        beside = self._known(slot, (week + np.where(part < 0, -1, 1)) % HOURS, weeks)
        beside = np.where(np.isnan(beside), here, beside)
        return np.asarray(here + (beside - here) * np.abs(part))

    def _known(self, slot: Ints, week: Ints, weeks: int) -> Floats:
        level = self._of("level")[slot, week].astype(np.float64)
        return np.where(self._of("weeks")[slot, week] >= weeks, level, np.nan)

    def _fold(self, slot: Ints) -> None:
        """Make an observation of what slots have gathered in an hour that is over."""
        count = self._of("count")[slot]
        slot, count = slot[count > 0], count[count > 0]
        hour = self._of("hour")[slot].astype(np.int64)
        week, day = (hour + MONDAY) % HOURS, hour % DAY
        level, weeks, spread = self._of("level"), self._of("weeks"), self._of("spread")
        known = weeks[slot, week]
        seen = self._of("total")[slot] / count
        apart = self._of("apart")[slot] / count
        usual = spread[slot, day]
        learning = (known < self.grace) | (usual <= 0)
        reach = np.where(learning, np.inf, CLIP * SIGMA * usual)
        moved = np.clip(seen - level[slot, week], -reach, reach)
        level[slot, week] += moved * np.maximum(1.0 / (1.0 + known), 1.0 / self.memory)
        weeks[slot, week] = np.minimum(known.astype(np.int64) + 1, 255)
        again = known > 0  # the first week has nothing to be compared with
        slot, day, apart, usual = slot[again], day[again], apart[again], usual[again]
        near = np.minimum(apart, CLIP * usual)
        spread[slot, day] = np.where(usual > 0, usual + (near - usual) / self.memory, apart)
