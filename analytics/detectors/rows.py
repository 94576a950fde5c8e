"""What detectors are given and what they answer: rows in the order of their devices, and changes of state."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.family import Family

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

WHOLE_DEVICE = -1
"""In place of a metric: the finding is about the device."""


@dataclass(frozen=True)
class Rows:
    """Readings of one family, sorted by slot; those of a slot in the order in which they came, their times never fall
    (they may repeat). A detector that asks for late rows is given these at their place among the others.

    `slot`: dense number of the device within the family, 0 … n - 1; `time`: of the reading, `received`: by us, both
    int64 µs since 1970 UTC; `told`: float64, NaN where the reading has none, rows × metrics of the family; or some of
    them, the last of NaN alone, and `column` says in which each metric of the family is.
    """

    family: Family
    slot: Ints
    time: Ints
    received: Ints
    told: Floats
    column: Ints | None = None
    of_all: "Rows | None" = None  # the same rows with all metrics: cut into rounds once for both

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.slot)

    @cached_property
    def values(self) -> Floats:
        """Rows × metrics of the family. Who judges few metrics of many reads `told`, which is smaller."""
        return self.told if self.column is None else np.take(self.told, self.column, axis=1)

    def columns(self, metrics: Ints) -> Ints:
        """In which columns of `told` metrics are."""
        return metrics if self.column is None else self.column[metrics]

    def known(self, metrics: Ints) -> Ints:
        """Places in `metrics` of those that any device ever sent."""
        return (
            np.arange(len(metrics))
            if self.column is None
            else np.flatnonzero(self.columns(metrics) < self.told.shape[1] - 1)
        )

    @cached_property
    def short(self) -> Floats:
        """What is told as detectors keep it, float32: made once for all who ask."""
        return self.told.astype(np.float32, order="C")

    def rounds(self) -> list[Ints]:
        """Places of rows, in portions in which each slot occurs once at most: the first rows of all slots, their second
        ones, … Each portion is ascending, so a detector gathers its state, reckons, and puts it back in one go."""
        return self._rounds

    @cached_property
    def _rounds(self) -> list[Ints]:
        if self.of_all is not None:
            return self.of_all.rounds()
        if not len(self.slot):
            return []
        begins = np.flatnonzero(np.r_[True, self.slot[1:] != self.slot[:-1]])
        lengths = np.diff(np.r_[begins, len(self.slot)])
        if lengths.max() == 1:
            return [np.arange(len(self.slot))]
        nth = np.arange(len(self.slot)) - np.repeat(begins, lengths)
        order = np.argsort(nth, kind="stable")
        return np.split(order, np.cumsum(np.bincount(nth))[:-1])

    def of(self, places: Ints | Bools) -> "Rows":
        """Some of the rows, in the same order. A portion of `rounds` is put together once for all who ask for it."""
        cut = "_rounds" in self.__dict__  # else it is no portion of them
        kept = self._portions.get(id(places)) if cut else None
        if kept is None:
            parts = self.slot[places], self.time[places], self.received[places]
            kept = Rows(self.family, *parts, self.told[places], self.column)
            if cut and id(places) in self._identities:
                self._portions[id(places)] = kept
        return kept

    @cached_property
    def _identities(self) -> frozenset[int]:
        """Of the portions of `rounds`; no other array has one of them, as they live as long as we do."""
        return frozenset(map(id, self._rounds))

    @cached_property
    def _portions(self) -> dict[int, "Rows"]:
        """By the identity of a portion, which lives as long as we do. One that is all rows is we ourselves."""
        return {id(self._rounds[0]): self} if len(self._rounds) == 1 else {}

    def narrowed(self, family: Family, places: list[int]) -> "Rows":
        """With some of the metrics alone, which are those of `family`."""
        wanted = self.columns(np.array(places, np.int64))
        same = np.array_equal(wanted, np.arange(len(wanted)))  # then what is beside does not matter
        told = self.told if same else np.take(self.told, wanted, axis=1)
        return Rows(family, self.slot, self.time, self.received, told, None, self)


class Fleet(NamedTuple):
    """What the registry says of the devices of one family, by slot. A slot is one device for as long as we run.

    `device`: registry id; `profile`, `area`: registry ids; `interval_s`: seconds between two readings; `silent_s`:
    seconds without a reading after which the profile calls it silent; `lat`, `lon`: degrees, NaN where unknown;
    `expected`: whether it is to speak (enrolled or active; not planned, in maintenance or retired); `model`: number of
    the profile in alarms.limits.MODELS, -1: not known; None: all are of the family's native profile.
    """

    device: Ints  # int32
    profile: Ints  # int16
    area: Ints  # int16
    interval_s: Floats  # float32
    silent_s: Floats  # float32
    lat: Floats  # float32
    lon: Floats  # float32
    expected: Bools
    model: Ints | None = None  # int16

    @property
    def size(self) -> int:
        """How many slots there are."""
        return len(self.device)


class Changes(NamedTuple):
    """Changes of state, in order of time for each slot and metric; on and off alternate.

    `metric`: place in the family's metrics, or WHOLE_DEVICE; `at`: when it changed, `since`: when what is found began,
    µs since 1970 UTC; `score`: 0–1; `value`: what was seen, `expected`: what was to be, NaN where that says nothing.
    """

    slot: Ints
    metric: Ints
    on: Bools
    at: Ints
    since: Ints
    score: Floats
    value: Floats
    expected: Floats

    @property
    def size(self) -> int:
        """How many changes there are."""
        return len(self.slot)


NO_CHANGES = Changes(
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.bool_),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0),
    np.zeros(0),
    np.zeros(0),
)


def joined(parts: Sequence[Changes]) -> Changes:
    """Changes one after the other."""
    some = [part for part in parts if part.size]
    if len(some) < 2:
        return some[0] if some else NO_CHANGES
    return Changes(*(np.concatenate(columns) for columns in zip(*some, strict=True)))
