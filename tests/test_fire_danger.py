"""Fire danger: Canadian indices, the Vietnamese index P and Ångström's, against published and hand-worked values."""

import csv
import io
import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import tables
from analytics.indices import fire_weather as fw
from analytics.indices.angstrom import angstrom, word
from analytics.indices.danger import NUMERALS, names_on
from analytics.indices.nesterov import Levels, deficit, dew_point, level, nesterov, next_p, saturation
from tests.computed import computed, refused

REFERENCE = "reference/fwi/fwi_reference_first_24_days.csv"
NAMES = ("ffmc", "dmc", "dc", "isi", "bui", "fwi")
# The first days of the test series of Van Wagner and Pickett, 1985, to the tenth that the report prints.
PRINTED = """
month,temp_c,rh_pct,wind_kmh,rain_mm,ffmc,dmc,dc,isi,bui,fwi
4,17,42,25,0,87.7,8.5,19.0,10.9,8.5,10.1
4,20,21,25,2.4,86.2,10.4,23.6,8.8,10.4,9.3
4,8.5,40,17,0,87.0,11.8,26.1,6.5,11.7,7.6
4,6.5,25,6,0,88.8,13.2,28.2,4.9,13.1,6.2
"""
weather = st.tuples(st.floats(-20, 45), st.floats(0, 100), st.floats(0, 100), st.floats(0, 200))
latitudes = st.floats(-90, 90)
months = st.integers(1, 12)
FEW = settings(max_examples=40, deadline=None)


@pytest.fixture(autouse=True)
def _those_that_come_along() -> Iterator[None]:
    tables.use(None)
    yield
    tables.use(None)


def one_day(
    noon: tuple[float, ...], month: int = 7, lat: float = 46.0, codes: fw.Codes | None = None
) -> fw.FireWeather:
    """A day of one station."""
    return fw.day(codes or fw.start(1), fw.Noon(*(np.array([value]) for value in noon)), month, lat)


def test_the_printed_days(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(PRINTED.strip())))
    for row, made in zip(rows, computed("fwi", PRINTED, tmp_path), strict=True):
        assert {name: round(made[name], 1) for name in NAMES} == {name: float(row[name]) for name in NAMES}


def test_the_reference_to_a_millionth(shared: Path, tmp_path: Path) -> None:
    text = (shared / REFERENCE).read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    for row, made in zip(rows, computed("fwi", text, tmp_path), strict=True):
        for name in NAMES:
            assert made[name] == pytest.approx(float(row[name]), abs=1e-6), (row["month"], row["day"], name)


def by_hand(codes: tuple[float, float, float], noon: tuple[float, ...], month: int, lat: float) -> list[float]:
    """The equations of 1985 with plain numbers, one station, one day, as the report numbers them."""
    f0, p0, d0 = codes
    t, h, w, r = noon
    h = 99.9999 if h >= 100 else h
    mo = 147.2 * (101 - f0) / (59.5 + f0)
    if r > 0.5:
        rf = r - 0.5
        mr = mo + 42.5 * rf * math.exp(-100 / (251 - mo)) * (1 - math.exp(-6.93 / rf))
        mo = min(250.0, mr + 0.0015 * (mo - 150) ** 2 * math.sqrt(rf) if mo > 150 else mr)
    common = 0.18 * (21.1 - t) * (1 - math.exp(-0.115 * h))
    ed = 0.942 * h**0.679 + 11 * math.exp((h - 100) / 10) + common
    ew = 0.618 * h**0.753 + 10 * math.exp((h - 100) / 10) + common
    m = mo
    share = h / 100 if mo > ed else 1 - h / 100
    k = (0.424 * (1 - share**1.7) + 0.0694 * math.sqrt(w) * (1 - share**8)) * 0.581 * math.exp(0.0365 * t)
    if mo > ed:
        m = ed + (mo - ed) * 10**-k
    elif mo < ew and mo < ed:
        m = ew - (ew - mo) * 10**-k
    ffmc = min(101.0, max(0.0, 59.5 * (250 - m) / (147.2 + m)))
    band = 0 if lat <= -30 else 1 if lat <= -10 else 2 if lat <= 10 else 3 if lat <= 30 else 4
    hours = [
        (11.5, 10.5, 9.2, 7.9, 6.8, 6.2, 6.5, 7.4, 8.7, 10, 11.2, 11.8),
        (10.1, 9.6, 9.1, 8.5, 8.1, 7.8, 7.9, 8.3, 8.9, 9.4, 9.9, 10.2),
        (9.0,) * 12,
        (7.9, 8.4, 8.9, 9.5, 9.9, 10.2, 10.1, 9.7, 9.1, 8.6, 8.1, 7.8),
        (6.5, 7.5, 9, 12.8, 13.9, 13.9, 12.4, 10.9, 9.4, 8, 7, 6),
    ][band][month - 1]
    p = p0
    if r > 1.5:
        re = 0.92 * r - 1.27
        b = 100 / (0.5 + 0.3 * p0) if p0 <= 33 else 14 - 1.3 * math.log(p0) if p0 <= 65 else 6.2 * math.log(p0) - 17.2
        mr = 20 + 280 / math.exp(0.023 * p0) + 1000 * re / (48.77 + b * re)
        p = max(0.0, 43.43 * (5.6348 - math.log(mr - 20)))
    dmc = p + 1.894 * (max(t, -1.1) + 1.1) * (100 - h) * hours * 1e-4
    d = d0
    if r > 2.8:
        q = 800 * math.exp(-d0 / 400) + 3.937 * (0.83 * r - 1.27)
        d = max(0.0, 400 * math.log(800 / q))
    north = (-1.6, -1.6, -1.6, 0.9, 3.8, 5.8, 6.4, 5, 2.4, 0.4, -1.6, -1.6)
    south = (6.4, 5, 2.4, 0.4, -1.6, -1.6, -1.6, -1.6, -1.6, 0.9, 3.8, 5.8)
    factor = north[month - 1] if lat > 20 else south[month - 1] if lat <= -20 else 1.4
    dc = d + max(0.0, 0.36 * (max(t, -2.8) + 2.8) + factor) / 2
    m = 147.2 * (101 - ffmc) / (59.5 + ffmc)
    isi = 0.208 * math.exp(0.05039 * w) * 91.9 * math.exp(-0.1386 * m) * (1 + m**5.31 / 4.93e7)
    if dmc <= 0.4 * dc:
        bui = 0.8 * dmc * dc / (dmc + 0.4 * dc) if dmc + dc > 0 else 0.0
    else:
        bui = max(0.0, dmc - (1 - 0.8 * dc / (dmc + 0.4 * dc)) * (0.92 + (0.0114 * dmc) ** 1.7))
    fd = 0.626 * bui**0.809 + 2 if bui <= 80 else 1000 / (25 + 108.64 * math.exp(-0.023 * bui))
    strength = 0.1 * isi * fd
    fwi = math.exp(2.72 * (0.434 * math.log(strength)) ** 0.647) if strength > 1 else strength
    return [ffmc, dmc, dc, isi, bui, fwi]


@FEW
@given(st.lists(st.tuples(weather, months), min_size=1, max_size=8), latitudes)
def test_it_is_the_equations_one_by_one(days: list[tuple[tuple[float, ...], int]], lat: float) -> None:
    noons = fw.Noon(*(np.array([[day[0][place]] for day in days]) for place in range(4)))
    codes = (85.0, 6.0, 15.0)
    for made, (noon, month) in zip(
        fw.season(fw.start(1), noons, np.array([m for _, m in days]), lat), days, strict=True
    ):
        wanted = by_hand(codes, noon, month, lat)
        got = [float(column[0]) for column in (*made.codes, made.isi, made.bui, made.fwi)]
        assert got == pytest.approx(wanted, rel=1e-6, abs=1e-6)
        codes = (got[0], got[1], got[2])


@FEW
@given(weather, months, latitudes)
def test_codes_stay_within_their_bounds(noon: tuple[float, ...], month: int, lat: float) -> None:
    made = one_day(noon, month, lat)
    assert 0 <= made.codes.ffmc[0] <= 101
    assert made.codes.dmc[0] >= 0
    assert made.codes.dc[0] >= 0
    assert all(np.isfinite(column[0]) and column[0] >= 0 for column in (made.isi, made.bui, made.fwi, made.dsr))


@FEW
@given(weather, months, latitudes, st.floats(0.1, 100))
def test_rain_never_makes_it_drier_and_wind_never_less_dangerous(
    noon: tuple[float, ...], month: int, lat: float, more: float
) -> None:
    t, h, w, r = noon
    dry, wet = one_day((t, h, w, r), month, lat), one_day((t, h, w, r + more), month, lat)
    assert wet.codes.dmc[0] <= dry.codes.dmc[0] + 1e-9
    assert wet.codes.dc[0] <= dry.codes.dc[0] + 1e-9
    calm = one_day((t, h, 0.0, r), month, lat)
    assert fw.spread(calm.codes.ffmc, np.array([w]))[0] >= calm.isi[0]


@FEW
@given(st.lists(st.tuples(weather, latitudes), min_size=1, max_size=6), months)
def test_stations_do_not_know_of_each_other(stations: list[tuple[tuple[float, ...], float]], month: int) -> None:
    noon = fw.Noon(*(np.array([one[0][place] for one in stations]) for place in range(4)))
    together = fw.day(fw.start(len(stations)), noon, month, np.array([lat for _, lat in stations]))
    for place, (one, lat) in enumerate(stations):
        alone = one_day(one, month, lat)
        assert together.fwi[place] == pytest.approx(alone.fwi[0], rel=1e-12)


@pytest.mark.parametrize("missing", range(4))
def test_what_is_not_known_is_not_guessed(missing: int) -> None:
    noon = [20.0, 40.0, 10.0, 0.0]
    noon[missing] = math.nan
    made = one_day(tuple(noon))
    assert math.isnan(made.codes.ffmc[0])
    assert math.isnan(made.codes.dmc[0]) == (missing != 2)
    assert math.isnan(made.codes.dc[0]) == (missing in (0, 3))
    assert math.isnan(made.fwi[0])


def test_day_lengths_change_at_the_edges_of_the_bands() -> None:
    def of(code: str, lat: float) -> float:
        return float(getattr(one_day((20, 40, 10, 0), 7, lat).codes, code)[0])

    edges = {"dmc": (-30, -10, 10, 30), "dc": (-20, 20)}
    for code, bounds in edges.items():
        for edge in bounds:
            assert of(code, edge) == of(code, edge - 0.01) != of(code, edge + 0.01)
    assert of("dmc", 21.3) == pytest.approx(6 + 1.894 * 21.1 * 60 * 10.1e-4)


def test_latitude_counts_on_the_command_line(tmp_path: Path) -> None:
    there, here = computed("fwi", PRINTED, tmp_path), computed("fwi", PRINTED, tmp_path, "--lat", "21.3")
    assert there[0]["ffmc"] == here[0]["ffmc"]
    assert there[0]["dmc"] > here[0]["dmc"]
    assert computed("fwi", PRINTED, tmp_path, "--lat", "46") == there


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("month,temp_c,rh_pct,wind_kmh\n7,20,40,10", "no column rain_mm"),
        ("month,temp_c,rh_pct,wind_kmh,rain_mm\n13,20,40,10,0", "line 2, month: '13' is not between 1 and 12"),
        ("month,temp_c,rh_pct,wind_kmh,rain_mm\n7.5,20,40,10,0", "month is 7.5; expected a whole number"),
        ("month,temp_c,rh_pct,wind_kmh,rain_mm\n7,20,140,10,0", "rh_pct: '140' is not between 0 and 100"),
        ("month,temp_c,rh_pct,wind_kmh,rain_mm\n7,20,40,10,", "line 2, rain_mm: empty"),
        ("month,temp_c,rh_pct,wind_kmh,rain_mm\n7,20,40,10,-1", "rain_mm: '-1' is not between 0 and"),
    ],
)
def test_a_bad_file_is_told_by_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused("fwi", text, tmp_path)


def test_saturation_as_in_the_hand_table() -> None:
    assert saturation(np.array([30.0]))[0] == pytest.approx(42.3, abs=0.1)
    assert deficit(np.array([30.0]), np.array([60.0]))[0] == pytest.approx(16.9, abs=0.05)


def test_thirty_degrees_and_sixty_percent_day_after_day(tmp_path: Path) -> None:
    days = "month,t13_c,rh13_pct,rain_mm\n" + "4,30,60,0\n" * 40 + "4,30,60,4.9\n4,30,60,5\n4,30,60,0\n"
    low = computed("fire-danger", days, tmp_path)
    high = computed("fire-danger", days, tmp_path, "--province", "thua-thien-hue", "--on", "2023-01-01")
    assert low[0]["p"] == pytest.approx(508, abs=1)
    assert [NUMERALS.index(row["level"]) + 1 for row in low[:10]] == [1, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert [row["level"] for row in low].index("V") == 19
    assert [row["level"] for row in high].index("IV") == 29
    assert [row["p"] == 0 for row in low[-3:]] == [False, True, False]  # 5 mm begin it anew
    assert [row["p"] == 0 for row in high[-3:]] == [False, False, False]  # 7 mm there in April
    assert (low[0]["set"], high[0]["set"]) == ("textbook", "thua-thien-hue-2022")
    assert (low[9]["level_vi"], low[9]["level_en"]) == ("Nguy hiểm", "Dangerous")


BOUNDS = [1000.0, 2500.0, 5000.0, 10000.0]


@pytest.mark.parametrize(
    ("p", "wanted"), [(0, 0), (1000, 0), (1001, 1), (2500, 1), (2501, 2), (5000, 2), (10000, 3), (10001, 4)]
)
def test_a_bound_belongs_to_the_lower_level(p: float, wanted: int) -> None:
    assert level(np.array([float(p)]), BOUNDS)[0] == wanted
    assert level(np.array([math.nan]), BOUNDS)[0] == -1


@FEW
@given(st.floats(0, 1e5), st.floats(-10, 45), st.floats(0, 100), st.floats(0, 100), st.floats(1, 20))
def test_p_grows_in_the_dry_and_rain_ends_it(p: float, t: float, h: float, rain: float, reset: float) -> None:
    after = float(next_p(np.array([p]), np.array([t]), np.array([h]), np.array([rain]), reset)[0])
    assert after == 0 if rain >= reset else after >= p


def test_rain_that_is_not_known_is_no_dry_day() -> None:
    assert math.isnan(next_p(np.array([9.0]), np.array([30.0]), np.array([50.0]), np.array([math.nan]), 5.0)[0])
    assert next_p(np.array([9.0]), np.array([math.nan]), np.array([50.0]), np.array([6.0]), 5.0)[0] == 0


def test_nesterovs_own_index() -> None:
    t, h = np.array([20.0]), np.array([50.0])
    assert nesterov(np.zeros(1), t, dew_point(t, h), np.zeros(1))[0] == pytest.approx(214.6, rel=0.005)
    assert nesterov(np.array([500.0]), t, dew_point(t, h), np.array([3.1]))[0] == 0


def test_angstroms_index() -> None:
    assert angstrom(np.array([17.0]), np.array([42.0]))[0] == pytest.approx(3.1)
    assert [word(value) for value in (1.9, 2.0, 2.5, 4.0, 4.1, math.nan)] == [
        "very likely",
        "favourable",
        "unfavourable",
        "unlikely",
        "unlikely",
        None,
    ]


@pytest.mark.parametrize("table", tables.sets("fire_levels"), ids=lambda table: table.set)
def test_every_set_of_levels_can_be_used(table: tables.Table[Any]) -> None:
    held = tables.load("fire_levels", table.province, table.valid_from, Levels).held
    for area in ("213", "220", ""):
        zone = held.zone_of(area)
        assert all(len(zone.bounds_of(month)) == 4 for month in range(1, 13))


def test_names_of_levels() -> None:
    assert [name.level for name in names_on(date(2026, 1, 1))] == list(NUMERALS)


def test_a_decree_by_zone_and_month_replaces_the_stand_in(tmp_path: Path) -> None:
    (tmp_path / "fire-levels-bac-giang-2021.yaml").write_text(
        "table: fire_levels\nprovince: bac-giang\nvalid_from: 2021-11-30\nsource: the decree\nread: original\n"
        "set: bac-giang-2021\nvalues:\n  zones:\n"
        "    - {zone: '1', areas: ['220'], rain_mm: [7,7,7,7,7,7,7,7,7,7,7,7], bounds: [1, 2, 3, 4],"
        " bounds_in: {1: [5, 6, 7, 8]}}\n"
        "    - {zone: '2', rain_mm: [9,9,9,9,9,9,9,9,9,9,9,9], bounds: [10, 20, 30, 40]}\n"
    )
    tables.use(tmp_path)
    table = tables.load("fire_levels", "bac-giang", date(2026, 1, 1), Levels)
    assert (table.set, table.waits_for) == ("bac-giang-2021", "")
    zone = table.held.zone_of("220")
    assert (zone.bounds_of(1), zone.bounds_of(2), zone.rain_mm[0]) == ([5, 6, 7, 8], [1, 2, 3, 4], 7)
    assert table.held.zone_of("213").zone == "2"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("{zones: [{zone: a, rain_mm: [5], bounds: [1, 2, 3, 4]}]}", "values.zones.0.rain_mm is .5.; .* length >= 12"),
        ("{zones: [{zone: a, rain_mm: [5,5,5,5,5,5,5,5,5,5,5,5], bounds: [1, 3, 2, 4]}]}", "must be above the one"),
        ("{zones: []}", "zones is"),
    ],
)
def test_a_faulty_decree_is_told(tmp_path: Path, values: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(
        "table: fire_levels\nprovince: bac-giang\nvalid_from: 2022-01-01\nsource: x\nread: original\nset: x\n"
        f"values: {values}\n"
    )
    tables.use(tmp_path)
    with pytest.raises(tables.TableRefused, match=rf"mine.yaml: {said}|mine.yaml.*{said}"):
        tables.load("fire_levels", "bac-giang", date(2026, 1, 1), Levels)
