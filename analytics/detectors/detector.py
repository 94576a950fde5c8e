"""What a detector is: state arrays by slot, rows in, changes of state out.

A new one is a module of this folder with a class below in its `DETECTORS`; `repeated.py` is a short one. The engine
runs it, saves and restores its arrays, and keeps what it finds; tests/test_detectors_laws.py holds it to the laws.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from analytics.detectors.compiled import Told, changes_of
from analytics.detectors.layout import Records, State, new_columns, new_rows
from analytics.detectors.rows import NO_CHANGES, WHOLE_DEVICE, Bools, Changes, Fleet, Floats, Ints, Rows, joined
from devices.family import Family

Values = Floats | Ints | float
LEAST = 2
"""Slots there is always room for: rows of one device alone are another kind of array to numba, compiled by itself."""


class Detector:
    """Judges the devices of one family, each by itself: whatever it keeps of a device lies in that device's entries.

    `name`: a word, unique; `arrays`: what it keeps, beside `on` and `score`, which every detector has; `grace`:
    readings of a device before anything can be on; `late`: whether it is given rows older than the newest;
    `whole`: whether it judges the device as a whole rather than its gauges; `narrow`: whether `family` may lack metrics
    that no device of it has sent so far, as it should where a detector judges whatever there is: what nobody sends then
    takes no memory; `general`: whether it looks at any metric rather than for one kind of trouble, and gives way where
    there is no memory for all (afford.py); `in_rows`: whether all of a device lies together (layout.py), for loops, as
    `records`; else each array by itself.
    `judged`: places of the metrics that it judges, or WHOLE_DEVICE alone; arrays have a column for each.
    """

    name: ClassVar[str]
    arrays: ClassVar[dict[str, State]] = {}
    grace: ClassVar[int] = 2
    late: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    narrow: ClassVar[bool] = False
    general: ClassVar[bool] = False
    in_rows: ClassVar[bool] = False
    everywhere: ClassVar[dict[str, State]] = {"on": State("?"), "score": State("f4")}

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Places of the metrics of a family that it judges; [WHOLE_DEVICE]; [] where it has nothing to say."""
        if cls.whole:
            return [WHOLE_DEVICE]
        return [place for place, metric in enumerate(family.metrics) if metric.kind == "gauge"]

    def __init__(self, family: Family) -> None:
        self.family = family
        self.judged = np.array(self.judges(family), np.int64)
        self.fleet: Fleet | None = None
        self.state: dict[str, npt.NDArray[Any]] = {}
        self.records: Records
        self._grow(0)

    @classmethod
    def declared(cls) -> dict[str, State]:
        """All arrays that are kept, by name."""
        return cls.everywhere | cls.arrays

    def _grow(self, slots: int) -> None:
        if self.in_rows:
            arrays, self.records = new_rows(self.declared(), len(self.judged), slots)
        else:
            arrays = new_columns(self.declared(), len(self.judged), slots)
        self.state.update(arrays)

    def grow(self, fleet: Fleet) -> None:
        """The registry has changed: newcomers have slots behind the others, and the rest may be other than before."""
        self.fleet = fleet
        before, have = dict(self.state), len(self.state["on"])
        if have < fleet.size:
            self._grow(max(fleet.size + have // 8, LEAST))  # so that it does not grow with each newcomer
            for name in self.declared():
                self.state[name][:have] = before.pop(name)

    def forget(self, slots: Ints) -> None:
        """Begin anew with some devices: they were retired, or are another model now."""
        for name, state in self.declared().items():
            self.state[name][slots] = state.filling

    def update(self, rows: Rows) -> Changes:
        """Take in rows; how they are cut into calls makes no difference. One row of each device at a time, in order,
        unless a detector knows a shorter way."""
        return joined([self._round(rows.of(places)) for places in rows.rounds()])

    def _round(self, rows: Rows) -> Changes:
        """Take in rows of different devices."""
        raise NotImplementedError

    def changes(self, told: Told) -> Changes:
        """What a compiled loop told."""
        return changes_of(told, self.judged)

    def tick(self, now_us: int) -> Changes:
        """What time alone brings; called every few seconds. Nothing here decides what `update` will say later."""
        return NO_CHANGES

    def switched(
        self, slot: Ints, on: Bools, at: Ints | int, since: Ints | int, value: Values, expected: Values = np.nan
    ) -> Changes:
        """Note what is `on` now (slots × judged; each slot once) and tell what of it changed.

        `at`, `since`, `value`, `expected`: one for all, one per slot as (slots, 1), or slots × judged. Set the scores
        before: they are told as they are.
        """
        row, column = np.nonzero(on != self.state["on"][slot])
        if not len(row):
            return NO_CHANGES
        self.state["on"][slot[row], column] = on[row, column]

        def each(values: Values, kind: str) -> npt.NDArray[Any]:
            return np.broadcast_to(values, on.shape)[row, column].astype(kind)

        score = self.state["score"][slot[row], column]
        return Changes(
            slot[row].astype(np.int64),
            self.judged[column],
            on[row, column],
            each(at, "i8"),
            each(since, "i8"),
            score.astype("f8"),
            each(value, "f8"),
            each(expected, "f8"),
        )


def latched(was: Bools, score: Floats, off_below: float = 0.5) -> Bools:
    """What is on: it comes on at score 1 and stays until the score is below `off_below`."""
    return np.where(was, score >= off_below, score >= 1)


__all__ = ["NO_CHANGES", "WHOLE_DEVICE", "Changes", "Detector", "Fleet", "Rows", "State", "latched"]
