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
    int64 µs since 1970 UTC; `values`: rows × metrics of the family, float64, NaN where the reading has none.
    """

    family: Family
    slot: Ints
    time: Ints
    received: Ints
    values: Floats

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.slot)

    @cached_property
    def short(self) -> Floats:
        """The values as detectors keep them, float32: made once for all who ask."""
        return self.values.astype(np.float32, order="C")

    def rounds(self) -> list[Ints]:
        """Places of rows, in portions in which each slot occurs once at most: the first rows of all slots, their second
        ones, … Each portion is ascending, so a detector gathers its state, reckons, and puts it back in one go."""
        return self._rounds

    @cached_property
    def _rounds(self) -> list[Ints]:
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
        kept = self._portions.get(id(places))
        if kept is None:
            kept = Rows(self.family, self.slot[places], self.time[places], self.received[places], self.values[places])
            if id(places) in self._identities:
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
        narrow = Rows(family, self.slot, self.time, self.received, np.take(self.values, places, axis=1))
        narrow.__dict__["_rounds"] = self._rounds
        return narrow


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
