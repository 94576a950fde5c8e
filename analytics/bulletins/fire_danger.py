"""The daily bulletin of fire danger: each district's Canadian and Vietnamese indices at 13:00.

Every day goes on from the one before. Hours that close make the newest day, hours that were made anew the days from
theirs on. Where the weather is not known, moisture codes and P are carried over as they were, and the row says so.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg

from analytics import tables
from analytics.bulletins.bulletin import Every, fresh_buckets
from analytics.bulletins.fire_weather import LOCAL, Weather, days_touched, weather
from analytics.indices.angstrom import angstrom
from analytics.indices.danger import names_on
from analytics.indices.fire_weather import Codes, Noon, buildup, day, spread, weather_index
from analytics.indices.nesterov import Levels, level, next_p
from analytics.rollup.width import HOUR
from devices.area import ZONES

Floats = npt.NDArray[np.float64]
REACH = timedelta(days=45)
"""How far back the first bulletin begins, and the oldest hour that still corrects one."""
KM_PER_H = 3.6
FAMILIES = ("weather", "rain")

EXPECTED = """
select n.area, sum(n.devices)::integer from registry.device_count n join registry.profile p on p.id = n.profile
where p.family = 'weather' and n.state in ('enrolled', 'active') group by n.area having sum(n.devices) > 0
"""
READY = "select until from rollup.closed where family = 'weather' and width = '1h'"
BEFORE = "select area, days, ffmc, dmc, dc, p, level from rollup.fire_danger where day = %s and area = any(%s)"
KEEP = """
insert into rollup.fire_danger values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                                       %s, %s, %s, %s, %s)
on conflict (area, day) do update set
    (stations, complete, source, days, t13, rh13, rain_24h, wind, ffmc, dmc, dc, isi, bui, fwi, dsr, p, angstrom, level,
     level_vi, level_en, colour, used_set, waits_for) =
    (excluded.stations, excluded.complete, excluded.source, excluded.days, excluded.t13, excluded.rh13,
     excluded.rain_24h, excluded.wind, excluded.ffmc, excluded.dmc, excluded.dc, excluded.isi, excluded.bui,
     excluded.fwi, excluded.dsr, excluded.p, excluded.angstrom, excluded.level, excluded.level_vi, excluded.level_en,
     excluded.colour, excluded.used_set, excluded.waits_for)
"""


class Carry(NamedTuple):
    """What one day leaves to the next, by area. `days`: since the codes began, 0: not yet."""

    codes: Codes
    p: Floats
    days: npt.NDArray[np.int64]


def begin(areas: int) -> Carry:
    """Nothing known yet: the codes' usual start, and P of a day with rain."""
    codes = Codes(*(np.full(areas, value) for value in (85.0, 6.0, 15.0)))
    return Carry(codes, np.zeros(areas), np.zeros(areas, np.int64))


class Made(NamedTuple):
    """A day: what it leaves, and by area what is shown. `known`: whether codes and P could be reckoned."""

    carry: Carry
    isi: Floats
    bui: Floats
    fwi: Floats
    dsr: Floats
    codes_known: npt.NDArray[np.bool_]
    p_known: npt.NDArray[np.bool_]


def next_day(before: Carry, noon: Noon, month: int, latitude: Floats, reset_mm: Floats) -> Made:
    """One day for all areas. What is not known is carried over, so that a silent station neither ends a drought nor
    makes one; the indices of spread and fire then are those of the codes without wind."""
    made = day(before.codes, noon, month, latitude)
    codes_known = ~np.isnan(sum(made.codes))
    codes = Codes(*(np.where(codes_known, new, old) for new, old in zip(made.codes, before.codes, strict=True)))
    p = next_p(before.p, noon.temperature, noon.humidity, noon.rain, reset_mm)
    p_known = ~np.isnan(p)
    bui = buildup(codes.dmc, codes.dc)
    isi = np.where(codes_known, made.isi, spread(codes.ffmc, np.nan_to_num(noon.wind)))
    fwi = weather_index(isi, bui)
    days = np.where((before.days > 0) | codes_known | p_known, before.days + 1, 0)
    carry = Carry(codes, np.where(p_known, p, before.p), days)
    return Made(carry, isi, bui, fwi, 0.0272 * fwi**1.77, codes_known, p_known)


class FireDanger:
    """Index `fire-danger`."""

    name: ClassVar[str] = "fire-danger"

    def __init__(self) -> None:
        self._every = Every(timedelta(minutes=5))

    def due(self, now: datetime) -> bool:
        """Now and then: readings that come late are corrected together."""
        return self._every.passed(now)

    def make(self, connection: psycopg.Connection, now: datetime) -> bool:
        """Make the days anew whose hours are new or changed, and all after them."""
        fresh = [fresh_buckets(connection, self.name, family, HOUR, REACH) for family in FAMILIES]
        ready = connection.execute(READY).fetchone()
        touched = {one for some in fresh for bucket in some.closed + some.remade for one in days_touched(bucket)}
        if ready is not None and touched:
            last = (ready[0].astimezone(LOCAL) - timedelta(hours=14)).date()
            bulletin(connection, touched, last)
        return any(some.more for some in fresh)


def bulletin(connection: psycopg.Connection, touched: set[date], last: date) -> None:
    """The days from the first that was touched to `last`."""
    expected: dict[int, int] = dict(connection.execute(EXPECTED).fetchall())
    zones = [zone for zone in ZONES if zone.id in expected]
    first = min(touched)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if not zones or not days:
        return
    areas = [zone.id for zone in zones]
    seen = weather(connection, days, areas, touched)
    carry = carried(connection, first - timedelta(days=1), areas)
    latitude = np.array([zone.lat for zone in zones])
    for row, on in enumerate(days):
        noon = Noon(seen.temperature[row], 100 * seen.humidity[row], KM_PER_H * seen.wind[row], seen.rain[row])
        rules = [rule_of(zone.province, zone.code, on) for zone in zones]
        reset = np.array([rule.reset_mm for rule in rules])
        made = next_day(carry, noon, on.month, latitude, reset)
        carry = made.carry
        rows = list(shown(on, areas, expected, seen, row, made, rules))
        if rows:
            connection.cursor().executemany(KEEP, rows)


class Ruled(NamedTuple):
    """The table that holds for a district on a day. `reset_mm`: its rain rule in that month."""

    reset_mm: float
    bounds: list[float]
    table: str
    waits_for: str


def rule_of(province: str, area: str, on: date) -> Ruled:
    """Raises TableRefused."""
    table = tables.load("fire_levels", province, on, Levels)
    zone = table.held.zone_of(area)
    return Ruled(zone.rain_mm[on.month - 1], zone.bounds_of(on.month), table.set, table.waits_for)


def carried(connection: psycopg.Connection, on: date, areas: list[int]) -> Carry:
    """What a day left."""
    carry = begin(len(areas))
    for area, days, ffmc, dmc, dc, p, _ in connection.execute(BEFORE, (on, areas)):
        at = areas.index(area)
        for array, value in zip((*carry.codes, carry.p, carry.days), (ffmc, dmc, dc, p, days), strict=True):
            array[at] = value
    return carry


def shown(
    on: date, areas: list[int], expected: dict[int, int], seen: Weather, row: int, made: Made, rules: list[Ruled]
) -> Iterator[tuple[Any, ...]]:
    """The rows of a day: districts whose danger has begun."""
    names = names_on(on)
    index = angstrom(seen.temperature[row], 100 * seen.humidity[row])
    for at, area in enumerate(areas):
        if not made.carry.days[at]:
            continue
        known = (bool(made.codes_known[at]), bool(made.p_known[at]))
        source = "measured" if all(known) else "partial" if any(known) else "carried"
        stations = int(seen.stations[row, at])
        number = int(level(made.carry.p[at], rules[at].bounds))
        measured = [table[row, at] for table in (seen.temperature, seen.humidity, seen.rain, seen.wind)]
        numbers = [column[at] for column in (*made.carry.codes, made.isi, made.bui, made.fwi, made.dsr, made.carry.p)]
        yield (
            *(on, area, stations, min(1.0, stations / expected[area]) if any(known) else 0.0, source),
            *(int(made.carry.days[at]), *(plain(value) for value in [*measured, *numbers, index[at]])),
            *(number + 1, names[number].vi, names[number].en, names[number].colour),
            *(rules[at].table, rules[at].waits_for),
        )


def plain(value: float) -> float | None:
    """As the database knows it."""
    return None if np.isnan(value) else float(value)


INDICES = (FireDanger,)
