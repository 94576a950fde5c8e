"""Where rivers stand: gauges at stations, each reading in its turn, so that no crossing between two looks is missed.

A level that was reached is held until the water is 5 cm below it, whatever does not come: a gap is not an all-clear.
Each stay at or above an alarm level is a finding `river-level`, too.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import numpy as np
import psycopg

from analytics.bulletins.bulletin import Every
from analytics.bulletins.fire_weather import LOCAL
from analytics.columns import Columns
from analytics.indices.river import LEVELS, WINDOW_S, Trend, held, hours_to_next, next_level, reached, trend
from analytics.indices.stations import Placed, Places
from devices.area import ZONES

PROVINCE = {zone.id: zone.province for zone in ZONES}
LONGEST, FIRST = timedelta(days=7), timedelta(days=1)
"""So far back readings are looked for that the state has not seen, as after an outage of the analyst; and of a gauge
that has no state yet."""
ALL_EVERY = timedelta(seconds=15)
"""How often all gauges are read, whoever spoke: what failed or came while nobody listened is made up for."""
LOOK_EVERY, LOOK_SOONER = timedelta(minutes=5), timedelta(seconds=10)
"""How soon a new gauge is noticed: going through millions of devices is not done more often, but where one speaks that
was not there at the last look."""
DETECTOR, METRIC = "river-level", "water_level"

GAUGES = """
select d.id, d.device, d.name, d.area from registry.device d
where d.family = 'water_level' and d.state <> 'retired' and d.state <> 'planned' order by d.id
"""
STATES = "select device, level, since, as_of, seq from rollup.river_state"
READINGS = """
select r.time, r.seq, r.water_level from reading.water_level r
where r.device = %s and r.time > %s and r.time <= %s and r.water_level is not null order by r.time, r.seq
"""
KEEP = """
insert into rollup.river_state values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (device) do update set
    (station, river, used_set, levels, level, since, class, water_level, as_of, seq, rise_m_per_h, fit, next_level,
     hours_to_next) =
    (excluded.station, excluded.river, excluded.used_set, excluded.levels, excluded.level, excluded.since,
     excluded.class, excluded.water_level, excluded.as_of, excluded.seq, excluded.rise_m_per_h, excluded.fit,
     excluded.next_level, excluded.hours_to_next)
"""
CLOSE = """
update rollup.finding set until = greatest(since, %s) where device = %s and detector = %s and metric = %s
and until is null
"""
OPEN = """
insert into rollup.finding (device, detector, metric, since, found, score, value, expected)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
FORGET = "delete from rollup.river_state where not device = any(%s) returning device, as_of"


class Held(NamedTuple):
    """What is held of a gauge. `level`: -1 where nothing is known yet."""

    level: int
    since: datetime | None
    as_of: datetime | None
    seq: int


class Crossing(NamedTuple):
    """A level was reached or left."""

    at: datetime
    level: int
    water: float


NEW = Held(-1, None, None, 0)


class Rivers:
    """Index `rivers`."""

    name: ClassVar[str] = "rivers"
    finds: ClassVar[tuple[str, ...]] = (DETECTOR,)
    hears: ClassVar[str] = "water_level"

    def __init__(self) -> None:
        self._every, self._look, self._sooner = Every(ALL_EVERY), Every(LOOK_EVERY), Every(LOOK_SOONER)
        self._placed: dict[int, Placed] = {}
        self._newest = -1  # of all devices of the family, placed or not
        self._spoke: set[int] = set()
        self._all = True

    def hear(self, columns: Columns) -> None:
        """These gauges are read at the next chance."""
        devices = np.unique(columns.device).tolist()
        self._spoke.update(one for one in devices if one in self._placed or one > self._newest)

    def due(self, now: datetime) -> bool:
        """When a gauge has spoken, and four times a minute."""
        self._all |= self._every.passed(now)
        return self._all or bool(self._spoke)

    def make(self, connection: psycopg.Connection, now: datetime) -> None:
        """Take in what the gauges have said since."""
        spoke, self._spoke = self._spoke, set()
        every, self._all = self._all, False
        new = max(spoke, default=-1) > self._newest
        if self._look.passed(now) or (new and self._sooner.passed(now)):
            self._look_around(connection, now)
        states = {device: Held(*kept) for device, *kept in connection.execute(STATES)}
        for device in self._placed if every else spoke & self._placed.keys():
            take(connection, device, self._placed[device], states.get(device, NEW), now)

    def _look_around(self, connection: psycopg.Connection, now: datetime) -> None:
        self._placed, self._newest = gauges(connection, now)
        for device, as_of in connection.execute(FORGET, (list(self._placed),)).fetchall():
            connection.execute(CLOSE, (as_of, device, DETECTOR, METRIC))


def gauges(connection: psycopg.Connection, now: datetime) -> tuple[dict[int, Placed], int]:
    """Devices at stations, by registry id, and the highest id of the family. Raises TableRefused."""
    on, known, found, number = now.astimezone(LOCAL).date(), {}, {}, -1
    for number, device, name, area in connection.execute(GAUGES):
        province = PROVINCE.get(area, "")
        if province not in known:
            known[province] = Places(province, on)
        place = known[province].placed(device, name)
        if place is not None:
            found[number] = place
    return found, number


def take(connection: psycopg.Connection, device: int, place: Placed, before: Held, now: datetime) -> None:
    """Fold a gauge's new readings into its state; the trend is that of all of the last three hours."""
    known = now - FIRST if before.as_of is None else max(before.as_of, now - LONGEST)
    since = known - timedelta(seconds=WINDOW_S)
    rows = connection.execute(READINGS, (device, since, now + timedelta(minutes=5))).fetchall()
    fresh = [row for row in rows if before.as_of is None or (row[0], row[1]) > (before.as_of, before.seq)]
    if not fresh:
        return
    bounds = np.array([place.levels])
    crossings = folded_in(before.level, [(time, level + place.offset) for time, _, level in fresh], bounds)
    for crossing in crossings:
        tell(connection, device, crossing, place)
    level, begun = (crossings[-1].level, crossings[-1].at) if crossings else (before.level, before.since)
    newest, seq, water = fresh[-1]
    found = trend_of([(time, one) for time, _, one in rows if time > newest - timedelta(seconds=WINDOW_S)])
    now_at = np.array([water + place.offset])
    hours, next_one = hours_to_next(now_at, bounds, found)[0], int(next_level(now_at, bounds)[0])
    connection.execute(
        KEEP,
        (
            *(device, place.station, place.river, place.table, list(place.levels), level, begun),
            *(int(reached(now_at, bounds)[0]), float(now_at[0]), newest, seq),
            *(plain(found.slope[0]), plain(found.fit[0]), next_one or None, plain(hours)),
        ),
    )


def folded_in(level: int, readings: list[tuple[datetime, float]], bounds: Any) -> list[Crossing]:
    """What readings in order of time change, beginning at the level that is held (-1: none is known)."""
    found = []
    for time, water in readings:
        after = int(held(np.array([level]), np.array([water]), bounds)[0])
        if after != level:
            found.append(Crossing(time, after, water))
            level = after
    return found


def tell(connection: psycopg.Connection, device: int, crossing: Crossing, place: Placed) -> None:
    """Close what was found and open what is: each stay at a level is a finding."""
    connection.execute(CLOSE, (crossing.at, device, DETECTOR, METRIC))
    if crossing.level > 0:
        score, height = crossing.level / LEVELS, plain(place.levels[crossing.level - 1])
        told = (device, DETECTOR, METRIC, crossing.at, crossing.at, score, crossing.water, height)
        connection.execute(OPEN, told)


def trend_of(readings: list[tuple[datetime, float]]) -> Trend:
    """Of one gauge, from a point in five minutes at most."""
    kept: list[tuple[datetime, float]] = []
    for time, level in readings:
        if not kept or time - kept[-1][0] >= timedelta(minutes=4, seconds=50):
            kept.append((time, level))
    return trend(
        np.array([[time.timestamp() for time, _ in kept]]).reshape(1, -1),
        np.array([[level for _, level in kept]], np.float64).reshape(1, -1),
    )


def plain(value: float) -> float | None:
    """As the database knows it."""
    return None if np.isnan(value) else float(value)


INDICES = (Rivers,)
