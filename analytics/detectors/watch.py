"""One family under watch: rows in the order that detectors need, each detector in turn, and a fault stays its own."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analytics.columns import Columns
from analytics.detectors.detector import Detector
from analytics.detectors.rows import WHOLE_DEVICE, Changes, Fleet, Ints, Rows
from devices.family import Family


class Found(NamedTuple):
    """Changes that a detector told."""

    detector: str
    changes: Changes


class Watch:
    """The detectors of a family and what they remember. `failed` is called once with a detector and what was raised:
    it is not asked again. Pure, but for the clock that `seconds` go by."""

    def __init__(
        self, family: Family, detectors: list[Detector], failed: Callable[[Detector, Exception], None]
    ) -> None:
        self.family = family
        self.detectors = detectors
        self.newest = np.zeros(0, np.int64)  # time of the newest row by slot, µs since 1970 UTC; 0: none
        self.seconds: dict[str, float] = {detector.name: 0.0 for detector in detectors}
        self._failed = failed

    def grow(self, fleet: Fleet) -> None:
        """The fleet has changed."""
        more = fleet.size - len(self.newest)
        if more > 0:
            self.newest = np.concatenate([self.newest, np.zeros(more + len(self.newest) // 8, np.int64)])
        self._each(lambda detector: detector.grow(fleet))

    def forget(self, slots: Ints) -> None:
        """Some devices begin anew."""
        self.newest[slots] = 0
        self._each(lambda detector: detector.forget(slots))

    def agree(self, keys: list[tuple[str, str]], slots: Ints) -> list[int]:
        """Let exactly these be on: detector and metric ("" for the whole device), of the devices at `slots`. Returns
        the places of those that nobody here judges."""
        by_name = {detector.name: detector for detector in self.detectors}
        for detector in self.detectors:
            detector.state["on"][:] = False
        strange = []
        for place, ((name, metric), slot) in enumerate(zip(keys, slots.tolist(), strict=True)):
            judged = by_name[name].judged.tolist() if name in by_name else []
            number = self.family.index.get(metric, WHOLE_DEVICE)
            if slot < 0 or number not in judged:
                strange.append(place)
            else:
                by_name[name].state["on"][slot, judged.index(number)] = True
        return strange

    def take(self, slot: Ints, columns: Columns) -> list[Found]:
        """New rows; those of devices that have no slot (below 0) are left out."""
        rows = sorted_rows(slot, columns)
        late = self._late(rows)
        in_time = rows.of(~late) if late.any() else rows
        given = {False: in_time, True: rows}
        return self._each(lambda detector: detector.update(given[detector.late]))

    def tick(self, now_us: int) -> list[Found]:
        """What time alone brings."""
        return self._each(lambda detector: detector.tick(now_us))

    def _late(self, rows: Rows) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Which rows are older than what came before of the same device."""
        late = np.zeros(rows.size, np.bool_)
        for places in rows.rounds():
            slot, at = rows.slot[places], rows.time[places]
            newest = self.newest[slot]
            late[places] = at < newest
            self.newest[slot] = np.maximum(newest, at)
        return late

    def _each(self, call: Callable[[Detector], Changes | None]) -> list[Found]:
        """Ask every detector; what they tell."""
        found = []
        for detector in list(self.detectors):
            began = time.perf_counter()
            try:
                with np.errstate(all="ignore"):
                    changes = call(detector)
                if changes is not None and changes.size:
                    found.append(Found(detector.name, changes))
            except Exception as error:  # its state may be half changed: it is out, and the others never notice
                self.detectors.remove(detector)
                self._failed(detector, error)
            self.seconds[detector.name] += time.perf_counter() - began
        return found


def sorted_rows(slot: Ints, columns: Columns) -> Rows:
    """Rows by slot, those of a slot in the order in which they came: by receipt, then time, then number, so that it
    does not depend on how the stream was cut."""
    order = np.argsort(slot, kind="stable")
    by_slot = slot[order]
    if (by_slot[1:] == by_slot[:-1]).any():
        order = np.lexsort((columns.seq, columns.time, columns.received, slot))
        by_slot = slot[order]
    begin = int(np.searchsorted(by_slot, 0))
    order, by_slot = order[begin:], by_slot[begin:]
    return Rows(columns.family, by_slot, columns.time[order], columns.received[order], columns.values[order])
