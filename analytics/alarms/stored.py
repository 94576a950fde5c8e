"""Stored history as rules are rehearsed on it, read through the public views in portions of time."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.alarms.engine import World
from analytics.alarms.limits import MODELS
from analytics.alarms.matching import Sign
from analytics.alarms.outage import There
from analytics.alarms.signs import SLACK, Event
from analytics.columns import Columns
from analytics.detectors.rows import Fleet
from devices.family import Family
from devices.identity import OFFLINE_AFTER
from devices.profile import PROFILES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEVICES = """
select device, profile, family, area, lat, lon, state in ('enrolled', 'active') as expected, coalesce(name, device)
from city.device where state <> 'retired' and (%(areas)s::text[] is null or area = any(%(areas)s)) order by device
"""
FINDINGS = """
select f.id, f.device, f.area, f.family, f.detector, coalesce(f.metric, ''), f.since, f.found, f.until, f.score,
       f.value, f.expected, e.lat, e.lon
from city.finding f
left join city.fire_evidence e on f.detector ~ '^(fire-|forest-gate)' and e.device = f.device
     and e.detector = f.detector and e.since = f.since and e.found = f.found
where f.since < %(end)s and f.detector !~ '^limit-'
  and (f.found >= %(begin)s and f.found < %(end)s or f.until >= %(begin)s and f.until < %(end)s)
  and (%(areas)s::text[] is null or f.area = any(%(areas)s)) order by f.id
"""
EVENTS = """
select time, kind, severity, inbox, device, message, detail ->> 'message_vi'
from city.event where time >= %s and time < %s order by time
"""
AIR = """
select area, device, vn_aqi, bucket from city.air_index_1h
where bucket >= %s and bucket < %s and vn_aqi is not null order by bucket, area, device
"""
DANGER = "select distinct on (area) area, level from city.fire_danger where day <= %s order by area, day desc"


class One(NamedTuple):
    """A device; its place in the list is its number here."""

    device: str
    profile: str
    family: str
    area: int
    lat: float
    lon: float
    expected: bool
    name: str

    @property
    def interval_s(self) -> float:
        """Seconds between two readings."""
        return PROFILES[self.profile].interval_s if self.profile in PROFILES else 60.0

    @property
    def silent_s(self) -> float:
        """Seconds without one after which it is silent."""
        after = PROFILES[self.profile].offline_after if self.profile in PROFILES else OFFLINE_AFTER
        return (after + SLACK) * self.interval_s


class Stored:
    """A database between two times, of some areas or (none) of all."""

    def __init__(self, connection: psycopg.Connection, areas: Sequence[str] = ()) -> None:
        self._connection = connection
        self._areas = list(areas) or None
        connection.execute("set statement_timeout = '10 min'")
        rows = connection.execute(DEVICES, {"areas": self._areas}).fetchall()
        self.devices = [
            One(device, profile, family, int(area), plain(lat), plain(lon), expected, name)
            for device, profile, family, area, lat, lon, expected, name in rows
        ]
        self.number = {one.device: place for place, one in enumerate(self.devices)}

    @cached_property
    def _by_area(self) -> dict[int, list[One]]:
        found: dict[int, list[One]] = {}
        for one in self.devices:
            found.setdefault(one.area, []).append(one)
        return found

    def world(self, day: datetime) -> World:
        """What the registry says today, and the danger of a day."""
        counts: dict[tuple[int, str], int] = {}
        for one in self.devices:
            counts[one.area, one.family] = counts.get((one.area, one.family), 0) + 1
        levels = {int(area): level for area, level in self._connection.execute(DANGER, (day.date(),))}

        def population(area: int | None, families: frozenset[str]) -> int:
            return sum(n for (where, family), n in counts.items() if family in families and area in (None, where))

        def there(area: int) -> There:
            here = [one for one in self._by_area.get(area, []) if one.expected]
            columns = ([one.lat for one in here], [one.lon for one in here], [one.silent_s for one in here])
            return There(*(np.array(column, np.float64) for column in columns))

        return World(population, there, levels.get)

    def fleet(self, family: Family) -> tuple[Fleet, npt.NDArray[np.int64]]:
        """Devices of a family as detectors want them, and the number of each."""
        places = np.array([n for n, one in enumerate(self.devices) if one.family == family.name], np.int64)
        some = [self.devices[place] for place in places.tolist()]
        known = {name: place for place, name in enumerate(MODELS)}
        return (
            Fleet(
                places.astype(np.int32),
                np.ones(len(some), np.int16),
                np.array([one.area for one in some], np.int16),
                np.array([one.interval_s for one in some], np.float32),
                np.array([one.silent_s for one in some], np.float32),
                np.array([one.lat for one in some], np.float32),
                np.array([one.lon for one in some], np.float32),
                np.array([one.expected for one in some], np.bool_),
                np.array([known.get(one.profile, -1) for one in some], np.int16),
            ),
            places,
        )

    def readings(self, family: Family, metrics: Sequence[int], begin: datetime, end: datetime) -> Columns:
        """Readings between two times with some metrics; `device` is the number here."""
        names = [family.metrics[place].name for place in metrics]
        query = sql.SQL(
            "select device, time, seq, received, {} from city.{} where time >= %s and time < %s "
            "and (%s::text[] is null or area = any(%s))"
        ).format(sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(family.name))
        rows = self._connection.execute(query, (begin, end, self._areas, self._areas)).fetchall()
        rows = [row for row in rows if row[0] in self.number]
        values = np.full((len(rows), len(family.metrics)), np.nan)
        for column, place in enumerate(metrics, 4):
            states = {state: float(n) for n, state in enumerate(family.metrics[place].states)}
            values[:, place] = [number(row[column], states) for row in rows]
        device = np.array([self.number[row[0]] for row in rows], np.int64)
        time, received = (np.array([us(row[place]) for row in rows], np.int64) for place in (1, 3))
        seq = np.array([row[2] for row in rows], np.int64)
        return Columns(family, device, device * 0, time, seq, received, values)

    def findings(self, begin: datetime, end: datetime) -> Iterator[Sign]:
        """Findings that came or ended between two times, as they are now."""
        known = {"begin": begin, "end": end, "areas": self._areas}
        for row in self._connection.execute(FINDINGS, known).fetchall():
            number_, device, area, family, detector, metric, since, found, until, score, value, expected, lat, lon = row
            if device in self.number:
                one = self.devices[self.number[device]]
                where = (plain(lat) if lat is not None else one.lat, plain(lon) if lon is not None else one.lon)
                yield Sign(
                    *(number_, self.number[device], one.name, int(area), family, one.profile, detector, metric),
                    *(us(since), us(found), None if until is None else us(until), score, plain(value), plain(expected)),
                    *(*where, one.interval_s, one.silent_s),
                )

    def events(self, begin: datetime, end: datetime) -> Iterator[Event]:
        """What the platform said between two times."""
        rows = self._connection.execute(EVENTS, (begin, end)).fetchall()
        for place, (time, kind, severity, inbox, device, message, message_vi) in enumerate(rows):
            at = self.number.get(device or "")
            one = None if at is None else self.devices[at]
            family, area = (one.family, one.area) if one else (None, None)
            yield Event(place, us(time), kind, severity, inbox, device, at, area, family, message, message_vi)

    def air(self, begin: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """Indices of hours that ended between two times: area, device (number), index, the end of the hour."""
        hour = timedelta(hours=1)
        rows = self._connection.execute(AIR, (begin - hour, end - hour)).fetchall()
        return [
            (int(area), self.number[device], float(index), us(bucket + hour))
            for area, device, index, bucket in rows
            if device in self.number
        ]


def us(when: datetime) -> int:
    """µs since 1970."""
    return (when - EPOCH) // timedelta(microseconds=1)


def plain(value: float | None) -> float:
    """NaN where there is none."""
    return float("nan") if value is None else float(value)


def number(value: Any, states: dict[str, float]) -> float:
    """A metric's value, of a state its number."""
    if value is None:
        return float("nan")
    return states.get(value, float("nan")) if isinstance(value, str) else float(value)
