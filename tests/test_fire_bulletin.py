"""The daily bulletin of fire danger on a real database: each day goes on from the one before, late hours correct it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from analytics.bulletins.fire_danger import FireDanger, begin, next_day
from analytics.bulletins.fire_weather import LOCAL, at_13, days_touched
from analytics.indices.fire_evidence import KIND
from analytics.indices.fire_weather import Noon
from devices.area import ZONES
from tests.stack import RunningStack

Connection = psycopg.Connection[Any]
FIRST = date(2026, 3, 1)
SOUTH, NORTH, SILENT = 220, 215, 219


@pytest.fixture(scope="module")
def url(stack: RunningStack) -> Iterator[str]:
    """A database of its own."""
    with stack.database() as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """An empty world of weather stations, as its owner: two in each of two districts, one in a third that is silent."""
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute(
            "truncate rollup.fire_danger; delete from rollup.weather_1h; delete from rollup.rain_1h; "
            "delete from rollup.bulletin; delete from rollup.remade; delete from registry.device"
        )
        for area, number in ((SOUTH, 1), (SOUTH, 2), (NORTH, 1), (NORTH, 2), (SILENT, 1)):
            opened.execute(
                "insert into registry.device (device, profile, area) select %s, id, %s from registry.profile "
                "where profile = 'native-weather'",
                (f"we-{area}-{number}", area),
            )
        close(opened, FIRST)
        yield opened


def close(connection: Connection, on: date) -> None:
    """All hours up to 14:00 of a day are closed."""
    connection.execute("update rollup.closed set until = %s where width = '1h'", (at_13(on) + timedelta(hours=1),))


def hours(connection: Connection, device: str, on: date, t: float, h: float, w: float, rain: float) -> None:
    """The 24 hours up to 14:00 of a day as rollups keep them; `rain`: mm of the 24 up to 13:00. Night is at 0 Cel."""
    connection.execute(
        "insert into rollup.weather_1h (bucket, device, area, n, temperature_sum, temperature_n, "
        "relative_humidity_sum, relative_humidity_n, wind_speed_sum, wind_speed_n, precipitation_sum, precipitation_n) "
        "select %s + g * interval '1 h', id, area, 2, 2 * %s::float8 * noon, 2, 2 * %s::float8 * noon, 2, "
        "2 * %s::float8 * noon, 2, 2 * %s::float8, 2 from registry.device, generate_series(-24, 0) g, "
        "lateral (select (g >= -1)::int as noon) x where device = %s on conflict do nothing",
        (at_13(on), t, h, w, rain / 24, device),
    )


def days(connection: Connection, number: int) -> None:
    """Fine days in both districts, and then they are closed."""
    for on in span(number):
        for device in ("we-220-1", "we-220-2", "we-215-1", "we-215-2"):
            hours(connection, device, on, 28.0 + on.day, 0.55, 2.0, 0.0)
    close(connection, FIRST + timedelta(days=number - 1))


def span(number: int) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(number)]


def made(connection: Connection, index: FireDanger | None = None) -> None:
    """The index is made as the analyst does, until nothing waits."""
    index = index or FireDanger()
    more = True
    while more:
        with connection.transaction():
            connection.execute("set local role dothi_analyst")
            more = index.make(connection, datetime.now(UTC))


def shown(connection: Connection, area: str, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of the view, day by day, as the reader sees them."""
    with connection.transaction():
        connection.execute("set local role dothi_reader")
        return connection.execute(
            f"select {', '.join(columns)} from city.fire_danger where area = %s order by day".encode(), (area,)
        ).fetchall()


def test_days_go_on_from_each_other_as_the_formulas_say(connection: Connection) -> None:
    days(connection, 6)
    made(connection)
    carry, wanted = begin(1), []
    latitude = np.array([next(zone.lat for zone in ZONES if zone.id == SOUTH)])
    for on in span(6):
        noon = Noon(*(np.array([value]) for value in (28.0 + on.day, 55.0, 7.2, 0.0)))
        one = next_day(carry, noon, on.month, latitude, np.array([5.0]))
        carry = one.carry
        wanted.append((on, *(float(c[0]) for c in (*carry.codes, carry.p)), pytest.approx(float(one.fwi[0]), rel=1e-5)))
    for row, expected in zip(shown(connection, "220", "day", "ffmc", "dmc", "dc", "p", "fwi"), wanted, strict=True):
        assert row[0] == expected[0]
        assert row[1:5] == pytest.approx(expected[1:5], rel=1e-9)
        assert row[5] == expected[5]
    marks = shown(connection, "220", "source", "complete", "stations", "days", "set", "t13", "rh13", "wind", "rain_24h")
    assert marks[0] == ("measured", 1.0, 2, 1, "textbook", 29.0, pytest.approx(0.55), 2.0, 0.0)
    assert shown(connection, "219", "day") == [], "a district whose station never spoke has no bulletin"
    words = shown(connection, "220", "level", "level_name", "level_name_en", "colour", "stands_in_for")[-1]
    assert words[:3] == (3, "Cao", "High")
    assert "66/2021" in words[4]


def test_made_once_more_is_the_same(connection: Connection) -> None:
    days(connection, 4)
    index = FireDanger()
    made(connection, index)
    before = shown(connection, "215", "*")
    made(connection, index)
    connection.execute("delete from rollup.bulletin")
    made(connection)
    assert shown(connection, "215", "*") == before


def test_a_day_at_a_time_is_the_same_as_all_at_once(connection: Connection) -> None:
    days(connection, 5)
    for on in span(5):
        close(connection, on)
        made(connection)
    slowly = shown(connection, "220", "*")
    connection.execute("truncate rollup.fire_danger; delete from rollup.bulletin")
    made(connection)
    assert slowly == shown(connection, "220", "*")


def test_silence_is_carried_over_with_a_mark_and_is_neither_rain_nor_drought(connection: Connection) -> None:
    days(connection, 5)
    gone = span(5)[2]
    connection.execute(
        "delete from rollup.weather_1h where area = %s and bucket >= %s and bucket < %s",
        (SOUTH, at_13(gone) - timedelta(hours=1), at_13(gone) + timedelta(hours=1)),
    )
    made(connection)
    rows = shown(connection, "220", "source", "complete", "p", "dc", "ffmc", "t13")
    assert [row[0] for row in rows] == ["measured", "measured", "carried", "measured", "measured"]
    assert rows[2][1] == 0
    assert rows[2][2:5] == rows[1][2:5]
    assert rows[2][5] is None
    assert rows[3][2] > rows[2][2]
    assert {row[0] for row in shown(connection, "215", "source")} == {"measured"}


def test_one_station_of_two_is_half(connection: Connection) -> None:
    days(connection, 2)
    connection.execute(
        "delete from rollup.weather_1h where device = (select id from registry.device where device = 'we-220-1')"
    )
    made(connection)
    assert shown(connection, "220", "source", "complete", "stations")[0] == ("measured", 0.5, 1)


def test_the_median_leaves_a_broken_station_out(connection: Connection) -> None:
    connection.execute("update registry.device set area = 220 where device = 'we-219-1'")
    days(connection, 1)
    hours(connection, "we-219-1", FIRST, -39.0, 1.0, 60.0, 500.0)
    made(connection)
    assert shown(connection, "220", "t13", "rain_24h", "stations") == [(29.0, 0.0, 3)]


def test_rain_that_comes_late_corrects_that_day_and_all_after_it(connection: Connection) -> None:
    days(connection, 6)
    index = FireDanger()
    made(connection, index)
    before = shown(connection, "220", "day", "p", "dc", "rain_24h")
    wet = at_13(FIRST) + timedelta(days=2, hours=3)  # after 13:00 of the third day: rain of the fourth
    connection.execute(
        "update rollup.weather_1h set precipitation_sum = 2 * 30 where area = 220 and bucket = %s", (wet,)
    )
    connection.execute("insert into rollup.remade (family, width, bucket) values ('weather', '1h', %s)", (wet,))
    made(connection, index)
    after = shown(connection, "220", "day", "p", "dc", "rain_24h")
    assert after[:3] == before[:3]
    assert after[3][1] == 0
    assert after[3][3] == pytest.approx(30)
    assert all(new[2] < old[2] for new, old in zip(after[3:], before[3:], strict=True))
    assert after[5][1] == pytest.approx(before[5][1] - before[3][1])


def test_gauges_of_rain_count_before_weather_stations(connection: Connection) -> None:
    days(connection, 1)
    connection.execute(
        "insert into registry.device (device, profile, area) select 'ra-220-1', id, 220 from registry.profile "
        "where profile = 'native-rain'"
    )
    connection.execute(
        "insert into rollup.rain_1h (bucket, device, area, n, rain_total_increase, rain_total_n, precipitation_sum, "
        "precipitation_n) select %s - g * interval '1 h', id, area, 12, 0.5, 12, 77, 12 from registry.device, "
        "generate_series(1, 24) g where device = 'ra-220-1'",
        (at_13(FIRST),),
    )
    made(connection)
    assert shown(connection, "220", "rain_24h", "p") == [(12.0, 0.0)]
    assert shown(connection, "215", "rain_24h") == [(0.0,)]


def test_rain_of_a_few_hours_is_not_that_of_a_day(connection: Connection) -> None:
    days(connection, 2)
    connection.execute(
        "update rollup.weather_1h set precipitation_sum = null, precipitation_n = null where area = 220 "
        "and bucket >= %s and bucket < %s",
        (at_13(FIRST), at_13(FIRST) + timedelta(hours=10)),
    )
    made(connection)
    assert [row[0] for row in shown(connection, "220", "source")] == ["measured", "carried"]


def test_hours_belong_to_the_days_whose_weather_they_are() -> None:
    noon = datetime(2026, 3, 5, 12, tzinfo=LOCAL)
    third, fifth, sixth = date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)
    assert days_touched(noon) == {fifth}
    assert days_touched(noon + timedelta(hours=1)) == {fifth, sixth}
    assert days_touched(noon + timedelta(hours=2)) == {sixth}
    assert days_touched(noon - timedelta(hours=23)) == {third, fifth}
    assert days_touched(noon - timedelta(hours=12)) == {fifth}


def test_evidence_is_shown_with_its_kind_and_place(connection: Connection) -> None:
    connection.execute("truncate rollup.finding; delete from reading.fire_watch")
    connection.execute(
        "insert into registry.device (device, profile, area, lat, lon) select 'fw-220-1', id, 220, 21.3, 106.8 "
        "from registry.profile where profile = 'native-fire-watch'"
    )
    at = datetime(2026, 3, 1, 5, tzinfo=UTC)
    connection.execute(
        "insert into reading.fire_watch (time, seq, received, batch, device, area, latitude, longitude) "
        "select %s, 1, now(), 1, id, area, 21.35, 106.85 from registry.device where device = 'fw-220-1'",
        (at,),
    )
    for place, detector in enumerate([*KIND, "stuck"]):
        connection.execute(
            "insert into rollup.finding (device, detector, metric, since, found, score) "
            "select id, %s, '', %s, %s, 1 from registry.device where device = 'fw-220-1'",
            (detector, at, at + timedelta(minutes=place)),
        )
    with connection.transaction():
        connection.execute("set local role dothi_reader")
        rows = connection.execute(
            "select detector, kind, lat, lon, area from city.fire_evidence order by found"
        ).fetchall()
    assert {detector: kind for detector, kind, *_ in rows} == KIND
    assert rows[0][2:] == (21.35, 106.85, "220"), "the place that it told with that reading"
    assert rows[1][2:] == (21.3, 106.8, "220"), "its own"
