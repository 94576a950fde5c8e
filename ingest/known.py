"""The registry as a worker knows it: 3.7 million devices in some 150 MB, any one found in one to two microseconds."""

from typing import NamedTuple

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from devices.changed import Aliases, Devices, Standing, alias_key
from devices.profile import PROFILES, Profile
from ingest.names import FREE, Ints, Names, grown

log = structlog.get_logger("ingest.known")

NOBODY = -1


class Device(msgspec.Struct, frozen=True, gc=False):
    """A device of the registry as a reading needs it. Made when asked for; two of one device are equal."""

    id: int
    name: str
    area: bytes
    area_id: int
    profile: Profile
    retired: bool


class Kind(NamedTuple):
    """What many devices have in common."""

    area: bytes
    area_id: int
    profile: Profile
    retired: bool


class Standings(NamedTuple):
    """Of many devices: their ids, the areas they belong to (registry.area), and their kinds by number."""

    ids: NDArray[np.int32]
    areas: NDArray[np.int16]
    kinds: NDArray[np.int16]


class Taken(NamedTuple):
    """Numbers (of `Names`) of devices that were told, and whether one that was known is another now."""

    numbers: Ints
    replaced: bool


class Known:
    """Devices by name and by what foreign systems call them."""

    def __init__(self) -> None:
        self._names, self._aliases = Names(), Names()
        self._ids, self._kinds = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int16)
        self._called = np.zeros(0, dtype=np.int32)  # device by alias, both by number
        self._all_kinds: list[Kind] = []
        self._kind_numbers: dict[Standing, int] = {}
        self._areas = np.zeros(0, dtype=np.int16)  # by kind
        self._asking = np.zeros(0, dtype=np.bool_)  # by kind
        self._show()

    def __len__(self) -> int:
        """Devices known."""
        return len(self._names)

    def _show(self) -> None:
        self._id_view, self._kind_view = self._ids.data, self._kinds.data
        self._called_view = self._called.data

    def device(self, name: bytes) -> Device | None:
        """The device with this id in the registry's spelling."""
        number = self._names.find(name)
        return None if number < 0 else self.numbered(number)

    def number(self, name: bytes) -> int:
        """The number of the device with this id, or NOBODY; a device keeps its number."""
        return self._names.find(name)

    def numbers(self, names: list[bytes]) -> Ints:
        """The numbers of many."""
        return self._names.find_all(names)

    def numbered(self, number: int) -> Device:
        """The device with a number."""
        return self.as_it_was(number, self._id_view[number], self._kind_view[number])

    def as_it_was(self, number: int, id: int, kind: int) -> Device:
        """The device with a number when this was its id and kind."""
        return Device(id, self._names[number].decode(), *self._all_kinds[kind])

    def kind_of(self, number: int) -> Kind:
        """What it has in common with many."""
        return self._all_kinds[self._kind_view[number]]

    def standings(self, numbers: Ints) -> Standings:
        """What is known of many devices now."""
        kinds = self._kinds[numbers]
        return Standings(self._ids[numbers], self._areas[kinds], kinds)

    def asking(self, kinds: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of these kinds (by number) ask to be told what is settled."""
        asking: NDArray[np.bool_] = self._asking[kinds]
        return asking

    def kinds(self) -> list[Kind]:
        """By number; more may follow."""
        return self._all_kinds

    def called(self, route: str, foreign_id: str) -> Device | None:
        """The device that a foreign system calls so."""
        alias = self._aliases.find(alias_key(route, foreign_id))
        number = self._called_view[alias] if alias >= 0 else NOBODY
        return None if number < 0 else self.device(self._names[number])

    def take(self, devices: Devices) -> Taken:
        """Take in devices as they are now."""
        kinds = self._kinds_of(devices)
        if (kinds >= 0).all():
            return self._take(devices.names, devices.ids, kinds)
        ours, others = np.flatnonzero(kinds >= 0), np.flatnonzero(kinds < 0)
        taken = self._take([devices.names[place] for place in ours.tolist()], devices.ids[ours], kinds[ours])
        left = self._names.find_all([devices.names[place] for place in others.tolist()])
        return Taken(np.concatenate([taken.numbers, left[left != FREE]]), taken.replaced)

    def _take(self, names: list[bytes], ids: Ints, kinds: Ints) -> Taken:
        before = len(self._names)
        numbers = self._names.take(names)
        self._ids, self._kinds = grown(self._ids, len(self._names)), grown(self._kinds, len(self._names))
        differs = (self._ids[numbers] != ids) | (self._kinds[numbers] != kinds)
        self._ids[numbers], self._kinds[numbers] = ids, kinds
        self._show()
        return Taken(numbers, bool((differs & (numbers < before)).any()))

    def _kinds_of(self, devices: Devices) -> Ints:
        """Numbers of the kinds of devices; below 0 where this code has no such profile: they stay as they are."""
        numbers = [self._kind_number(standing) for standing in devices.standings]
        for place, standing in enumerate(devices.standings):
            if numbers[place] < 0:
                count = int((devices.standing == place).sum())
                log.error("profile unknown to this code", profile=standing.profile, devices=count)
        return np.array(numbers, dtype=np.int64)[devices.standing]

    def _kind_number(self, standing: Standing) -> int:
        number = self._kind_numbers.get(standing)
        if number is None:
            profile = PROFILES.get(standing.profile)
            if profile is None:
                return NOBODY
            number = self._kind_numbers[standing] = len(self._all_kinds)
            self._all_kinds.append(Kind(standing.area.encode(), standing.area_id, profile, standing.retired))
            self._areas = np.array([kind.area_id for kind in self._all_kinds], dtype=np.int16)
            self._asking = np.array([kind.profile.acknowledge for kind in self._all_kinds], dtype=np.bool_)
        return number

    def take_aliases(self, aliases: Aliases) -> Ints:
        """Take in foreign names, whose devices were taken before; their numbers."""
        numbers = self._aliases.take(aliases.keys)
        self._called = grown(self._called, len(self._aliases))
        self._called[numbers] = self._names.find_all(aliases.devices)
        self._show()
        return numbers

    def forget_aliases(self, devices: Ints, told: Ints) -> None:
        """Devices that changed (numbers) have no foreign names but those that were told (numbers)."""
        if len(devices) and len(self._aliases):
            called = self._called[: len(self._aliases)]
            gone = np.isin(called, devices)
            gone[told] = False
            called[gone] = NOBODY
