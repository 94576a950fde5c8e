"""The air index of the newest hour → one alarm per district, of the band of its worst device."""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from analytics.alarms.matching import code, within
from analytics.alarms.record import Call, Record
from analytics.alarms.rules import FromAir

NEWEST = """
select (extract(epoch from m.until) * 1000000)::bigint from rollup.bulletin m
where m.name = 'air_hours' and m.family = 'air_quality' and m.width = '1h'
"""
HOUR = """
select x.area, x.device, x.vn_aqi from rollup.air_index_1h x join rollup.bulletin m
on m.name = 'air_hours' and m.family = 'air_quality' and m.width = '1h' and x.bucket = m.until - interval '1 hour'
where x.vn_aqi is not null and m.until > now() - interval '3 hours' order by x.area, x.device
"""
LASTING = "select area, (extract(epoch from last) * 1000000)::bigint from ops.alarm where cleared is null and rule = %s"


class Index(NamedTuple):
    """VN_AQI of a device in an hour."""

    area: int
    device: int
    value: float


def newest_hour(connection: psycopg.Connection) -> int | None:
    """The end of the newest hour that has indices, µs since 1970."""
    row = connection.execute(NEWEST).fetchone()
    return None if row is None else int(row[0])


def newest(connection: psycopg.Connection) -> list[Index]:
    """The indices of the newest hour, in order; none where it ended hours ago."""
    return [Index(*row) for row in connection.execute(HOUR)]


def judge(connection: psycopg.Connection, record: Record, rule: FromAir, end: int, found: Sequence[Index]) -> None:
    """What the hour that ended at `end` raises, and what is over with it."""
    lasting: dict[int, int] = dict(connection.execute(LASTING, (rule.name,)).fetchall())
    record.call(calls(rule, found, end))
    good = over(rule, found)
    record.clear([(key_of(rule, area), max(end, last)) for area, last in lasting.items() if area in good])


def calls(rule: FromAir, found: Sequence[Index], end: int) -> list[Call]:
    """Districts whose worst device is in a band."""
    made = []
    for area in sorted({one.area for one in found}):
        here = [one for one in found if one.area == area]
        worst = max(one.value for one in here)
        band = next((band for band in reversed(rule.bands) if worst >= band.least), None)
        if band is not None and (not rule.areas or code(area) in rule.areas):
            title = within(rule.title, area)
            members = [one.device for one in here if one.value >= rule.bands[0].least]
            where = (None, area, "air_quality", end, worst)
            said = (f"{title.vi} (VN_AQI {worst:.0f})", f"{title.en} (VN_AQI {worst:.0f})", rule.cool_down_s, members)
            made.append(Call(key_of(rule, area), rule.kind, band.severity, rule.name, *where, *said))
    return made


def over(rule: FromAir, found: Sequence[Index]) -> set[int]:
    """Districts in which all are clearly below the lowest band. Where nothing is known, nothing is over."""
    limit = rule.bands[0].least - rule.margin
    return {one.area for one in found} - {one.area for one in found if one.value >= limit}


def key_of(rule: FromAir, area: int) -> str:
    """One per district."""
    return f"{rule.kind}:{code(area)}"
