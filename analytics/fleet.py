"""What the map needs to know of every device, in arrays by registry id, and how it adds up: pure, in memory."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]

FINEST, COARSEST = 16, 5
"""Levels of cells; see rollup.cell. A key is family << 32 | x << 16 | y."""
ONLINE_INTERVALS, LATE_INTERVALS = 3, 10
"""Intervals of its profile for which a device that was heard counts as online, and then as late."""
NOTHING = -np.inf


class Models(NamedTuple):
    """Profiles by registry id: seconds between two readings, place of the family, -1 where low is worse or 1."""

    interval_s: Floats
    family: Ints
    sign: Floats


class Cells(NamedTuple):
    """Cells of one level. `worst` is signed, so that higher is worse, and -inf where no device has a value."""

    key: Ints
    online: Ints
    worst: Floats


NO_CELLS = Cells(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class Connectivity(NamedTuple):
    """Devices that are expected to speak, heard at least once, by area and family."""

    area: Ints
    family: Ints
    online: Ints
    late: Ints
    silent: Ints


class Newest:
    """Of one family the newest time by area, and whose it is. Areas are ids of the registry, at most some thousands."""

    def __init__(self) -> None:
        self.time = np.zeros(0, np.int64)  # µs since 1970, 0 = none
        self.device = np.zeros(0, np.int32)

    def hear(self, area: Ints, time: Ints, device: Ints) -> None:
        """Readings in any order."""
        if not len(area):
            return
        more = int(area.max()) + 1 - len(self.time)
        if more > 0:
            self.time = np.pad(self.time, (0, more))
            self.device = np.pad(self.device, (0, more))
        before = self.time.copy()
        np.maximum.at(self.time, area, time)
        newest = np.flatnonzero((time == self.time[area]) & (time > before[area]))
        self.device[area[newest]] = device[newest]


class Fleet:
    """41 bytes per device. `place` and `hear` may name any id: the arrays grow."""

    def __init__(self) -> None:
        self.cell = np.full(0, -1, np.int64)  # x << 16 | y, -1 = not on the map
        self.area = np.zeros(0, np.int16)
        self.profile = np.zeros(0, np.int16)
        self.expected = np.zeros(0, np.bool_)
        self.heard = np.zeros(0, np.int64)  # µs since 1970, 0 = never
        self.value = np.full(0, np.nan)
        self.valued = np.zeros(0, np.int64)  # time of that value, µs since 1970
        self._order: Order | None = None

    def place(self, device: Ints, cell: Ints, area: Ints, profile: Ints, expected: npt.NDArray[np.bool_]) -> None:
        """Where devices stand and what they are; cell -1 takes one off the map."""
        self._grow(device)
        self.cell[device], self.area[device] = cell, area
        self.profile[device], self.expected[device] = profile, expected
        if len(device):
            self._order = None

    def hear(self, device: Ints, received: Ints, time: Ints, value: Floats) -> None:
        """Readings in any order, times in µs; value NaN where the reading has none. Late ones change nothing newer."""
        self._grow(device)
        np.maximum.at(self.heard, device, received)
        newer = ~np.isnan(value) & (time >= self.valued[device])
        order = np.argsort(time[newer], kind="stable")  # of several of one device the last assignment stays
        of = device[newer][order]
        self.value[of], self.valued[of] = value[newer][order], time[newer][order]

    def _grow(self, device: Ints) -> None:
        size = int(device.max()) + 1 if len(device) else 0
        more = size - len(self.cell)
        if more <= 0:
            return
        more += size // 8
        for name, filling in FILLINGS.items():
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.full(more, filling, old.dtype)]))

    def connectivity(self, models: Models, now: int) -> Connectivity:
        """How many devices of each area and family are online, late, silent at `now` (µs since 1970)."""
        there = np.flatnonzero(self.expected & (self.heard > 0) & (self.cell >= 0))
        age = self._age(there, models, now)
        families = int(models.family.max(initial=0)) + 1
        group = self.area[there].astype(np.int64) * families + models.family[self.profile[there]]
        heard = np.bincount(group)
        online = np.bincount(group[age <= ONLINE_INTERVALS], minlength=len(heard))
        late = np.bincount(group[age <= LATE_INTERVALS], minlength=len(heard)) - online
        code = np.flatnonzero(heard)
        silent = heard[code] - online[code] - late[code]
        return Connectivity(code // families, code % families, online[code], late[code], silent)

    def cells(self, models: Models, now: int) -> Cells:
        """The finest cells that have a device, sorted by key."""
        order = self._order = self._order or self._sorted(models)
        if not len(order.key):
            return NO_CELLS
        age = self._age(order.device, models, now)
        signed = self.value[order.device] * models.sign[self.profile[order.device]]
        signed[np.isnan(signed) | (age > LATE_INTERVALS)] = NOTHING
        online = np.add.reduceat(age <= ONLINE_INTERVALS, order.begins, dtype=np.int64)
        return Cells(order.key, online, np.maximum.reduceat(signed, order.begins))

    def _sorted(self, models: Models) -> "Order":
        """The devices on the map by cell. Sorting takes longer than all else, so it is kept while nothing moves."""
        there = np.flatnonzero(self.cell >= 0).astype(np.int32)
        key = models.family[self.profile[there]] << 32 | self.cell[there]
        by_key = np.argsort(key)
        key = key[by_key]
        begins = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
        return Order(there[by_key], begins, key[begins])

    def _age(self, there: Ints, models: Models, now: int) -> Floats:
        """Intervals since each device was heard; one that never was is older than the platform."""
        ages: Floats = (now - self.heard[there]) / (1e6 * models.interval_s[self.profile[there]])
        return ages


class Order(NamedTuple):
    """Devices sorted by cell: `begins` are the places at which the cells `key` begin."""

    device: Ints
    begins: Ints
    key: Ints


FILLINGS: dict[str, float] = {
    "cell": -1,
    "area": 0,
    "profile": 0,
    "expected": False,
    "heard": 0,
    "value": np.nan,
    "valued": 0,
}


def coarser(cells: Cells) -> Cells:
    """The cells of the next coarser level: each has four of the finer ones."""
    family, x, y = cells.key >> 32, cells.key >> 17 & 0x7FFF, cells.key >> 1 & 0x7FFF
    key, place = np.unique(family << 32 | x << 16 | y, return_inverse=True)
    online = np.bincount(place, cells.online, len(key)).astype(np.int64)
    worst = np.full(len(key), NOTHING)
    np.maximum.at(worst, place, cells.worst)
    return Cells(key, online, worst)


def changed(cells: Cells, before: Cells) -> npt.NDArray[np.bool_]:
    """Which cells are not the same as before."""
    if not len(before.key):
        return np.ones(len(cells.key), np.bool_)
    at = np.minimum(np.searchsorted(before.key, cells.key), len(before.key) - 1)
    same: npt.NDArray[np.bool_] = (
        (before.key[at] == cells.key) & (before.online[at] == cells.online) & (before.worst[at] == cells.worst)
    )
    return ~same
