"""The air index: to the digit of the decision's example and of the EPA's cases, its laws, and in the stream."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import tables
from analytics.bulletins.air import AirDays, AirHours
from analytics.bulletins.follower import Indices
from analytics.indices import us_aqi, vn_aqi
from analytics.indices.advice import Advice, advice_for
from analytics.indices.nowcast import nowcast
from analytics.indices.us_aqi import Gauge
from analytics.indices.vn_aqi import POLLUTANTS, Scale, half_up, sub_index
from devices.family import FAMILIES
from dothi.computing import kinds
from dothi.computing.kind import Options, Result
from dothi.computing.table import column_of, rows_in
from tests.rollup_world import LOCAL, Connections, Reading, World, midnight, owner_and_analyst
from tests.stack import RunningStack

DAY = date(2026, 1, 1)
SCALE = tables.load("vn_aqi", "bac-giang", DAY, Scale).held
GAUGES = tables.load("us_aqi", "bac-giang", DAY, dict[str, Gauge]).held
# Decision 1459/QD-TCMT, section 2.3: hourly PM2.5 from 09:00 to 20:00.
DUST = [26.9, 24.7, 20.5, 23.5, 19.5, 16.5, 19.0, 16.5, 20.3, 22.4, 19.6, 20.6]
GASES = tuple(name for name in SCALE.concentration if not name.startswith("pm"))
concentrations = st.floats(0, 10_000, allow_nan=False)
hours_of_dust = st.lists(st.none() | st.floats(0, 900), min_size=12, max_size=12)


def as_array(values: list[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """With NaN for None."""
    return np.array([np.nan if value is None else value for value in values])


def computed(name: str, text: str, **options: Any) -> list[Result]:
    """What a kind makes of a file."""
    kind = kinds()[name]
    head, lines = rows_in(text, "file")
    return kind.reckon(
        {column.name: column_of(column, head, lines, "file") for column in kind.columns}, Options(**options)
    )


def hourly_file(rows: dict[datetime, dict[str, Any]], names: tuple[str, ...] = ("pm25",)) -> str:
    """A file of hours."""
    target = io.StringIO()
    writer = csv.DictWriter(target, ("time", *names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({"time": f"{time:%Y-%m-%dT%H:%M}", **values} for time, values in rows.items())
    return target.getvalue()


def test_nowcast_of_the_decision() -> None:
    assert nowcast(DUST[::-1]) == pytest.approx(20.2658, abs=5e-5)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([40, 10], 30.0),  # 10 / 40 is below a half: weights 1 and 1/2
        ([40, None, 10, 10], (40 + 2.5 + 1.25) / 1.375),
        ([None, 40, 40], 40.0),
        ([40, None, None, 40], None),
        ([None, None, None, 5, 5, 5], None),
        ([0, 0, 0], 0.0),
        ([0, 8], 8 / 3),
        ([-1, 40, 40], 40.0),
    ],
)
def test_nowcast_by_hand(hours: list[float | None], expected: float | None) -> None:
    found = float(nowcast(as_array(hours)))
    assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-12)


@given(hours_of_dust)
def test_nowcast_lies_within_its_hours_and_needs_two_of_three(hours: list[float | None]) -> None:
    found = float(nowcast(as_array(hours)))
    there = [hour for hour in hours if hour is not None]
    assert np.isnan(found) == (sum(hour is not None for hour in hours[:3]) < 2)
    assert np.isnan(found) or min(there) - 1e-9 <= found <= max(there) + 1e-9


def test_corners_are_those_of_the_reference(shared: Path) -> None:
    with (shared / "reference/vn_aqi_breakpoints.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name, corners in SCALE.concentration.items():
        assert corners == [float(row[name]) for row in rows if row[name]]
    assert SCALE.index == [float(row["I"]) for row in rows]


@pytest.mark.parametrize(
    ("pollutant", "concentration", "exact", "index"),
    [
        ("o3_1h", 136.1, 42.53125, 43),
        ("no2", 118.7, 59.35, 59),  # the decision prints 60
        ("pm25", 20.3, 40.6, 41),
        ("o3_8h", 89.3, 44.65, 45),
        ("o3_1h", 114.6, 35.8125, 36),
        ("no2", 130.8, 65.4, 65),
        ("pm25", 55.7, 109.5, 110),
        ("pm25", 500, 500, 500),
        ("pm25", 4999, 500, 500),
        ("co", 10000, 50, 50),
    ],
)
def test_the_example_of_the_decision(pollutant: str, concentration: float, exact: float, index: int) -> None:
    found = sub_index(SCALE, pollutant, concentration)
    assert found == pytest.approx(exact, abs=1e-9)
    assert half_up(found) == index


@given(st.sampled_from(sorted(SCALE.concentration)), concentrations, concentrations)
def test_the_index_never_falls_with_the_concentration(pollutant: str, one: float, other: float) -> None:
    low, high = sub_index(SCALE, pollutant, np.sort([one, other]))
    assert np.isnan(high) or (0 <= low <= high <= 500)


@given(st.sampled_from(sorted(SCALE.concentration)), st.integers(1, 7), st.floats(1e-9, 1e-3))
def test_the_index_does_not_jump_at_a_corner(pollutant: str, place: int, step: float) -> None:
    corners = SCALE.concentration[pollutant]
    corner = corners[min(place, len(corners) - 1)]
    below, at = sub_index(SCALE, pollutant, [corner - step, corner])
    assert at - below <= 3 * step


@pytest.mark.parametrize("bad", [-0.1, -9999, np.nan, np.inf, -np.inf])
def test_what_cannot_be_a_concentration_has_no_index(bad: float) -> None:
    assert np.isnan(sub_index(SCALE, "pm25", bad))
    assert np.isnan(us_aqi.us_index(GAUGES["pm25"], np.array([bad]))).all()


def test_eight_hours_of_ozone_end_at_400() -> None:
    assert sub_index(SCALE, "o3_8h", 400) == 300
    assert np.isnan(sub_index(SCALE, "o3_8h", 400.1))
    assert vn_aqi.daily_ozone(SCALE, np.array([900.0]), np.array([401.0])) == 350


@given(hours_of_dust, st.lists(concentrations, min_size=4, max_size=4))
def test_without_dust_there_is_no_index(dust: list[float | None], gases: list[float]) -> None:
    hours = np.full((1, 12, 6), np.nan)
    hours[0, :, 0], hours[0, 0, 2:] = as_array(dust), gases
    index = vn_aqi.hourly(SCALE, hours)
    assert np.isnan(index.total[0]) == np.isnan(nowcast(as_array(dust)))
    assert np.isnan(index.total[0]) or index.total[0] == np.nanmax(index.sub[0])
    assert (index.dominant[0] < 0) == np.isnan(index.total[0])


def test_a_day_needs_18_hours_of_dust_and_counts_any_hour_of_gas() -> None:
    hours = np.full((2, 31, 6), np.nan)
    hours[0, 7 + 6 :, 1] = 30.0
    hours[1, 7 + 7 :, 1] = 30.0
    hours[:, 20, 4] = 250.0
    index = vn_aqi.daily(SCALE, hours)
    assert index.total[0] == 105
    assert np.isnan(index.total[1])
    assert index.sub[:, 4].tolist() == [105, 105]


def test_eight_hour_means_reach_back_into_the_day_before() -> None:
    hours = np.full((1, 31, 6), np.nan)
    hours[0, :, 0] = 10.0
    hours[0, :8, 2] = 120.0  # seven hours of yesterday and the first of today
    index = vn_aqi.daily(SCALE, hours)
    assert index.sub[0, 2] == 100


def test_us_cases(shared: Path) -> None:
    with (shared / "reference/us_aqi_2024_reference.csv").open() as file:
        cases = [(row["pollutant"], float(row["concentration"]), int(row["aqi"])) for row in csv.DictReader(file)]
    text = "pollutant,concentration\n" + "".join(f"{name},{value}\n" for name, value, _ in cases)
    assert [row["aqi"] for row in computed("us-aqi", text)] == [index for *_, index in cases]


@given(st.sampled_from(sorted(GAUGES)), st.floats(0, 700), st.floats(0, 700))
def test_the_us_index_never_falls(name: str, one: float, other: float) -> None:
    top = GAUGES[name].rows[-1][1]
    low, high = us_aqi.us_index(GAUGES[name], np.sort([one, other]) / 700 * top)
    assert np.isnan(low) or low <= high


def test_gases_in_mass_and_parts() -> None:
    assert us_aqi.from_mass("o3", "ppm", np.array([137.0])) == pytest.approx(0.0698, abs=1e-4)
    assert us_aqi.from_mass("no2", "ppb", np.array([188.0])) == pytest.approx(99.9, abs=0.1)


def test_every_index_has_a_band_and_advice_in_both_languages() -> None:
    advice = tables.load("vn_aqi_advice", "bac-giang", DAY, list[Advice]).held
    for index in range(501):
        assert sum(band.low <= index <= band.high for band in SCALE.bands) == 1
        told = advice_for(advice, index)
        band = vn_aqi.band_of(SCALE.bands, index)
        assert told
        assert band
        assert told.high == band.high
        for sentence in (told.effect, told.everyone, told.sensitive):
            assert sentence.keys() == {"vi", "en"}
    assert vn_aqi.band_of(SCALE.bands, np.nan) is None


NINE = datetime(2019, 11, 12, 9, tzinfo=LOCAL).replace(tzinfo=None)
EXAMPLE = {NINE + timedelta(hours=n): {"pm25": value, "o3": 136.1, "no2": 118.7} for n, value in enumerate(DUST)}
NAMES = ("pm25", "o3", "no2")


def test_a_file_of_hours() -> None:
    *_, last = computed("vn-aqi-hour", hourly_file(EXAMPLE, NAMES))
    assert (last["aqi"], last["dominant"], last["category"], last["category_en"]) == (
        59,
        "no2",
        "Trung bình",
        "Moderate",
    )
    assert last["sub_indices"] == {"pm25": 41, "pm10": None, "o3": 43, "co": None, "no2": 59, "so2": None}
    assert last["nowcast"]["pm25"] == pytest.approx(20.265765, abs=1e-6)
    first = computed("vn-aqi-hour", hourly_file(EXAMPLE, NAMES))[0]
    assert (first["aqi"], first["sub_indices"]["no2"]) == (None, 59)
    assert "pm25" in first["reason"]


@given(st.permutations(range(12)))
def test_the_order_of_rows_means_nothing(order: list[int]) -> None:
    items = list(EXAMPLE.items())
    straight = computed("vn-aqi-hour", hourly_file(EXAMPLE, NAMES))
    mixed = computed("vn-aqi-hour", hourly_file(dict(items[place] for place in order), NAMES))
    assert mixed == [straight[place] for place in order]


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_row_that_is_left_out_is_an_hour_without_values(kept: list[bool]) -> None:
    empty = {time: values if kept[n] else {} for n, (time, values) in enumerate(EXAMPLE.items())}
    gone = {time: values for time, values in empty.items() if values}
    if gone:
        straight = computed("vn-aqi-hour", hourly_file(empty, NAMES))
        assert computed("vn-aqi-hour", hourly_file(gone, NAMES)) == [
            r for r, keep in zip(straight, kept, strict=True) if keep
        ]


def test_a_zone_is_heeded_and_a_negative_value_is_missing() -> None:
    text = "time,pm25\n2026-01-01T00:00:00Z,25\n2026-01-01T08:00,-9999\n2026-01-01T09:00,25\n"
    assert [row["aqi"] for row in computed("vn-aqi-hour", text)] == [None, None, 50]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,pm25\n2026-01-01T00:30,1\n", "full hour"),
        ("time,pm25\n2026-01-01T00:00,1\n2025-12-31T17:00:00Z,2\n", "2 times"),
        ("time,pm25\n2026-01-01T00:00,1\n,2\n", "time"),
        ("time,pm25\n2026-01-01T00:00,1;5\n", "line 2, pm25"),
    ],
)
def test_a_faulty_file_is_named(text: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        computed("vn-aqi-hour", text)


def test_a_file_of_days() -> None:
    (row,) = computed("vn-aqi-day", "day,pm25,o3_8h,o3_1h,no2\nx,55.7,89.3,114.6,130.8\n")
    assert (row["aqi"], row["dominant"], row["category"], row["day"]) == (110, "pm25", "Kém", "x")
    assert {name: row["sub_indices"][name] for name in ("o3_8h", "o3_1h", "no2", "pm25")} == {
        "o3_8h": 45,
        "o3_1h": 36,
        "no2": 65,
        "pm25": 110,
    }


def test_days_of_hours_by_both_names_of_an_hour() -> None:
    one_day = [datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(hours=n) for n in range(25)]
    values: dict[datetime, dict[str, Any]] = {time: {"pm25": n} for n, time in enumerate(one_day)}
    by_end = computed("vn-aqi-day", hourly_file({time: values[time] for time in one_day[1:]}))
    by_start = computed("vn-aqi-day", hourly_file({time: values[time] for time in one_day[:24]}))
    assert {(row["day"], row["aqi"], row["hours"]) for row in by_end} == {("2026-03-01", 25, "end")}
    assert {(row["day"], row["aqi"], row["hours"]) for row in by_start} == {("2026-03-01", 23, "start")}
    assert len(by_end) == len(by_start) == 24
    forced = computed("vn-aqi-day", hourly_file({time: values[time] for time in one_day[:24]}), hours="end")
    assert [row["day"] for row in forced[:2]] == ["2026-02-28", "2026-03-01"]
    assert forced[0]["aqi"] is None


# In the stream.


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


class Air:
    """A world with the air indices of it."""

    def __init__(self, connections: Connections) -> None:
        admin, analyst = connections
        admin.execute("delete from rollup.bulletin; delete from rollup.remade; delete from rollup.air_stale")
        admin.execute("delete from rollup.air_index_1h; delete from rollup.air_index_1d")
        self.begin = midnight() - timedelta(days=1)
        self.world = World(FAMILIES["air_quality"], *connections, now=self.begin)
        self.analyst = analyst
        self.follower = Indices([AirHours(), AirDays()], beside=False)
        self.follower.reset(analyst)
        self.sent: dict[tuple[int, int], dict[str, float]] = {}

    def send(self, device: int, hours: dict[int, dict[str, float]], readings: int = 45) -> None:
        """Readings of one device in hours from the beginning, all of an hour the same."""
        for hour, values in hours.items():
            self.sent[device, hour] = values
            step = timedelta(hours=1) / readings
            self.world.write(
                [
                    Reading(
                        self.world.devices[device],
                        self.world.areas[0],
                        self.begin + timedelta(hours=hour) + step * n,
                        hour * 1000 + n,
                        values,
                    )
                    for n in range(readings)
                ]
            )

    def rest(self, hour: float) -> None:
        """Let the clock stand so many hours after the beginning, and everything follow."""
        self.world.now = self.begin + timedelta(hours=hour)
        self.world.rest()
        for minute in range(60):
            with self.analyst.transaction():
                self.follower.tick(self.analyst, self.world.now + timedelta(minutes=minute))
        assert not any(self.follower.failed.values())

    def view(self, name: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Rows by device and hour."""
        cursor = self.world.admin.execute(f"select * from city.{name}".encode())
        titles = [column.name for column in cursor.description or ()]
        rows = [dict(zip(titles, row, strict=True)) for row in cursor.fetchall()]
        return {(row["device"], round((row["bucket"] - self.begin) / timedelta(hours=1))): row for row in rows}

    def check(self, last: int) -> None:
        """Every hour and day against the hours that were sent."""
        names = dict(self.world.admin.execute("select id, device from registry.device").fetchall())
        hours, days = self.view("air_index_1h"), self.view("air_index_1d")
        for device, number in enumerate(self.world.devices):
            means = np.full((1, 7 + 72 + 12, 6), np.nan)
            for (of, hour), values in self.sent.items():
                if of == device and hour < last:
                    means[0, 12 + hour] = [values.get(pollutant, np.nan) for pollutant in POLLUTANTS]
            for hour in range(last):
                window = means[:, 12 + hour - 11 : 12 + hour + 1][:, ::-1]
                self.same(hours.get((names[number], hour)), vn_aqi.hourly(SCALE, window), us_aqi.hourly(GAUGES, window))
            for day in range(last // 24):
                window = means[:, 12 + 24 * day - 7 : 12 + 24 * day + 24]
                told = days.get((names[number], 24 * day))
                self.same(told, vn_aqi.daily(SCALE, window), us_aqi.daily(GAUGES, window))

    @staticmethod
    def same(row: dict[str, Any] | None, vn: vn_aqi.Index, us: vn_aqi.Index) -> None:
        """One row."""

        def number(value: float) -> int | None:
            return None if np.isnan(value) else int(value)

        assert (row or {}).get("vn_aqi") == number(vn.total[0])
        if row:
            assert [row[pollutant] for pollutant in POLLUTANTS] == [number(value) for value in vn.sub[0]]
            assert row["dominant"] == (POLLUTANTS[vn.dominant[0]] if vn.dominant[0] >= 0 else None)
            assert row["us_aqi"] == number(us.total[0])
            band = vn_aqi.band_of(SCALE.bands, vn.total[0])
            assert (row["vn_category"], row["colour"]) == ((band.vi, band.colour) if band else (None, None))
            assert "1459/QĐ-TCMT" in row["source"]
            assert "transcription" in row["source"]


def test_hours_and_days_in_the_stream_and_what_comes_late(connections: Connections) -> None:
    air = Air(connections)
    gases = {"o3": 130.0, "co": 12_000.0, "no2": 250.0, "so2": 20.0}
    air.send(0, {hour: {"pm25": 20.0 + 3 * hour, "pm10": 60.0, **gases} for hour in range(26) if hour not in (5, 6, 7)})
    air.send(1, {hour: {"no2": 90.0 + hour} for hour in range(20)})  # no dust: no index
    air.rest(26.1)
    air.check(26)
    before = air.view("air_index_1h")
    dusty = {hour: row["vn_aqi"] for (_, hour), row in before.items() if row["pm10"] or hour == 8}
    assert {hour for hour in range(26) if hour not in dusty} == {0, 6, 7}
    assert dusty[5], "two of the three newest hours are there"
    assert dusty[8] is None
    air.send(0, {hour: {"pm25": 400.0, "pm10": 300.0} for hour in (5, 6, 7)})  # what a fire cost us on the way
    air.send(1, {hour: {"pm25": 80.0} for hour in (20, 21)})
    air.rest(26.2)
    air.check(26)
    after = air.view("air_index_1h")
    changed = {hour for (name, hour), row in after.items() if row != before.get((name, hour))}
    assert changed == {*range(5, 19), 20, 21, 22}
    assert air.world.row("select count(*) from rollup.air_stale") == (0,)


def test_an_hour_with_few_readings_does_not_count_and_says_so(connections: Connections) -> None:
    air = Air(connections)
    air.send(0, {0: {"pm25": 10.0}, 1: {"pm25": 10.0}})
    air.send(0, {2: {"pm25": 90.0}}, readings=44)
    air.send(1, {0: {"pm25": 10.0}, 1: {"pm25": 90.0}, 2: {"pm25": 90.0}}, readings=45)
    air.rest(3.1)
    rows = {
        (hour, row["complete"] == pytest.approx(44 / 60)): row["pm25"]
        for (_, hour), row in air.view("air_index_1h").items()
    }
    assert rows[2, True] == 20
    assert rows[2, False] > 20


def test_the_worst_of_each_zone(connections: Connections) -> None:
    air = Air(connections)
    air.send(0, {hour: {"pm25": 30.0} for hour in range(3)})
    air.send(1, {hour: {"pm25": 200.0} for hour in range(3)})
    air.rest(3.1)
    cursor = air.world.admin.execute(
        "select area, vn_aqi, advice from (select area, vn_aqi, everyone_en as advice from city.air_worst) w"
    )
    assert {row[1] for row in cursor.fetchall()} == {None}, "two days ago is not now"
    shift = air.world.row("select date_trunc('hour', now()) - interval '1 hour' - max(bucket) from rollup.air_index_1h")
    air.world.admin.execute("create temporary table moved as select * from rollup.air_index_1h")
    air.world.admin.execute("delete from rollup.air_index_1h")
    air.world.admin.execute("update moved set bucket = bucket + %s", shift)
    air.world.admin.execute("insert into rollup.air_index_1h select * from moved; drop table moved")
    air.world.admin.execute("update rollup.bulletin set until = until + %s where name = 'air_hours'", shift)
    rows = air.world.admin.execute(
        "select area, vn_aqi, devices, dominant, everyone_vi, everyone_en from city.air_worst where vn_aqi is not null"
    ).fetchall()
    ((_, index, devices, dominant, vi, en),) = rows
    assert (index, devices, dominant) == (250, 2, "pm25")
    assert "trong nhà" in vi
    assert "indoors" in en
