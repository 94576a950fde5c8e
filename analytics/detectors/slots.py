"""Devices by slot: each family numbers its devices densely, and a number is never another's while we run."""

from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.detectors.rows import Fleet, Ints

NOBODY = -1
FILLINGS: dict[str, tuple[str, float]] = {
    "device": ("i4", NOBODY),
    "profile": ("i2", 0),
    "area": ("i2", 0),
    "interval_s": ("f4", np.nan),
    "silent_s": ("f4", np.nan),
    "lat": ("f4", np.nan),
    "lon": ("f4", np.nan),
    "expected": ("?", False),
    "model": ("i2", NOBODY),
}


class Slots:
    """The fleet of one family: 25 bytes a device."""

    def __init__(self) -> None:
        self.size = 0
        self._columns: dict[str, npt.NDArray[Any]] = {
            name: np.zeros(0, np.dtype(kind)) for name, (kind, _) in FILLINGS.items()
        }

    def fleet(self) -> Fleet:
        """The columns as they are now; they are not copies."""
        return Fleet(**{name: column[: self.size] for name, column in self._columns.items()})

    def seat(self, first: int, devices: Ints) -> None:
        """Devices at the slots that they had before a restart."""
        self._reach(first + len(devices))
        self._columns["device"][first : first + len(devices)] = devices

    def add(self, devices: Ints) -> Ints:
        """New devices, where there are gaps first; returns their slots."""
        gaps = np.flatnonzero(self._columns["device"][: self.size] == NOBODY)[: len(devices)]
        slots: Ints = np.r_[gaps, np.arange(self.size, self.size + len(devices) - len(gaps))]
        self._reach(self.size + len(devices) - len(gaps))
        self._columns["device"][slots] = devices
        return slots

    def tell(self, slots: Ints, **columns: npt.NDArray[Any]) -> None:
        """What the registry says of devices."""
        for name, column in columns.items():
            self._columns[name][slots] = column

    def leave(self, slots: Ints) -> None:
        """Devices that are of another family now, or gone for good."""
        for name, (_, filling) in FILLINGS.items():
            self._columns[name][slots] = filling

    def _reach(self, size: int) -> None:
        have = len(self._columns["device"])
        if size > have:
            more = size - have + have // 8
            for name, (kind, filling) in FILLINGS.items():
                fresh = np.full(more, filling, np.dtype(kind))
                self._columns[name] = np.concatenate([self._columns[name], fresh])
        self.size = max(self.size, size)


class Seats:
    """Which slot of which family a device has, by registry id: 5 bytes each."""

    def __init__(self) -> None:
        self.slot = np.full(0, NOBODY, np.int32)
        self.family = np.full(0, NOBODY, np.int8)

    def reach(self, highest: int) -> None:
        """Let there be room for an id."""
        more = highest + 1 - len(self.slot)
        if more > 0:
            more += len(self.slot) // 8
            self.slot = np.concatenate([self.slot, np.full(more, NOBODY, np.int32)])
            self.family = np.concatenate([self.family, np.full(more, NOBODY, np.int8)])

    def of(self, devices: Ints, family: int) -> Ints:
        """Slots in a family; NOBODY where a device has none there."""
        slots = np.full(len(devices), NOBODY, np.int64)
        known = np.flatnonzero((devices >= 0) & (devices < len(self.slot)))
        there = known[self.family[devices[known]] == family]
        slots[there] = self.slot[devices[there]]
        return slots

    def put(self, devices: Ints, family: int, slots: Ints) -> None:
        """Where devices sit."""
        self.reach(int(devices.max(initial=-1)))
        self.slot[devices], self.family[devices] = slots, family
