"""Incidents on simulated roads: found within minutes, and not where it is only rush hour."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytics.detectors.congestion import Congestion
from analytics.detectors.incident import Incident
from analytics.detectors.rows import Rows
from simulators.scenario import QUIET
from tests.traffic_world import DAY_S, FAMILY, MONDAY_S, Score, city_of, fleet_of, play, rows, scenario_of, score

CITY = city_of(1)
HOUR_S = 3600.0


def detector(kind: type[Any]) -> Any:
    made = kind(FAMILY)
    made.grow(fleet_of(CITY))
    return made


def incident_at(hour: float, folder: Path, **said: Any) -> Score:
    """Half an hour in the city of Bắc Giang from a local hour on, with an hour of ordinary traffic on both sides."""
    start = MONDAY_S + (hour - 1) * HOUR_S
    event = {"kind": "traffic_incident", "where": {"largest": 1}, "start": HOUR_S, "for": 1800, "queue_km_h": 60} | said
    played = scenario_of(CITY, folder, start, 2.5 * HOUR_S, event)
    changes = play(detector(Incident), rows(CITY, start, 2.5 * HOUR_S, played))
    return score(changes, [effect.truth(CITY) for effect in played])


@pytest.mark.parametrize("hour", [2, 7, 10, 17, 22])
def test_an_incident_is_found_within_minutes(hour: float, tmp_path: Path) -> None:
    found = incident_at(hour, tmp_path)
    assert found.reached > 30
    assert found.found >= 0.95 * found.reached
    assert found.false == 0
    assert np.median(found.delays_s) <= 150


def test_an_ordinary_day_is_no_incident() -> None:
    changes = play(detector(Incident), rows(CITY, MONDAY_S, DAY_S))
    assert changes.on.sum() <= 0.005 * len(CITY), "onsets per counter and day"


@pytest.mark.parametrize("hour", [10, 16.5])
def test_a_rush_hour_is_no_incident(hour: float, tmp_path: Path) -> None:
    start = MONDAY_S + hour * HOUR_S
    rush = {"kind": "rush_hour", "where": {"largest": 9}, "factor": 2, "start": "10 %", "for": "80 %"}
    played = scenario_of(CITY, tmp_path, start, HOUR_S, rush)
    assert not play(detector(Incident), rows(CITY, start - HOUR_S, 2 * HOUR_S, played)).size


def road_of(*speeds: float, full: float = 0.1) -> Rows:
    """One counter, one reading a minute."""
    values = np.full((len(speeds), len(FAMILY.metrics)), np.nan)
    values[:, FAMILY.index["average_vehicle_speed"]] = speeds
    occupancy = np.where(np.array(speeds) < 30, 0.6, full)
    values[:, FAMILY.index["occupancy"]] = occupancy
    time = (MONDAY_S + 60 * np.arange(len(speeds))).astype(np.int64) * 1_000_000
    return Rows(FAMILY, np.zeros(len(speeds), np.int64), time, time, values)


def test_two_critical_values_in_a_row_and_three_calm_ones() -> None:
    calm = [50.0, 51.0, 49.0] * 8
    said = detector(Incident).update(road_of(*calm, 20, *calm))
    assert not said.size, "one alone is nothing"
    said = detector(Incident).update(road_of(*calm, 20, 20, 20, 50, 50, 20, 50, 50, 50, 50))
    assert said.on.tolist() == [True, False]
    minutes = (said.at / 1e6 - MONDAY_S) / 60
    assert minutes.tolist() == [25, 32], "the second critical value, and the third calm one"
    assert (said.since[0] / 1e6 - MONDAY_S) / 60 == 24
    assert (said.value[0], said.expected[0]) == (20, pytest.approx(50, abs=1.5))


def test_congestion_is_what_other_weeks_do_not_have(tmp_path: Path) -> None:
    days = 16
    found = detector(Congestion)
    start = MONDAY_S + days * DAY_S + 9 * HOUR_S
    ordinary = play(found, rows(CITY, MONDAY_S, days * DAY_S + 9 * HOUR_S, step_s=300))
    assert not ordinary.size, "two weeks of rush hours, and the third week's are like them"
    slow = {"kind": "traffic_incident", "where": {"largest": 1}, "start": 1800, "for": 5400, "builds": 3600}
    played = scenario_of(CITY, tmp_path, start, 3 * HOUR_S, slow)
    assert played != QUIET
    changes = play(found, rows(CITY, start, 3 * HOUR_S, played, step_s=300))
    told = score(changes, [effect.truth(CITY) for effect in played])
    assert told.found >= 0.9 * told.reached
    assert told.false == 0
