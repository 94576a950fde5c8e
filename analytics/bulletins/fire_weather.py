"""Weather of districts at 13:00, as fire danger asks for it, from the hourly rollups of their stations."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg

Floats = npt.NDArray[np.float64]
LOCAL = timezone(timedelta(hours=7))
RAIN_HOURS = 18
"""Of the 24 hours a gauge must tell so many, else it counts as one that does not know."""

# The two hours around 13:00; the median of stations, so that a broken one does not decide.
NOON = """
select day, area, percentile_cont(0.5) within group (order by t), percentile_cont(0.5) within group (order by h),
       percentile_cont(0.5) within group (order by w), count(t)
from (select (bucket at time zone 'Asia/Ho_Chi_Minh')::date as day, area, device,
             sum(temperature_sum) / sum(temperature_n) as t,
             sum(relative_humidity_sum) / sum(relative_humidity_n) as h, sum(wind_speed_sum) / sum(wind_speed_n) as w
      from rollup.weather_1h
      where bucket >= %s and bucket < %s and extract(hour from bucket at time zone 'Asia/Ho_Chi_Minh') in (12, 13)
      group by 1, 2, 3) x
group by day, area
"""
# The 24 hours up to 13:00. A rain gauge counts, or tells what fell in each period; a weather station tells mm/h.
RAIN = """
select day, area, coalesce(percentile_cont(0.5) within group (order by mm) filter (where gauge),
                           percentile_cont(0.5) within group (order by mm))
from (select ((bucket at time zone 'Asia/Ho_Chi_Minh') + interval '11 h')::date as day, area, device, true as gauge,
             coalesce(sum(rain_total_increase), sum(precipitation_sum)) as mm
      from rollup.rain_1h where bucket >= %(from)s and bucket < %(to)s group by 1, 2, 3
      having count(coalesce(rain_total_n, precipitation_n)) >= %(hours)s
      union all
      select ((bucket at time zone 'Asia/Ho_Chi_Minh') + interval '11 h')::date, area, device, false,
             sum(precipitation_sum / precipitation_n)
      from rollup.weather_1h where bucket >= %(from)s and bucket < %(to)s group by 1, 2, 3
      having count(precipitation_n) >= %(hours)s) x
group by day, area
"""


TOLD = """
select day, area, t13, rh13, wind, rain_24h, stations from rollup.fire_danger
where day >= %s and day <= %s and area = any(%s) and day <> all(%s)
"""


class Weather(NamedTuple):
    """Days × areas: `temperature` Cel, `humidity` 0–1, `wind` m/s, `rain` mm, NaN where unknown; `stations` that told
    the first."""

    temperature: Floats
    humidity: Floats
    wind: Floats
    rain: Floats
    stations: npt.NDArray[np.int64]


def at_13(day: date) -> datetime:
    """The moment."""
    return datetime(day.year, day.month, day.day, 13, tzinfo=LOCAL)


def days_touched(bucket: datetime) -> set[date]:
    """The local days of whose weather an hour is part: the two around 13:00 belong to their day, and so does the rain
    up to 13:00; what falls later is the next day's."""
    local = bucket.astimezone(LOCAL)
    rain_of = (local + timedelta(hours=11)).date()
    return {rain_of, local.date()} if local.hour == 13 else {rain_of}


def weather(connection: psycopg.Connection, days: list[date], areas: list[int], anew: set[date]) -> Weather:
    """The weather of consecutive days: of those in `anew` from the closed hours, of the others as their bulletins have
    it; a day without bulletins is made anew, too."""
    shape = (len(days), len(areas))
    temperature, humidity, wind, rain = (np.full(shape, np.nan) for _ in range(4))
    found = Weather(temperature, humidity, wind, rain, np.zeros(shape, np.int64))
    row = {day: place for place, day in enumerate(days)}
    column = {area: place for place, area in enumerate(areas)}
    known = set()
    for day, area, *values in connection.execute(TOLD, (days[0], days[-1], areas, list(anew))):
        known.add(day)
        put(found, (row[day], column[area]), values)
    for day in days:
        if day not in known:
            hours(connection, day, row[day], column, found)
    return found


def hours(connection: psycopg.Connection, day: date, row: int, column: dict[int, int], found: Weather) -> None:
    """One day from the rollups; a statement for each, since there may be tens of thousands of stations."""
    noon = at_13(day)
    rain = {"from": noon - timedelta(days=1), "to": noon, "hours": RAIN_HOURS}
    fell: dict[int, float | None] = {area: mm for _, area, mm in connection.execute(RAIN, rain)}
    for area, mm in fell.items():
        if area in column and mm is not None:
            found.rain[row, column[area]] = mm
    for _, area, t, h, w, stations in connection.execute(NOON, (noon - timedelta(hours=1), noon + timedelta(hours=1))):
        if area in column:
            put(found, (row, column[area]), (t, h, w, fell.get(area), stations))


def put(found: Weather, at: tuple[int, int], values: Sequence[float | None]) -> None:
    """One cell of all columns."""
    for table, value in zip(found, values, strict=True):
        table[at] = np.nan if value is None else value
