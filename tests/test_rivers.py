"""Rivers: classes as bulletins give them, levels held over gaps and waves, trends, and all that on a real database."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import tables
from analytics.bulletins.river import Rivers, folded_in
from analytics.columns import Columns
from analytics.indices.river import HYSTERESIS_M, Trend, held, hours_to_next, next_level, reached, trend
from analytics.indices.stations import Places, folded, heights
from devices.family import FAMILIES
from tests.computed import computed, refused
from tests.stack import RunningStack

Connection = psycopg.Connection[Any]
BOUNDS = np.array([4.3, 5.3, 6.3])
FEW = settings(max_examples=60, deadline=None)
levels = st.floats(0, 8).map(lambda level: round(level, 2))


@pytest.fixture(autouse=True)
def _those_that_come_along() -> Iterator[None]:
    tables.use(None)
    yield
    tables.use(None)


def one(function: Any, level: float, bounds: Any = BOUNDS) -> int:
    return int(function(np.array([level]), bounds)[0])


@pytest.mark.parametrize(
    ("level", "wanted"),
    [(0, 0), (4.29, 0), (4.3, 1), (5.29, 1), (5.3, 2), (6.29, 2), (6.3, 3), (7.6, 3), (math.nan, -1)],
)
def test_at_a_level_is_above_it(level: float, wanted: int) -> None:
    assert one(reached, level) == wanted


@FEW
@given(st.lists(levels, min_size=1, max_size=60))
def test_a_level_is_held_until_the_water_is_clearly_below_it(series: list[float]) -> None:
    level = -1
    for water in series:
        before, level = level, int(held(np.array([level]), np.array([water]), BOUNDS)[0])
        assert level >= one(reached, water), "up at once"
        if before > level:
            assert water < BOUNDS[before - 1] - HYSTERESIS_M + 1e-9
        if level > one(reached, water):
            assert water >= BOUNDS[level - 1] - HYSTERESIS_M - 1e-9


def test_waves_of_a_few_centimetres_do_not_ring_the_bell_again() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    waves = [4.28, 4.31, 4.27, 4.32, 4.26, 4.30, 4.24]
    told = folded_in(-1, [(start + timedelta(minutes=5 * n), water) for n, water in enumerate(waves)], BOUNDS)
    assert [(one.level, one.water) for one in told] == [(0, 4.28), (1, 4.31), (0, 4.24)]


def test_a_missing_reading_changes_nothing() -> None:
    assert held(np.array([2]), np.array([math.nan]), BOUNDS)[0] == 2


@FEW
@given(levels, st.floats(0, 3))
def test_the_class_never_falls_while_the_water_rises(level: float, more: float) -> None:
    assert one(reached, level + more) >= one(reached, level)


def test_the_trend_is_that_of_the_river_not_of_three_wild_readings() -> None:
    time = np.arange(37) * 300.0
    level = 4.0 + 0.2 * time / 3600
    wild = level.copy()
    wild[[3, 17, 30]] = [9.0, 0.0, -5.0]
    found = trend(np.tile(time, (2, 1)), np.stack([level, wild]))
    assert found.slope == pytest.approx([0.2, 0.2], abs=1e-9)
    assert found.fit[0] == pytest.approx(1)
    assert found.fit[1] < 0.8


@pytest.mark.parametrize(("points", "step"), [(3, 3600), (12, 240), (0, 1)])
def test_too_few_readings_are_no_trend(points: int, step: int) -> None:
    time = np.arange(points, dtype=float)[None] * step
    assert np.isnan(trend(time, time * 0.001).slope).all()


@FEW
@given(st.floats(-0.5, 0.5), st.floats(0, 9), st.integers(4, 36))
def test_a_straight_line_is_found(slope: float, level: float, points: int) -> None:
    time = np.linspace(0, 3 * 3600, points)[None]
    found = trend(time, level + slope * time / 3600)
    assert found.slope[0] == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize(
    ("level", "slope", "fit", "wanted"),
    [
        (4.0, 0.1, 0.9, 3.0),
        (4.0, 0.03, 0.9, math.nan),
        (4.0, 0.1, 0.79, math.nan),
        (6.3, 0.1, 0.9, math.nan),
        (5.0, 0.3, 1.0, 1.0),
        (1.0, 0.031, 1.0, math.nan),  # more than three days ahead nobody can say
        (4.0, math.nan, math.nan, math.nan),
    ],
)
def test_hours_are_told_only_of_a_clear_rise(level: float, slope: float, fit: float, wanted: float) -> None:
    found = hours_to_next(np.array([level]), BOUNDS, Trend(np.array([slope]), np.array([fit])))[0]
    assert found == pytest.approx(wanted, nan_ok=True)


def test_the_next_level_is_the_lowest_above_that_is_known() -> None:
    only_third = np.array([math.nan, math.nan, 27.0])
    assert [one(next_level, level) for level in (4.0, 4.3, 5.3, 6.3)] == [1, 2, 3, 0]
    assert one(next_level, 20.0, only_third) == 3


@pytest.mark.parametrize("name", ["Phủ Lạng Thương", "phu lang thuong", "Phu-Lang-Thuong", "Trạm Phủ Lạng Thương"])
def test_a_station_is_found_however_it_is_spelt(name: str) -> None:
    assert folded(name) == "phulangthuong"


def test_every_bulletin_case_by_its_offset(tmp_path: Path) -> None:
    places = Places("bac-giang", datetime.now(UTC).date())
    rows, wanted = ["station,level_m"], []
    for station in places.levels.held.stations:
        for number, height in enumerate(heights(station.levels_m), 1):
            if not math.isnan(height):
                rows += [f"{station.station},{height + 0.3:.2f}", f"{station.station},{height:.2f}"]
                wanted += [(number, 0.3), (number, 0.0)]
    found = computed("river", "\n".join(rows), tmp_path)
    assert [(row["alarm_level"], row["offset_m"]) for row in found] == wanted
    assert [row["class"] for row in found[:6]] == ["above I"] * 2 + ["above II"] * 2 + ["above III"] * 2


def test_published_cases(tmp_path: Path) -> None:
    text = """
    station,level_m
    Gia Bay,28.19
    Huu Lung,20.97
    Phu Lang Thuong,7.60
    Dap Cau,4.25
    Gia Bay,26.5
    Luc Nam,
    """
    found = computed("river", "\n".join(line.strip() for line in text.strip().splitlines()), tmp_path)
    assert [(row["class"], row["offset_m"]) for row in found] == [
        ("above III", 1.19),
        ("above III", 1.97),
        ("above III", 1.3),
        ("below I", -0.05),
        ("unknown", -0.5),  # its lower levels are in no source
        ("unknown", None),
    ]


def test_the_reference_levels(shared: Path) -> None:
    import csv

    places = Places("bac-giang", datetime.now(UTC).date())
    for row in csv.DictReader((shared / "reference/flood_levels/alarm_levels_m.csv").read_text().splitlines()):
        station = places.station(row["station"])
        assert station is not None
        wanted = [float(row[f"bd{n}_m"]) if row[f"bd{n}_m"] else None for n in (1, 2, 3)]
        assert station.levels_m == wanted, row["station"]


def test_what_cannot_be_classed_is_told(tmp_path: Path) -> None:
    assert "station 'Nowhere' is not in the table bulletins-2025" in refused(
        "river", "station,level_m\nNowhere,1", tmp_path
    )
    assert "line 2, level_m: 'high' is no number" in refused("river", "station,level_m\nDap Cau,high", tmp_path)


@pytest.fixture(scope="module")
def url(stack: RunningStack) -> Iterator[str]:
    """A database of its own."""
    with stack.database() as url:
        yield url


START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A gauge that bears a station's name, one that a table places, and one that stands nowhere."""
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute(
            "truncate rollup.river_state, rollup.finding; delete from reading.water_level; delete from registry.device"
        )
        for device, name, area in (
            ("gauge-1", "Trạm Lục Nam", 218),
            ("wl-223-000001", "x", 223),
            ("lake-1", None, 213),
        ):
            opened.execute(
                "insert into registry.device (device, name, profile, area) select %s, %s, id, %s from registry.profile "
                "where profile = 'native-water-level'",
                (device, name, area),
            )
        yield opened


def told(connection: Connection, device: str, *waters: float, since: datetime = START, seq: int = 0) -> datetime:
    """Readings five minutes apart; the moment after the last."""
    for place, water in enumerate(waters):
        connection.execute(
            "insert into reading.water_level (time, seq, received, batch, device, area, water_level) "
            "select %s, %s, now(), 1, id, area, %s from registry.device where device = %s",
            (since + timedelta(minutes=5 * place), seq + place, water, device),
        )
    return since + timedelta(minutes=5 * len(waters))


def made(connection: Connection, now: datetime) -> None:
    with connection.transaction():
        connection.execute("set local role dothi_analyst")
        Rivers().make(connection, now)


def state(connection: Connection, device: str, *columns: str) -> tuple[Any, ...]:
    """Columns of the view, as the reader sees them."""
    with connection.transaction():
        connection.execute("set local role dothi_reader")
        row = connection.execute(
            f"select {', '.join(columns)} from city.river_state where device = %s".encode(), (device,)
        ).fetchone()
        assert row is not None
        return row


def findings(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select since, until, score::float8, value, expected from rollup.finding order by since"
    ).fetchall()


def test_a_river_that_rises_is_told_with_what_comes_next(connection: Connection) -> None:
    now = told(connection, "gauge-1", *(4.0 + 0.02 * n for n in range(40)))
    made(connection, now)
    row = state(
        connection, "gauge-1", "station", "level", "class", "rise_m_per_h", "next_level", "hours_to_next", "set"
    )
    # The readings are old: what they foretold is not shown as of today, their level is.
    assert row == ("Lục Nam", 1, "above I", None, 2, None, "bulletins-2025")
    kept = connection.execute("select rise_m_per_h, hours_to_next from rollup.river_state").fetchone()
    assert kept == (pytest.approx(0.24), pytest.approx((5.3 - 4.78) / 0.24))
    assert state(connection, "gauge-1", "stale", "level_1_m") == (True, 4.3)
    with pytest.raises(AssertionError):
        state(connection, "lake-1", "level")


def test_fresh_readings_are_not_stale(connection: Connection) -> None:
    since = datetime.now(UTC) - timedelta(hours=3)
    now = told(connection, "wl-223-000001", *(5.0 + 0.02 * n for n in range(36)), since=since)
    made(connection, now)
    row = state(connection, "wl-223-000001", "station", "stale", "next_level", "rise_m_per_h", "hours_to_next")
    assert row == ("Phúc Lộc Phương", False, 1, pytest.approx(0.24), pytest.approx((6.0 - 5.7) / 0.24))


def test_a_gap_is_not_an_all_clear(connection: Connection) -> None:
    now = told(connection, "gauge-1", 5.0, 5.4, 5.5)
    made(connection, now)
    before = state(connection, "gauge-1", "level", "since", "as_of")
    assert before == (2, START + timedelta(minutes=5), START + timedelta(minutes=10))
    for hours in (1, 12, 100, 1000):
        made(connection, now + timedelta(hours=hours))
        assert state(connection, "gauge-1", "level", "since", "as_of") == before
    assert [row[1] for row in findings(connection)] == [START + timedelta(minutes=5), None]
    back = told(connection, "gauge-1", 4.0, since=now + timedelta(hours=50), seq=50)
    made(connection, back)
    assert state(connection, "gauge-1", "level")[0] == 0
    assert [row[1] for row in findings(connection)][-1] == now + timedelta(hours=50)


def test_each_stay_at_a_level_is_a_finding(connection: Connection) -> None:
    told(connection, "gauge-1", 4.0, 4.4, 4.2, 5.3, 5.27, 6.4, 4.26, 4.0)
    made(connection, START + timedelta(hours=1))
    at = [START + timedelta(minutes=5 * n) for n in range(8)]
    assert findings(connection) == [
        (at[1], at[2], pytest.approx(1 / 3), 4.4, 4.3),
        (at[3], at[5], pytest.approx(2 / 3), 5.3, 5.3),
        (at[5], at[6], 1.0, 6.4, 6.3),
        (at[6], at[7], pytest.approx(1 / 3), 4.26, 4.3),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_how_often_one_looks_makes_no_difference(connection: Connection, seed: int) -> None:
    random = np.random.default_rng(seed)
    waters = np.round(5 + np.cumsum(random.normal(0, 0.2, 60)), 2).tolist()
    end = told(connection, "gauge-1", *waters)
    made(connection, end)
    once = (findings(connection), state(connection, "gauge-1", "level", "since", "as_of", "class", "fit"))
    connection.execute("truncate rollup.river_state, rollup.finding; delete from reading.water_level")
    for place, water in enumerate(waters):
        told(connection, "gauge-1", water, since=START + timedelta(minutes=5 * place), seq=place)
        if random.random() < 0.3:
            made(connection, START + timedelta(minutes=5 * place, seconds=30))
    made(connection, end)
    made(connection, end)
    assert (findings(connection), state(connection, "gauge-1", "level", "since", "as_of", "class", "fit")) == once


def test_a_late_reading_counts_for_the_trend_and_not_for_the_level(connection: Connection) -> None:
    now = told(connection, "gauge-1", *(4.0 + 0.005 * n for n in range(20)))
    made(connection, now)
    told(connection, "gauge-1", 6.5, since=START + timedelta(minutes=7), seq=99)
    made(connection, now)
    assert state(connection, "gauge-1", "level", "water_level") == (0, pytest.approx(4.095))
    assert findings(connection) == []


def test_a_gauge_that_goes_takes_its_state_along(connection: Connection) -> None:
    now = told(connection, "gauge-1", 6.0)
    made(connection, now)
    connection.execute("update registry.device set state = 'retired' where device = 'gauge-1'")
    made(connection, now + timedelta(minutes=1))
    assert connection.execute("select count(*) from rollup.river_state").fetchone() == (0,)
    assert findings(connection)[0][1] == START


def test_a_table_of_ones_own_places_gauges(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "river-gauges-rehearsal.yaml").write_text(
        "table: river_gauges\nprovince: any\nvalid_from: 2020-01-01\nsource: ours\nread: original\nset: ours\n"
        "values:\n  gauges:\n    - {device: lake-*, station: Đáp Cầu, offset_m: 1.5}\n"
    )
    tables.use(tmp_path)
    made(connection, told(connection, "lake-1", 3.0))
    row = state(connection, "lake-1", "station", "level", "water_level", "class_vi")
    assert row == ("Đáp Cầu", 1, 4.5, "trên báo động I")


def heard(connection: Connection, *devices: str) -> Columns:
    """Readings of these, as a round gives them to an index."""
    rows = connection.execute("select id from registry.device where device = any(%s)", (list(devices),)).fetchall()
    ids = np.array([number for (number,) in rows], np.int64)
    return Columns(FAMILIES["water_level"], ids, ids * 0, ids * 0, ids * 0, ids * 0, np.zeros((len(ids), 1)))


def test_a_gauge_that_speaks_is_read_at_once_and_others_wait(connection: Connection) -> None:
    rivers, now = Rivers(), START
    assert rivers.due(now), "all are read at the start"
    rivers.make(connection, now)
    assert not rivers.due(now + timedelta(seconds=1))
    told(connection, "gauge-1", 4.4)
    told(connection, "wl-223-000001", 6.5)
    rivers.hear(heard(connection, "lake-1"))
    assert not rivers.due(now + timedelta(seconds=2)), "it is no gauge of a station"
    rivers.hear(heard(connection, "gauge-1"))
    assert rivers.due(now + timedelta(seconds=3))
    rivers.make(connection, now + timedelta(seconds=3))
    assert [row[3] for row in findings(connection)] == [4.4]
    assert not rivers.due(now + timedelta(seconds=4))
    assert rivers.due(now + timedelta(seconds=15)), "whoever was missed is made up for"
    rivers.make(connection, now + timedelta(seconds=15))
    assert sorted(row[3] for row in findings(connection)) == [4.4, 6.5]


def test_a_gauge_that_is_new_is_noticed_when_it_speaks(connection: Connection) -> None:
    rivers, now = Rivers(), START
    rivers.make(connection, now)
    connection.execute(
        "insert into registry.device (device, profile, area) select 'wl-218-000002', id, 218 from registry.profile "
        "where profile = 'native-water-level'"
    )
    told(connection, "wl-218-000002", 5.0)
    rivers.hear(heard(connection, "wl-218-000002"))
    assert rivers.due(now + timedelta(seconds=11))
    rivers.make(connection, now + timedelta(seconds=11))
    assert [row[3] for row in findings(connection)] == [5.0]
