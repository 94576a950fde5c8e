"""The registry as detectors see it: who is new, who is another model now, who has left."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.cells import ALL, slices
from analytics.detectors.rows import Bools, Ints
from analytics.detectors.slots import NOBODY, Seats, Slots
from devices.family import FAMILIES
from devices.identity import OFFLINE_AFTER
from devices.profile import PROFILES

NAMES = list(FAMILIES)
PLACES = {name: place for place, name in enumerate(PROFILES)}
RETIRED, RESTING, EXPECTED = 0, 1, 2
XMIN = "select pg_snapshot_xmin(pg_current_snapshot())::text"
DEVICES = sql.SQL("""
select d.id, d.profile, d.area, coalesce(d.lat, 'NaN'), coalesce(d.lon, 'NaN'),
       (case when d.state in ('enrolled', 'active') then 2 when d.state = 'retired' then 0 else 1 end)::smallint
from registry.device d where d.changed >= {}::xid8 and d.id >= {} and d.id < {}
""")


class Moved(NamedTuple):
    """Of a family that has changed: slots that are to begin anew, and the devices that had them."""

    slots: Ints
    devices: Ints


class Registry:
    """Every family's devices by slot. `seat` those of before a restart first, then `follow`."""

    def __init__(self) -> None:
        self.slots = {name: Slots() for name in NAMES}
        self.seats = Seats()
        self._xmin = "0"

    def seat(self, family: str, first: int, devices: Ints) -> None:
        """Devices at the slots that they had before a restart."""
        self.slots[family].seat(first, devices)
        known = devices >= 0
        self.seats.put(devices[known], NAMES.index(family), first + np.flatnonzero(known))

    def follow(self, connection: psycopg.Connection) -> dict[str, Moved]:
        """Devices changed since the last look; a change that commits late comes with the next one."""
        since = self._xmin
        row = connection.execute(XMIN).fetchone()
        assert row is not None  # a select without a table always gives a row
        self._xmin = row[0]
        models = Models(connection)
        moved: dict[str, list[Moved]] = {}
        for low, high in slices(connection) if since == "0" else [ALL]:
            rows = columns_of(connection, DEVICES.format(since, low, high), "i4 i2 i2 f8 f8 i2")
            for family, one in self._place(models, *rows):
                moved.setdefault(family, []).append(one)
        if since == "0":
            self._leave_strangers()
        return {family: Moved(*map(np.concatenate, zip(*parts, strict=True))) for family, parts in moved.items()}

    def _place(self, models: "Models", *rows: npt.NDArray[Any]) -> list[tuple[str, Moved]]:
        device, profile, area, lat, lon, state = rows
        self.seats.reach(int(device.max(initial=-1)))
        family = models.family[profile]
        found = self._moved_out(device, family)
        for number in np.unique(family[family >= 0]).tolist():
            slots = self.slots[NAMES[number]]
            of_family = (family == number) & ((state > RETIRED) | (self.seats.family[device] == number))
            ids = device[of_family]
            newcomers = ids[self.seats.of(ids, number) == NOBODY]
            self.seats.put(newcomers, number, slots.add(newcomers))
            at = self.seats.of(ids, number)
            before = slots.fleet()
            other = (before.profile[at] != profile[of_family]) & (before.profile[at] != 0)
            slots.tell(
                at,
                profile=profile[of_family],
                area=area[of_family],
                interval_s=models.interval_s[profile[of_family]],
                silent_s=models.silent_s[profile[of_family]],
                lat=lat[of_family],
                lon=lon[of_family],
                expected=state[of_family] == EXPECTED,
                model=models.model[profile[of_family]],
            )
            anew = other | (state[of_family] == RETIRED)
            found.append((NAMES[number], Moved(at[anew], ids[anew])))
        return found

    def _moved_out(self, device: Ints, family: Ints) -> list[tuple[str, Moved]]:
        """Devices whose profile is of another family than it was."""
        was = self.seats.family[device]
        out: Bools = (was != NOBODY) & (was != family)
        found = []
        for number in np.unique(was[out]).tolist():
            devices = device[out & (was == number)]
            slots = self.seats.slot[devices].astype(np.int64)
            self.slots[NAMES[number]].leave(slots)
            found.append((NAMES[number], Moved(slots, devices)))
        self.seats.family[device[out]] = NOBODY
        return found

    def _leave_strangers(self) -> None:
        """Devices that we remember and the registry does not."""
        for slots in self.slots.values():
            fleet = slots.fleet()
            strangers = np.flatnonzero((fleet.device >= 0) & (fleet.profile == 0))
            self.seats.family[fleet.device[strangers]] = NOBODY
            slots.leave(strangers)


class Models:
    """Profiles by registry id: place of the family (-1: of none that we know), seconds between readings and until a
    device counts as silent, and the place in the catalogue."""

    def __init__(self, connection: psycopg.Connection) -> None:
        rows = connection.execute("select id, profile, family, interval_s from registry.profile").fetchall()
        size = max((number for number, *_ in rows), default=-1) + 1
        self.family = np.full(size, NOBODY, np.int8)
        self.interval_s = np.ones(size, np.float32)
        self.silent_s = np.ones(size, np.float32)
        self.model = np.full(size, NOBODY, np.int16)
        for number, profile, family, interval_s in rows:
            after = PROFILES[profile].offline_after if profile in PROFILES else OFFLINE_AFTER
            self.family[number] = NAMES.index(family) if family in FAMILIES else NOBODY
            self.interval_s[number], self.silent_s[number] = interval_s, interval_s * after
            self.model[number] = PLACES.get(profile, NOBODY)
