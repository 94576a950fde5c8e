"""One family under watch: rows in the order that detectors need, each detector in turn, and a fault stays its own."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from analytics.columns import Columns
from analytics.detectors.carry import carry_over, judged_names
from analytics.detectors.compiled import Array, Number, compiled, inlined
from analytics.detectors.detector import Detector
from analytics.detectors.rows import WHOLE_DEVICE, Changes, Fleet, Ints, Rows
from devices.family import Family

PLACE_BITS = 32
FEW_ROWS = 32
"""Of one device in a batch: put in order one by one."""
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
        rows = self._sorted(slot, columns)
        in_time = in_time_of(rows, self.newest)
        of_all = {False: in_time, True: rows}
        of_some = {late: given.narrowed(self._narrow, self.sent) for late, given in of_all.items()}
        return self._each(lambda one: one.update((of_some if one.narrow else of_all)[one.late]))

    def _sorted(self, slot: Ints, columns: Columns) -> Rows:
        """Rows of the metrics that were ever sent."""
        order, by_slot = in_order(slot, columns)
        metrics = np.arange(columns.values.shape[1])
        others = np.setdiff1d(metrics, self.sent)
        told, new = gathered(columns.values, order, np.array(self.sent, np.int64), others)
        if new.any():
            self.widen(others[new].tolist())
            told, _ = gathered(columns.values, order, np.array(self.sent, np.int64), others[:0])
        column = np.full(len(metrics), len(self.sent))
        column[self.sent] = np.arange(len(self.sent))
        return Rows(columns.family, by_slot, columns.time[order], columns.received[order], told, column)

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


def in_order(slot: Ints, columns: Columns) -> tuple[Ints, Ints]:
    """Places of rows by slot, and the slot of each; those of a slot in the order in which they came: by receipt, then
    time, then number, so that it does not depend on how the stream was cut. Rows of devices without a slot are left
    out."""
    keys = np.sort(slot.astype(np.int64) << PLACE_BITS | np.arange(len(slot)))  # much faster than to sort places
    keys = keys[int(np.searchsorted(keys, 0)) :]
    order, by_slot, longest = apart(keys, columns.seq, columns.time, columns.received)
    if longest > FEW_ROWS:
        order = order[np.lexsort((columns.seq[order], columns.time[order], columns.received[order], by_slot))]
    return order, by_slot


@compiled
def apart(keys: Array, seq: Array, time: Array, received: Array) -> tuple[Array, Array, int]:
    """Places and slots of sorted keys, and the most rows of one slot; up to FEW_ROWS of one are put in order."""
    order, by_slot = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    longest = n = 0
    for i in range(len(keys)):
        place, slot = keys[i] & ((1 << PLACE_BITS) - 1), keys[i] >> PLACE_BITS
        by_slot[i] = slot
        n = n + 1 if i > 0 and by_slot[i - 1] == slot else 1
        longest = max(longest, n)
        at = i
        if 1 < n <= FEW_ROWS:
            while at > i - n + 1 and earlier(place, order[at - 1], seq, time, received):
                order[at] = order[at - 1]
                at -= 1
        order[at] = place
    return order, by_slot, longest


@inlined
def earlier(one: int, other: int, seq: Array, time: Array, received: Array) -> Number:
    """Whether a row came before another one of its device."""
    return (received[one], time[one], seq[one]) < (received[other], time[other], seq[other])


def in_time_of(rows: Rows, newest: Ints) -> Rows:
    """The rows that are not older than what came before of the same device. `newest`: by slot, which they move on."""
    late = np.zeros(rows.size, np.bool_)
    return rows.of(np.flatnonzero(~late)) if mark_late(rows.slot, rows.time, newest, late) else rows


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
def gathered(values: Array, order: Array, sent: Array, others: Array) -> tuple[Array, Array]:
    """Some metrics of rows in order, and NaN behind them; and which of the others any row has."""
    told, new = np.empty((len(order), len(sent) + 1)), np.zeros(len(others), np.bool_)
    known = 0
    for i in range(len(order)):
        row = values[order[i]]
        for k in range(len(sent)):
            value = row[sent[k]]
            told[i, k] = value
            known += value == value
        told[i, len(sent)] = np.nan
    if len(others) == 0 or numbers(values) == known:
        return told, new
    for i in range(len(order)):
        for k in range(len(others)):
            new[k] |= values[order[i], others[k]] == values[order[i], others[k]]
    return told, new


@inlined
def numbers(values: Array) -> int:
    """How many there are; counted in the order in which they lie, which is far quicker than to look for new ones."""
    found = 0
    for i in range(values.shape[0]):
        for k in range(values.shape[1]):
            found += values[i, k] == values[i, k]
    return found
