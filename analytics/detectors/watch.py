"""One family under watch: rows in the order that detectors need, each detector in turn, and a fault stays its own."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from analytics.columns import Columns
from analytics.detectors.carry import carry_over, judged_names
from analytics.detectors.compiled import Array, compiled
from analytics.detectors.detector import Detector
from analytics.detectors.rows import WHOLE_DEVICE, Changes, Fleet, Ints, Rows
from devices.family import Family

PLACE_BITS = 32
Kinds = Sequence[type[Detector]]


class Found(NamedTuple):
    """Changes that a detector told."""

    detector: str
    changes: Changes


class Watch:
    """The detectors of a family, of these kinds, and what they remember. `failed` is called once with a detector and
    what was raised: it is not asked again."""

    def __init__(self, family: Family, kinds: Kinds, failed: Callable[[Detector, Exception], None]) -> None:
        self.family = family
        self.sent: list[int] = []  # places of the metrics that narrow detectors know
        self.newest = np.zeros(0, np.int64)  # time of the newest row by slot, µs since 1970 UTC; 0: none
        self.seconds: defaultdict[str, float] = defaultdict(float)  # CPU by detector
        self._kinds = kinds
        self._failed = failed
        self._out: set[str] = set()
        self._fleet: Fleet | None = None
        self._narrow = narrowed(family, [])
        self.detectors = [*self._made(False), *self._made(True)]

    def _made(self, narrow: bool) -> list[Detector]:
        """New ones that are narrow, or that are not."""
        family = self._narrow if narrow else self.family
        kinds = [kind for kind in self._kinds if kind.narrow == narrow and kind.name not in self._out]
        return [kind(family) for kind in kinds if kind.judges(family)]

    def grow(self, fleet: Fleet) -> None:
        """The fleet has changed."""
        self._fleet = fleet
        more = fleet.size - len(self.newest)
        if more > 0:
            self.newest = np.concatenate([self.newest, np.zeros(more + len(self.newest) // 8, np.int64)])
        self._each(lambda detector: detector.grow(fleet))

    def widen(self, metrics: Iterable[int]) -> None:
        """Let narrow detectors judge these metrics, too; what they remember of the others stays."""
        if not set(metrics) - set(self.sent):
            return
        self.sent = sorted({*self.sent, *metrics})
        self._narrow = narrowed(self.family, self.sent)
        before = {detector.name: detector for detector in self.detectors}
        after = before | {detector.name: detector for detector in self._made(True)}
        self.detectors = [after[name] for name in sorted(after)]
        if self._fleet is not None:
            self.grow(self._fleet)
        for detector in self.detectors:
            old = before.get(detector.name, detector)
            if old is not detector:
                carry_over(detector, judged_names(old), old.state, slice(len(old.state["on"])))

    def leave_out(self, name: str) -> None:
        """Go on without a detector."""
        self._out.add(name)
        self.detectors = [detector for detector in self.detectors if detector.name != name]

    def widen_for(self, judged: Iterable[tuple[str, str]]) -> None:
        """Let narrow detectors judge what they judged before: pairs of a detector and the name of a metric."""
        narrow, index = {kind.name for kind in self._kinds if kind.narrow}, self.family.index
        self.widen({index[metric] for detector, metric in judged if detector in narrow and metric in index})

    def forget(self, slots: Ints) -> None:
        """Some devices begin anew."""
        self.newest[slots] = 0
        self._each(lambda detector: detector.forget(slots))

    def agree(self, keys: list[tuple[str, str]], slots: Ints) -> list[int]:
        """Let exactly these be on: detector and metric ("" for the whole device), of the devices at `slots`. Returns
        the places of those that nobody here judges."""
        self.widen_for(keys)
        by_name = {detector.name: detector for detector in self.detectors}
        for detector in self.detectors:
            detector.state["on"][:] = False
        strange = []
        for place, ((name, metric), slot) in enumerate(zip(keys, slots.tolist(), strict=True)):
            judged = judged_names(by_name[name]) if name in by_name else []
            if slot < 0 or metric not in judged:
                strange.append(place)
            else:
                by_name[name].state["on"][slot, judged.index(metric)] = True
        return strange

    def take(self, slot: Ints, columns: Columns) -> list[Found]:
        """New rows; those of devices that have no slot (below 0) are left out."""
        rows = sorted_rows(slot, columns)
        self.widen(sent_first(rows.values, np.setdiff1d(np.arange(rows.values.shape[1]), self.sent)))
        in_time = in_time_of(rows, self.newest)
        of_all = {False: in_time, True: rows}
        of_some = {late: given.narrowed(self._narrow, self.sent) for late, given in of_all.items()}
        return self._each(lambda one: one.update((of_some if one.narrow else of_all)[one.late]))

    def tick(self, now_us: int) -> list[Found]:
        """What time alone brings."""
        return self._each(lambda detector: detector.tick(now_us))

    def _each(self, call: Callable[[Detector], Changes | None]) -> list[Found]:
        """Ask every detector; what they tell."""
        found = []
        for detector in list(self.detectors):
            began = time.thread_time()
            try:
                with np.errstate(all="ignore"):
                    changes = call(detector)
                if changes is not None and changes.size:
                    found.append(Found(detector.name, self._of_family(detector, changes)))
            except Exception as error:  # its state may be half changed: it is out, and the others never notice
                self.detectors.remove(detector)
                self._out.add(detector.name)
                self._failed(detector, error)
            self.seconds[detector.name] += time.thread_time() - began
        return found

    def _of_family(self, detector: Detector, changes: Changes) -> Changes:
        """Changes whose metrics are places in the whole family."""
        if not detector.narrow or not self.sent:
            return changes
        places = np.array([*self.sent, WHOLE_DEVICE])  # the last is what -1 finds
        return changes._replace(metric=places[changes.metric])


def narrowed(family: Family, places: list[int]) -> Family:
    """A family with some of its metrics."""
    metrics = tuple(family.metrics[place] for place in places)
    return replace(family, metrics=metrics, index={metric.name: place for place, metric in enumerate(metrics)})


def sorted_rows(slot: Ints, columns: Columns) -> Rows:
    """Rows by slot, those of a slot in the order in which they came: by receipt, then time, then number, so that it
    does not depend on how the stream was cut. Rows of devices without a slot are left out."""
    keys = np.sort(slot.astype(np.int64) << PLACE_BITS | np.arange(len(slot)))  # much faster than to sort places
    order, by_slot = keys & ((1 << PLACE_BITS) - 1), keys >> PLACE_BITS
    begin = int(np.searchsorted(by_slot, 0))
    order, by_slot = order[begin:], by_slot[begin:]
    again = by_slot[1:] == by_slot[:-1]
    if again.any():
        several = np.flatnonzero(np.r_[again, False] | np.r_[False, again])
        some = order[several]
        some = some[np.lexsort((columns.seq[some], columns.time[some], columns.received[some], by_slot[several]))]
        order[several] = some
    values = np.ascontiguousarray(columns.values[order])
    return Rows(columns.family, by_slot, columns.time[order], columns.received[order], values)


def in_time_of(rows: Rows, newest: Ints) -> Rows:
    """The rows that are not older than what came before of the same device. `newest`: by slot, which they move on."""
    late = np.zeros(rows.size, np.bool_)
    return rows.of(~late) if mark_late(rows.slot, rows.time, newest, late) else rows


@compiled
def mark_late(slots: Array, times: Array, newest: Array, late: Array) -> int:
    """How many rows are."""
    found = 0
    for i in range(len(slots)):
        slot = slots[i]
        if times[i] < newest[slot]:
            late[i] = True
            found += 1
        else:
            newest[slot] = times[i]
    return found


@compiled
def sent_first(values: Array, places: Array) -> list[int]:
    """Which of the metrics at some places of rows any row has."""
    found = np.zeros(len(places), np.bool_)
    for i in range(len(values)):
        for k in range(len(places)):
            found[k] |= values[i, places[k]] == values[i, places[k]]
    return [place for place, there in zip(places, found) if there]  # noqa: B905 - not known to numba
