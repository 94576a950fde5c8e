"""Violations by hour and camera, and how many offences they are: counted anew from the events whenever an hour changes.

Of a vehicle nothing is kept but what stands in the event: a keyed hash of its plate, or the camera's number of the
track. It is compared here and goes nowhere: the table has counts alone.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.bulletins.bulletin import Every, fresh_buckets
from analytics.indices.offences import WINDOW_S, first_of_each, places
from analytics.rollup.width import HOUR
from devices.family import FAMILIES

FAMILY = FAMILIES["camera_event"]
REACH = timedelta(days=7)
WINDOW = timedelta(seconds=WINDOW_S)
OPEN_EVERY = timedelta(minutes=5)
MOST_OPEN = 3  # hours
AT_ONCE = 6  # hours in one transaction
UNTOLD = "unknown"

# A hash holds everywhere; a track is the camera's own, so it stands for a vehicle together with the camera.
READ = """
select d.id, e.area, extract(epoch from e.time)::float8, e.violation, e.object_class, e.plate, e.track,
       e.time >= %(begin)s
from registry.device d
cross join lateral (
    select r.area, r.time, r.seq, r.violation, r.object_class, r.extra ->> 'plate_hash' as plate,
           coalesce(r.extra ->> 'track_id', r.extra ->> 'object_id') as track
    from reading.camera_event r
    where r.device = d.id and r.time >= %(begin)s - %(window)s and r.time < %(end)s
      and (r.violation is not null or r.event_kind = %(kind)s)
) e
where d.family = 'camera_event'
order by d.id, e.time, e.seq
"""
CAMERAS = """
select id, coalesce(lat, 'NaN'), coalesce(lon, 'NaN') from registry.device where family = 'camera_event' order by id
"""
CLOSED = "select until from rollup.closed where family = %s and width = %s"
DELETE = "delete from rollup.violation_1h where bucket = %s"
INSERT = """
insert into rollup.violation_1h (bucket, device, area, violation, object_class, events, offences)
select %s, u.* from unnest(%s::int[], %s::smallint[], %s::text[], %s::text[], %s::int[], %s::int[]) u
"""
PLANS = "set local enable_hashjoin = off; set local enable_mergejoin = off"


class Events(NamedTuple):
    """Violations, an entry each: registry ids of camera and area, s since 1970, words of violation and class, what
    stands for the vehicle (empty: nothing), whether it is of the hour asked for, not of the minutes before."""

    device: npt.NDArray[Any]
    area: npt.NDArray[Any]
    time_s: npt.NDArray[Any]
    violation: npt.NDArray[Any]
    object_class: npt.NDArray[Any]
    vehicle: npt.NDArray[Any]
    counts: npt.NDArray[Any]


class Violations:
    """Index `violations`."""

    name: ClassVar[str] = "violations"

    def __init__(self) -> None:
        self._every = Every(OPEN_EVERY)

    def due(self, now: datetime) -> bool:
        """Every five minutes."""
        return self._every.passed(now)

    def make(self, connection: psycopg.Connection, now: datetime) -> bool:
        """Hours that are closed or made anew, with those whose first minutes they reach into, then the open ones."""
        connection.execute(PLANS)
        fresh = fresh_buckets(connection, self.name, FAMILY.name, HOUR, REACH, AT_ONCE)
        hours = {*fresh.closed, *fresh.remade, *(hour + timedelta(hours=1) for hour in fresh.remade)}
        if not fresh.more:
            hours |= open_hours(connection, now)
        near = place_of_each(connection) if hours else {}
        for hour in sorted(hours):
            write(connection, hour, read(connection, hour), near)
        return fresh.more


def open_hours(connection: psycopg.Connection, now: datetime) -> set[datetime]:
    """Those that are not closed yet; local hours begin when those of UTC do."""
    row = connection.execute(CLOSED, (FAMILY.name, HOUR.name)).fetchone()
    this = now.replace(minute=0, second=0, microsecond=0)
    last = [this - timedelta(hours=back) for back in range(MOST_OPEN)]
    return {hour for hour in last if row is None or hour >= row[0]}


def place_of_each(connection: psycopg.Connection) -> dict[int, int]:
    """Camera → the camera that stands for its place."""
    device, lat, lon = columns_of(connection, sql.SQL(CAMERAS).format(), "i4 f8 f8")
    ids: list[int] = device.tolist()
    return dict(zip(ids, device[places(lat, lon)].tolist(), strict=True))


def read(connection: psycopg.Connection, hour: datetime) -> Events:
    """The violations of an hour and of the window before it."""
    kind = FAMILY.metrics[FAMILY.index["event_kind"]].states.index("violation")
    asked = {"begin": hour, "end": hour + timedelta(hours=1), "window": WINDOW, "kind": kind}
    rows = connection.execute(READ, asked).fetchall()
    told = [
        (
            *(device, area, time_s, word("violation", violation), word("object_class", object_class)),
            *(f"p{plate}" if plate else f"t{device}/{track}" if track else "", counts),
        )
        for device, area, time_s, violation, object_class, plate, track, counts in rows
    ]
    kinds = ("i4", "i2", "f8", "U", "U", "U", "?")
    columns = zip(*told, strict=True) if told else ([] for _ in kinds)
    return Events(*(np.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)))


def word(metric: str, number: int | None) -> str:
    """A state as its word."""
    return UNTOLD if number is None else FAMILY.metrics[FAMILY.index[metric]].states[number]


def write(connection: psycopg.Connection, hour: datetime, events: Events, near: dict[int, int]) -> None:
    """Replace the rows of an hour."""
    connection.execute(DELETE, (hour,))
    if not events.counts.any():
        return
    place = np.array([near.get(device, device) for device in events.device.tolist()])
    vehicles, vehicle = np.unique(events.vehicle, return_inverse=True)
    vehicle = np.where(events.vehicle == "", -1, vehicle) if len(vehicles) else vehicle
    kind = np.unique(events.violation, return_inverse=True)[1]
    first = first_of_each(place, vehicle, kind, events.time_s)[events.counts]
    of_hour = [column[events.counts] for column in events]
    keys = list(zip(*(of_hour[at].tolist() for at in (0, 3, 4)), strict=True))
    rows: dict[tuple[int, str, str], list[int]] = {}
    for key, area, begins in zip(keys, of_hour[1].tolist(), first.tolist(), strict=True):
        row = rows.setdefault(key, [area, 0, 0])
        row[1] += 1
        row[2] += begins
    device, violation, object_class = zip(*rows, strict=True)
    area, count, offences = zip(*rows.values(), strict=True)
    columns = (device, area, violation, object_class, count, offences)
    connection.execute(INSERT, (hour, *(list(column) for column in columns)))


INDICES = (Violations,)
