"""Changes of state → rows of rollup.finding: one is opened, one is closed, or both at once."""

from collections import deque
from typing import Any, NamedTuple

import psycopg

from analytics.bulletins import all_indices
from analytics.detectors.rows import WHOLE_DEVICE, Fleet
from analytics.detectors.watch import Found
from devices.family import Family

CLOSE = """
update rollup.finding f set until = greatest(f.since, timestamptz 'epoch' + u.us * interval '1 us')
from unnest(%s::integer[], %s::text[], %s::text[], %s::bigint[]) u(device, detector, metric, us)
where f.until is null and f.device = u.device and f.detector = u.detector and f.metric = u.metric
"""
OPEN = """
insert into rollup.finding (device, detector, metric, since, found, until, score, value, expected)
select u.device, u.detector, u.metric, timestamptz 'epoch' + u.since * interval '1 us',
       timestamptz 'epoch' + u.found * interval '1 us',
       timestamptz 'epoch' + case when u.until is not null then greatest(u.since, u.until) end * interval '1 us',
       u.score, nullif(u.value, 'NaN'), nullif(u.expected, 'NaN')
from unnest(%s::integer[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::real[],
            %s::float8[], %s::float8[])
     u(device, detector, metric, since, found, until, score, value, expected)
on conflict (device, detector, metric) where until is null do nothing
"""
OPEN_ONES = """
select f.device, f.detector, f.metric from rollup.finding f join registry.device d on d.id = f.device
where f.until is null and d.family = %s and f.detector <> all(%s)
"""
CLOSE_OF = """
update rollup.finding set until = greatest(since, now())
where until is null and device = any(%s) and detector = any(coalesce(%s, array[detector]))
"""
FORGET = """
delete from rollup.finding where id = any(array(
    select id from rollup.finding where until < now() - %s * interval '1 day' limit 20000))
"""

Key = tuple[int, str, str]


class Told(NamedTuple):
    """A change with its names in full."""

    key: Key
    on: bool
    at: int
    since: int
    score: float
    value: float
    expected: float


def in_full(family: Family, fleet: Fleet, found: Found) -> list[Told]:
    """Changes of slots → changes of devices, in order."""
    changes = found.changes
    names = {WHOLE_DEVICE: ""} | {place: metric.name for place, metric in enumerate(family.metrics)}
    devices = fleet.device[changes.slot].tolist()
    columns = (changes.metric, changes.on, changes.at, changes.since, changes.score, changes.value, changes.expected)
    return [
        Told((device, found.detector, names[metric]), on, at, min(since, at), score, value, expected)
        for device, metric, on, at, since, score, value, expected in zip(
            devices, *(column.tolist() for column in columns), strict=True
        )
    ]


class Findings:
    """What waits to be written. Mostly nothing is left over; a storm is written in portions, in order."""

    def __init__(self) -> None:
        self._waiting: deque[Told] = deque()

    @property
    def waiting(self) -> int:
        """How many changes."""
        return len(self._waiting)

    def add(self, changes: list[Told]) -> None:
        """Changes, in order."""
        self._waiting.extend(changes)

    def write(self, connection: psycopg.Connection, most: int) -> tuple[int, int]:
        """Write the next ones; returns how many findings were opened and how many closed."""
        portion = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        return write(connection, portion) if portion else (0, 0)


def write(connection: psycopg.Connection, changes: list[Told]) -> tuple[int, int]:
    """Changes in order; what comes and goes within them is one row."""
    opened: dict[Key, Told] = {}
    over: list[tuple[Told, int | None]] = []
    closed: list[tuple[Key, int]] = []
    for change in changes:
        if change.on:
            opened.setdefault(change.key, change)
        elif change.key in opened:
            over.append((opened.pop(change.key), change.at))
        else:
            closed.append((change.key, change.at))
    if closed:
        connection.execute(CLOSE, [list(column) for column in zip(*[(*key, at) for key, at in closed], strict=True)])
    over += [(change, None) for change in opened.values()]
    if over:
        rows = [(*c.key, c.since, c.at, until, c.score, c.value, c.expected) for c, until in over]
        connection.execute(OPEN, [list(column) for column in zip(*rows, strict=True)])
    return len(over), sum(not change.on for change in changes)


def open_ones(connection: psycopg.Connection, family: Family) -> list[Key]:
    """Device, detector and metric of what is open of a family's devices, except what indices find and close."""
    others = [name for index in all_indices() for name in getattr(index, "finds", ())]
    rows: list[Any] = connection.execute(OPEN_ONES, (family.name, others)).fetchall()
    return rows


def close_of(connection: psycopg.Connection, devices: list[int], detectors: list[str] | None = None) -> None:
    """Close what is open of devices, by all detectors or by some: there is nobody any more who would."""
    if devices:
        connection.execute(CLOSE_OF, (devices, detectors))


def forget(connection: psycopg.Connection, days: int) -> None:
    """Findings that have been over for so long, some at a time."""
    connection.execute(FORGET, (days,))
