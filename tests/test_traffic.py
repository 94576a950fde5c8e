"""Traffic formulas against tables and hand-worked cases: flow, density, service, travel times, PCU, queues."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analytics.indices.california import CONFIRMED, CONTINUING, FREE, TENTATIVE, WAVE, Thresholds, begin, step
from analytics.indices.density import density, density_of_occupancy, flow, per_km
from analytics.indices.free_flow import EVIDENCE, Learnt, known, learn
from analytics.indices.offences import first_of_each, places
from analytics.indices.pcu import pcu
from analytics.indices.queue import present, slow_and_full, waiting
from analytics.indices.road import SUMS, road
from analytics.indices.service import LEVELS, ServiceTable, freeway, level, street
from analytics.indices.travel import buffer_index, planning_index, quantile, travel_index
from analytics.tables import load
from dothi.computing import kinds
from dothi.computing.kind import Options

DAY = date(2026, 3, 16)
SERVICE = load("traffic_service", "bac-giang", DAY, ServiceTable).held
FACTORS = load("pcu", "bac-giang", DAY, dict[str, float])


def letters(levels: np.ndarray) -> str:
    return "".join(LEVELS[number] if number >= 0 else "-" for number in levels.tolist())


def test_flow_and_density_are_one_identity() -> None:
    assert flow(np.array([31.0, 5.0, 5.0]), np.array([60.0, 300.0, 0.0])) == pytest.approx(
        [1860, 60, np.nan], nan_ok=True
    )
    assert density(np.array([1800.0, 0.0, 100.0]), np.array([36.0, 0.0, 0.0])) == pytest.approx(
        [50, 0, np.nan], nan_ok=True
    )
    assert density_of_occupancy(np.array([0.12]), 4.0) == pytest.approx([20.0])  # 10 · 12 % / (4 m + 2 m)


def test_levels_of_service_are_those_of_the_manual() -> None:
    per_mile = np.array([11, 18, 26, 35, 45], dtype=np.float64)
    assert per_km(per_mile) == pytest.approx([6.8, 11.2, 16.2, 21.7, 28.0], abs=0.05)
    assert letters(freeway(per_km(per_mile), SERVICE.freeway)) == "ABCDE"
    assert letters(freeway(per_km(per_mile + 0.01), SERVICE.freeway)) == "BCDEF"
    # Greatest flows at 70 mi/h of free-flow speed: 770 1260 1735 2115 2400 pc/h/ln
    speeds = np.array([70.0, 70.0, 68.0, 61.5, 53.3])
    assert letters(freeway(per_km(np.array([770, 1260, 1735, 2115, 2398]) / speeds), SERVICE.freeway)) == "ABCDE"
    shares = np.array([0.81, 0.8, 0.68, 0.67, 0.51, 0.5, 0.41, 0.4, 0.31, 0.3, 0.0, np.nan])
    assert letters(street(50 * shares, np.full(12, 50.0), SERVICE.street)) == "ABBCCDDEEFF-"


def test_the_speed_of_the_empty_road_makes_it_a_street_or_a_freeway() -> None:
    dense, speed = np.full(4, 20.0), np.array([45.0, 45.0, 45.0, 45.0])
    assert letters(level(dense, speed, np.array([50.0, 79.9, 80.0, np.nan]), SERVICE)) == "ACD-"


def test_travel_times_beside_an_empty_road() -> None:
    assert travel_index(np.array([50.0, 25.0, 0.0]), np.full(3, 50.0)) == pytest.approx([1, 2, np.nan], nan_ok=True)
    speeds = np.array([60.0 / minutes for minutes in range(1, 21)])[:, None]  # 1 to 20 min per km
    assert planning_index(speeds, np.array([60.0])) == pytest.approx([19.05])
    assert buffer_index(speeds) == pytest.approx([(19.05 - 10.5) / 10.5])
    assert np.isnan(buffer_index(np.full((3, 1), np.nan))).all()


@given(arrays(np.float64, (7, 3), elements=st.floats(0, 100) | st.just(np.nan)), st.floats(0, 1))
def test_quantiles_are_numpys_without_the_gaps(values: np.ndarray, share: float) -> None:
    for column, found in zip(values.T, quantile(values, share), strict=True):
        there = column[~np.isnan(column)]
        assert found == pytest.approx(np.quantile(there, share) if len(there) else np.nan, nan_ok=True)


def test_passenger_car_units_of_mixed_traffic() -> None:
    assert FACTORS.set == "customary"
    assert "TCVN 4054:2005" in FACTORS.waits_for, "the standard itself has not been read, and that is said"
    counts = {"motorcycles": [21, np.nan], "cars": [7, np.nan], "trucks": [1, np.nan], "buses": [1, np.nan]}
    found = pcu(
        {name: np.array(some) for name, some in counts.items()},
        FACTORS.held,
        np.array([32.0, 12.0]),
        np.full(2, np.nan),
    )
    assert found == pytest.approx([21 * 0.3 + 7 + 2 + 2.5 + 2, 12])  # two of no class, and twelve of none: cars
    told = pcu({"cars": np.array([7.0])}, FACTORS.held, np.array([7.0]), np.array([17.5]))
    assert told == pytest.approx([17.5])


def test_a_queue_by_input_and_output() -> None:
    into, out = np.array([10.0, 20, 20, 10, 5, 5]), np.array([10.0, 12, 12, 12, 12, 12])
    assert waiting(into, out).tolist() == [0, 8, 16, 14, 7, 0]
    assert waiting(np.array([0.0, 5]), np.array([9.0, 0])).tolist() == [0, 5], "nobody waits less than nobody"


@given(
    arrays(np.float64, 12, elements=st.floats(0, 50)),
    arrays(np.float64, 12, elements=st.floats(0, 50)),
    st.floats(0, 99),
)
def test_the_queue_is_that_of_the_recursion(into: np.ndarray, out: np.ndarray, before: float) -> None:
    expected, now = [], before
    for come, gone in zip(into.tolist(), out.tolist(), strict=True):
        now = max(0.0, now + come - gone)
        expected.append(now)
    assert waiting(into, out, before) == pytest.approx(expected, abs=1e-9)


def test_a_queue_stands_after_three_slow_and_full_intervals() -> None:
    speed, full = np.array([20.0, 20, 30, 20, 20, 20, np.nan]), np.array([0.3, 0.3, 0.3, 0.3, 0.3, np.nan, 0.9])
    hit = slow_and_full(speed, full, np.full(7, 50.0))
    assert hit.tolist() == [True, True, False, True, True, True, False]
    assert present(hit).tolist() == [False, False, False, False, False, True, False]


def test_the_speed_of_the_empty_road_is_learnt_from_empty_roads() -> None:
    random = np.random.default_rng(1)
    learnt = Learnt(np.zeros(50), np.zeros(50))
    for turn in range(400):
        full = turn % 2 == 0
        speed = random.normal(20 if full else 50, 3, 50)
        learnt = learn(learnt, speed, np.full(50, 0.4 if full else 0.05))
        assert np.isnan(known(learnt)).all() == ((turn + 1) // 2 < EVIDENCE)
    assert known(learnt) == pytest.approx(np.full(50, 53.1), rel=0.05)  # 85th percentile: mean + 1.04 deviations
    blind = Learnt(np.zeros(1), np.zeros(1))
    for _ in range(EVIDENCE * 10):
        blind = learn(blind, np.array([40.0]), np.array([np.nan]))
    assert np.isnan(known(blind)).all(), "without an occupancy it takes a day"


def test_a_road_from_sums_of_readings() -> None:
    told = dict.fromkeys(SUMS, 0.0) | {
        **{"n": 5, "vehicles": 150, "vehicles_n": 5, "counted_s": 300, "weighted_speed": 150 * 36.0, "weight": 150},
        **{"speed": 5 * 40.0, "speed_n": 5, "occupancy": 1.5, "occupancy_n": 5},
        **{"classed_n": 5, "motorcycles": 100, "cars": 50},
    }
    silent = dict.fromkeys(SUMS, 0.0) | {"n": 5}
    empty = silent | {"vehicles_n": 5, "counted_s": 300}
    sums = np.array([list(one.values()) for one in (told, silent, empty)])
    roads = road(sums, np.array([90.0, 90.0, np.nan]), SERVICE, FACTORS.held)
    assert roads.flow == pytest.approx([1800, np.nan, 0], nan_ok=True)
    assert roads.pcu_flow == pytest.approx([960, np.nan, 0], nan_ok=True)
    assert roads.speed == pytest.approx([36, np.nan, np.nan], nan_ok=True)
    assert roads.density == pytest.approx([960 / 36, np.nan, 0], nan_ok=True)
    assert letters(roads.service) == "F--"  # 1000 · 0.3 / 6 m = 50 vehicles per km and lane
    assert roads.queued.tolist() == [True, False, False]
    assert roads.travel_index == pytest.approx([2.5, np.nan, np.nan], nan_ok=True)


def folded(events: list[tuple[int, int, int, float]], window_s: float) -> list[bool]:
    """Event by event, in order of time."""
    newest: dict[tuple[int, int, int], float] = {}
    first = [True] * len(events)
    for at in sorted(range(len(events)), key=lambda at: (events[at][3], at)):
        place, vehicle, kind, time = events[at]
        key = (place, vehicle, kind)
        first[at] = vehicle < 0 or key not in newest or time - newest[key] > window_s
        newest[key] = time
    return first


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(-1, 2), st.integers(0, 1), st.integers(0, 40).map(float)), max_size=40
    )
)
def test_what_is_told_again_is_the_same_offence(events: list[tuple[int, int, int, float]]) -> None:
    columns = [np.array([event[at] for event in events]) for at in range(4)]
    assert first_of_each(*columns, window_s=5.0).tolist() == folded(events, 5.0)


def test_cameras_of_one_junction_are_one_place() -> None:
    metre = 1 / 111_320
    lat = np.array([21.0, 21.0 + 100 * metre, 21.0 + 240 * metre, np.nan, np.nan, 21.0])
    lon = np.array([106.0, 106.0, 106.0, np.nan, 106.0, 106.0])
    assert places(lat, lon).tolist() == [0, 0, 2, 3, 4, 0]


@given(st.lists(st.tuples(st.floats(21, 21.01), st.floats(106, 106.01)), min_size=1, max_size=30), st.integers(0, 30))
def test_later_cameras_move_no_place(cameras: list[tuple[float, float]], cut: int) -> None:
    lat, lon = (np.array(column) for column in zip(*cameras, strict=True))
    cut = min(cut, len(lat))
    assert places(lat, lon)[:cut].tolist() == places(lat[:cut], lon[:cut]).tolist()


def states(upstream: list[float], downstream: list[float], *, eight: bool) -> list[int]:
    """One pair of stations, occupancies in percent."""
    pair, found = begin(1), []
    for above, below in zip(upstream, downstream, strict=True):
        pair = step(pair, np.array([above]), np.array([below]), Thresholds(), eight=eight)
        found.append(int(pair.state[0]))
    return found


def test_california_by_hand() -> None:
    # Apart 2, 14, 30, 32, 28, 12 percent; shares 0.14, 0.5, 0.75, 0.8, 0.74, 0.46
    upstream, downstream = [14.0, 28, 40, 40, 38, 26], [12.0, 14, 10, 8, 10, 14]
    worked = [FREE, TENTATIVE, CONFIRMED, CONTINUING, CONTINUING, FREE]
    assert states(upstream, downstream, eight=False) == states(upstream, downstream, eight=True) == worked
    assert states([28.0, 20], [14.0, 14], eight=False) == [TENTATIVE, FREE], "the second interval does not confirm it"
    assert states([70.0], [31.0], eight=False) == [FREE], "the road is full behind it too"
    assert states([28.0, np.nan, 40], [14.0, 10, 10], eight=False) == [TENTATIVE, TENTATIVE, CONFIRMED]


def test_california_8_waits_behind_a_compression_wave() -> None:
    # Downstream rises from 15 to 35 percent in two intervals, and the wave runs on upstream as it thins out there.
    upstream, downstream = [18.0, 20, 40, 60, 60, 60, 60, 60, 60, 60], [15.0, 20, 35, 25, 20, 20, 20, 20, 20, 20]
    assert states(upstream, downstream, eight=False)[3:5] == [TENTATIVE, CONFIRMED]
    waits = [WAVE + back for back in (4, 3, 2, 1, 0)]
    assert states(upstream, downstream, eight=True) == [FREE, FREE, *waits, FREE, TENTATIVE, CONFIRMED]


def test_a_file_is_reckoned_as_roads_are() -> None:
    columns = {column.name: np.array([np.nan, np.nan]) for column in kinds()["traffic"].columns}
    columns |= {name: np.array([31.0, 0.0]) for name in ("vehicles",)}
    columns |= {"period_s": np.full(2, 60.0), "speed_kmh": np.array([20.0, np.nan]), "free_speed_kmh": np.full(2, 50.0)}
    columns["occupancy"] = np.array([0.3, 0.0])
    first, second = kinds()["traffic"].reckon(columns, Options())
    assert (first["flow_veh_h"], first["density_pcu_km"], first["travel_index"]) == (1860, 93, 2.5)
    assert (first["level_of_service"], first["queued"]) == ("E", True)
    assert (second["flow_veh_h"], second["travel_index"], second["level_of_service"]) == (0, None, None)


def test_a_file_of_two_stations() -> None:
    shares = {"upstream": np.array([0.14, 0.28, 0.40, 0.26]), "downstream": np.array([0.12, 0.14, 0.10, 0.14])}
    results = kinds()["california"].reckon(shares, Options())
    assert [row["state_7"] for row in results] == ["free", "tentative", "confirmed", "free"]
    assert [row["incident_8"] for row in results] == [False, False, True, False]
