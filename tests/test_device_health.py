"""Detectors of device health: what each finds, and what it must not take for a fault."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detectors.battery import Battery, theil_sen
from analytics.detectors.clock import Clock
from analytics.detectors.detector import Detector
from analytics.detectors.drift import Drift
from analytics.detectors.implausible import Implausible, bounds
from analytics.detectors.missing import Missing
from analytics.detectors.neighbours import NOBODY, nearest
from analytics.detectors.repeated import Repeated
from analytics.detectors.reporting import Reporting
from analytics.detectors.rows import Changes, Rows, joined
from analytics.detectors.shift import Shift
from analytics.detectors.silent import Silent
from analytics.detectors.spike import Spike, excursion
from analytics.detectors.stuck import REACH, Stuck, rare_length
from devices.family import FAMILIES
from tests.detector_world import BEGIN_US, SECOND_US, fleet_of, series
from tests.evaluation import fleet as simulated
from tests.evaluation.judge import scores, unexplained
from tests.evaluation.open_data import air_quality, metro_traffic
from tests.evaluation.series import copies_of, judged, untouched

WEATHER = FAMILIES["weather"]
TEMPERATURE = WEATHER.index["temperature"]
HOUR_S, DAY_S = 3600.0, 86_400.0


def made(kind: type[Detector], devices: int = 1, interval_s: float = 60.0) -> Detector:
    """A detector of weather stations."""
    detector = kind(WEATHER)
    detector.grow(fleet_of(devices, interval_s))
    return detector


def temperatures(values: np.ndarray, interval_s: float = 60.0, slot: int = 0) -> Rows:
    """Readings of one station that tells nothing else."""
    table = np.full((len(values), len(WEATHER.metrics)), np.nan)
    table[:, TEMPERATURE] = values
    return series(WEATHER, table, interval_s, slot)


def noisy(n: int, seed: int = 1, interval_s: float = 60.0) -> np.ndarray:
    """A day's wave with noise, to a hundredth of a degree."""
    hours = np.arange(n) * interval_s / HOUR_S
    return np.round(22 + 5 * np.sin(hours * np.pi / 12) + np.random.default_rng(seed).normal(0, 0.4, n), 2)


def on(changes: Changes) -> list[int]:
    """Seconds after the beginning at which something was told."""
    return [
        (at - BEGIN_US) // SECOND_US
        for at, is_on in zip(changes.at.tolist(), changes.on.tolist(), strict=True)
        if is_on
    ]


def ticked(detector: Detector, until_s: float, step_s: float = 60.0, first_s: float = 0.0) -> Changes:
    """Time that passes without readings."""
    moments = np.arange(first_s, until_s, step_s)
    return joined([detector.tick(BEGIN_US + int(moment * SECOND_US)) for moment in moments])


def test_a_device_is_silent_after_the_intervals_it_may_miss_and_not_before() -> None:
    silent = made(Silent)
    silent.tick(BEGIN_US)
    silent.update(temperatures(noisy(10)))
    assert on(ticked(silent, 540 + 180, first_s=540)) == []
    told = ticked(silent, 900, first_s=720)
    assert on(told) == [780]
    silent.update(temperatures(noisy(20)))
    back = silent.tick(BEGIN_US + 1200 * SECOND_US)
    assert back.on.tolist() == [False]


def test_a_device_that_is_not_expected_is_never_silent() -> None:
    silent = Silent(WEATHER)
    silent.grow(fleet_of(1)._replace(expected=np.zeros(1, np.bool_)))
    silent.update(temperatures(noisy(10)))
    assert on(ticked(silent, 7200)) == []


def test_time_in_which_we_did_not_listen_is_no_silence() -> None:
    before, after = made(Silent), made(Silent)
    before.update(temperatures(noisy(10)))
    for name, array in before.state.items():
        after.state[name][:1] = array[:1]
    hour_later = BEGIN_US + 3600 * SECOND_US
    assert after.tick(hour_later).size == 0
    assert after.tick(hour_later + 120 * SECOND_US).size == 0
    assert after.tick(hour_later + 300 * SECOND_US).on.tolist() == [True]


def test_when_all_are_quiet_at_once_the_stream_is_interrupted_and_nobody_is_silent() -> None:
    silent = made(Silent, devices=20)
    silent.tick(BEGIN_US)
    for slot in range(20):
        silent.update(temperatures(noisy(10), slot=slot))
    assert on(ticked(silent, 7200, first_s=540)) == []
    late = temperatures(noisy(1), slot=3)
    silent.update(Rows(WEATHER, late.slot, late.time + 7200 * SECOND_US, late.time + 7200 * SECOND_US, late.values))
    assert on(ticked(silent, 7200 + 150, first_s=7200)) == []


def test_six_hourly_values_that_are_equal_are_stuck() -> None:
    values = noisy(24 * 20, interval_s=HOUR_S)
    values[400:407] = values[400]
    stuck = made(Stuck, interval_s=HOUR_S)
    told = stuck.update(temperatures(values, HOUR_S))
    assert on(told) == [405 * 3600]
    assert told.since.tolist()[0] == BEGIN_US + 400 * 3600 * SECOND_US
    assert told.on.tolist() == [True, False]


@pytest.mark.parametrize("values", [np.zeros(3000), np.full(3000, 21.5), np.repeat(np.arange(30.0), 100)])
def test_what_hardly_ever_changes_is_not_stuck(values: np.ndarray) -> None:
    assert made(Stuck).update(temperatures(values)).size == 0


def test_values_that_all_come_three_times_are_stuck_at_the_sixth() -> None:
    values = np.repeat(noisy(160, interval_s=3 * HOUR_S), 3)
    values[399:405] = values[399]
    told = made(Stuck, interval_s=HOUR_S).update(temperatures(values, HOUR_S))
    assert on(told) == [404 * 3600]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, 500), min_size=REACH + 1, max_size=REACH + 1), st.floats(1e-9, 1e-3))
def test_the_rarer_a_run_must_be_the_longer_it_is(reached: list[int], chance: float) -> None:
    runs = np.sort(np.array(reached))[::-1].copy()  # no more runs are long than short
    longer, shorter = (rare_length(runs, one) for one in (chance / 10, chance))
    assert 2 <= shorter <= longer


def test_another_unit_is_told_after_six_readings_and_a_peak_is_none() -> None:
    for change in (lambda values: values * 1.8 + 32, lambda values: values / 10, lambda values: values + 25):
        values = noisy(4000)
        values[3500:] = change(values[3500:])
        told = made(Shift).update(temperatures(values))
        assert on(told) == [3505 * 60]
        assert told.since.tolist()[0] == BEGIN_US + 3500 * 60 * SECOND_US
    peak, front = noisy(4000), noisy(4000)
    peak[3500:3504] += 40
    front[3500:] += np.minimum(np.arange(500) * 0.3, 30)
    assert made(Shift).update(temperatures(peak)).size == 0
    assert made(Shift).update(temperatures(front)).size == 0


def test_a_metric_that_is_not_sent_any_more_is_told_after_five_readings_and_a_rare_one_is_not() -> None:
    table = np.full((3000, len(WEATHER.metrics)), np.nan)
    table[:, TEMPERATURE], table[:, 1] = noisy(3000), 1.0
    table[::10, 2] = 1.0
    renamed = table.copy()
    renamed[2700:, TEMPERATURE] = np.nan
    told = made(Missing).update(series(WEATHER, renamed))
    assert (on(told), told.metric.tolist()) == ([2704 * 60], [TEMPERATURE])
    assert told.since.tolist() == [BEGIN_US + 2700 * 60 * SECOND_US]
    assert made(Missing).update(series(WEATHER, table)).size == 0


def test_a_spike_is_found_and_a_step_is_none() -> None:
    spiked = noisy(500)
    spiked[400] += 20
    step = noisy(500)
    step[400:] += 20
    assert on(made(Spike).update(temperatures(spiked))) == [401 * 60]
    assert made(Spike).update(temperatures(step)).size == 0


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.floats(-100, 100), min_size=5, max_size=5), st.floats(0.1, 50), st.floats(-20, 20))
def test_an_excursion_scales_with_the_series(values: list[float], factor: float, offset: float) -> None:
    newest, *ring = values
    one = excursion(newest, np.array(ring))
    other = excursion(newest * factor + offset, np.array(ring) * factor + offset)
    assert other == pytest.approx(one * factor, abs=1e-9 * (1 + abs(factor) * 300))


@pytest.mark.parametrize("wrong_s", [600, -600, 7200])
def test_a_wrong_clock_is_found_after_twenty_minutes(wrong_s: int) -> None:
    rows = temperatures(noisy(120))
    time = rows.time + np.where(np.arange(120) >= 60, wrong_s * SECOND_US, 0)
    told = made(Clock).update(Rows(WEATHER, rows.slot, time, rows.received, rows.values))
    assert on(told) == [(60 + 20) * 60]
    assert told.value[0] == pytest.approx(-wrong_s)


def test_a_buffer_that_is_emptied_is_no_wrong_clock() -> None:
    rows = temperatures(noisy(240))
    received = np.maximum(rows.received, BEGIN_US + (120 * 60 + np.arange(240) * 2) * SECOND_US)
    assert made(Clock).update(Rows(WEATHER, rows.slot, rows.time, received, rows.values)).size == 0


def test_a_device_that_loses_half_of_its_readings_is_told_and_one_that_loses_few_is_not() -> None:
    random = np.random.default_rng(3)
    rows = temperatures(noisy(2000))
    half, few = random.random(2000) < 0.45, random.random(2000) < 0.95
    assert made(Reporting).update(rows.of(half)).on.tolist()[:1] == [True]
    assert made(Reporting).update(rows.of(few)).size == 0


def test_a_moment_that_is_told_twice_is_found() -> None:
    rows = temperatures(noisy(100), HOUR_S)
    time = np.repeat(rows.time[:50], 2)
    twice = made(Repeated).update(Rows(WEATHER, rows.slot, time, rows.received, rows.values))
    assert twice.on.tolist() == [True]
    assert made(Repeated).update(rows).size == 0


def test_absolute_zero_and_ten_metres_of_rain_are_implausible() -> None:
    table = np.full((600, len(WEATHER.metrics)), np.nan)
    table[:, TEMPERATURE], rain = noisy(600), WEATHER.index["precipitation"]
    table[:, rain] = 0.0
    table[500, TEMPERATURE], table[550, rain] = -273.15, 9831.3
    told = made(Implausible).update(series(WEATHER, table))
    assert on(told) == [500 * 60, 550 * 60]


def test_what_is_plausible_lies_in_known_metrics_and_units() -> None:
    known = {metric.name: {m.unit for f in FAMILIES.values() for m in f.metrics if m.name == metric.name}
             for family in FAMILIES.values() for metric in family.metrics}  # fmt: skip
    for name, bound in bounds().items():
        assert bound["unit"] in known[name], name
        assert float(str(bound["low"])) < float(str(bound["high"])), name


def test_the_days_that_a_battery_has_left_are_told() -> None:
    level = WEATHER.index["battery_level"]
    table = np.full((24 * 12, len(WEATHER.metrics)), np.nan)
    table[:, level] = 0.8 - 0.05 * np.arange(24 * 12) / 24
    battery = made(Battery, interval_s=HOUR_S)
    told = battery.update(series(WEATHER, table, HOUR_S))
    assert told.on.tolist() == [True]
    assert 10 < told.value[0] <= 14
    charged = table.copy()
    charged[:, level] = 0.9
    again = series(WEATHER, charged, HOUR_S)
    later = Rows(WEATHER, again.slot, again.time + int(12 * DAY_S) * SECOND_US, again.received, again.values)
    assert battery.update(later).on.tolist() == [False]


def test_a_battery_that_is_charged_every_other_day_has_no_end() -> None:
    level = WEATHER.index["battery_level"]
    table = np.full((24 * 30, len(WEATHER.metrics)), np.nan)
    table[:, level] = 1.0 - 0.35 * (np.arange(24 * 30) / 24 % 2)
    assert made(Battery, interval_s=HOUR_S).update(series(WEATHER, table, HOUR_S)).size == 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_slope_of_pairs_is_that_of_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(4, 9))
    rows[random.random(rows.shape) < 0.3] = np.nan
    for row, slope in zip(rows, theil_sen(rows), strict=True):
        pairs = [(row[j] - row[i]) / (j - i) for i in range(9) for j in range(i + 1, 9)]
        known = [one for one in pairs if not np.isnan(one)]
        assert np.isnan(slope) if not known else slope == pytest.approx(np.median(known))


def test_a_station_that_leaves_its_neighbours_drifts_and_the_weather_does_not() -> None:
    days, n = 14, 14 * 24
    random = np.random.default_rng(5)
    weather = noisy(n, interval_s=HOUR_S) + np.r_[np.zeros(200), np.full(n - 200, 12.0)]  # a warm spell for all
    drift = made(Drift, devices=9, interval_s=HOUR_S)
    ramp = np.maximum(np.arange(n) - 250, 0) / 24 * 1.5
    rows = [
        temperatures(weather + random.normal(0, 0.4, n) + (ramp if slot == 4 else 0), HOUR_S, slot) for slot in range(9)
    ]
    everything = Rows(
        WEATHER,
        *(np.concatenate([getattr(one, name) for one in rows]) for name in ("slot", "time", "received", "values")),
    )
    told = []
    for hour in range(days * 24):
        begin, end = (BEGIN_US + (hour + more) * 3600 * SECOND_US for more in (0, 1))
        drift.update(everything.of((everything.time >= begin) & (everything.time < end)))
        told.append(drift.tick(end + 1000 * SECOND_US))
    changes = joined(told)
    assert changes.slot.tolist() == [4]
    assert 250 < on(changes)[0] / 3600 < 250 + 66


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
@settings(max_examples=30, deadline=None)
def test_neighbours_are_those_that_a_search_of_all_pairs_finds(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    lat, lon, group = random.uniform(21.2, 21.4, n), random.uniform(106.1, 106.3, n), random.integers(0, 2, n)
    found = nearest(lat, lon, group, k=3, within_km=9.0)
    scale = [np.cos(np.radians(lat[group == one].mean())) if (group == one).any() else 1.0 for one in (0, 1)]
    for one in range(n):
        km = 111.2 * np.hypot(lat - lat[one], (lon - lon[one]) * scale[group[one]])
        km[(group != group[one]) | (np.arange(n) == one) | (km > 9.0)] = np.inf
        expected = np.sort(km)[:3]
        got = np.sort([km[other] if other != NOBODY else np.inf for other in found[one]])
        assert got == pytest.approx(expected[np.isfinite(expected)].tolist() + [np.inf] * int(np.isinf(got).sum()))


def test_devices_without_a_position_have_no_neighbours() -> None:
    nowhere = np.full(4, np.nan)
    assert (nearest(nowhere, nowhere, np.zeros(4, int)) == NOBODY).all()


HEALTH = ("silent", "stuck", "spike", "drift", "clock", "battery", "reporting", "repeated", "implausible")


def test_faults_in_an_open_series_are_found(shared: Path) -> None:
    one = air_quality(shared / "reference" / "open_data")
    copies = copies_of(one, 5, seed=3)
    for score in scores([copy.fault for copy in copies], judged(one, copies, HEALTH)):
        assert score.recall >= 0.8, score.row()


def test_bad_rows_of_the_traffic_series_are_found(shared: Path) -> None:
    whole = metro_traffic(shared / "reference" / "open_data")
    cold, wet = np.flatnonzero(whole.table[:, 1] < -270), np.flatnonzero(whole.table[:, 2] > 9000)
    for places, metric in ((cold, "temperature"), (wet, "precipitation")):
        near = slice(max(0, places[0] - 400), places[-1] + 10)
        part = whole._replace(time=whole.time[near], table=whole.table[near])
        found = judged(part, [untouched(part)], ["implausible", "repeated"])
        told = [one for one in found if (one.detector, one.metric) == ("implausible", metric)]
        for place in places:
            moment = int(whole.time[place] * 1e6)
            assert any(one.since <= moment <= one.until for one in told), place
        again = np.flatnonzero(np.diff(part.time) == 0)
        for place in again:
            moment = int(part.time[place + 1] * 1e6)
            assert any(one.detector == "repeated" and one.since <= moment <= one.until for one in found), place


@pytest.mark.full
def test_a_small_fleet_with_faults_is_judged_well() -> None:
    city = simulated.fleet_of({"soil": 12, "water_level": 12, "classroom": 12, "meter": 8}, 4)
    events = simulated.faults_in(city, 5, 20.0, each=4, slow_s=1800.0)
    world = simulated.World(city, events, 20 * DAY_S, slow_s=1800.0)
    faults = simulated.faults_of(effect.truth(city) for effect in world.scenario())
    found = simulated.findings(world, names=HEALTH)
    told = {score.kind: score for score in scores(faults, found)}
    for kind in ("stuck", "drift", "spikes", "silence", "clock", "battery_death"):
        assert told[kind].recall == 1.0, told[kind]
    assert len(unexplained(faults, found)) <= 4, "at a reading every half hour; the whole fleet has its own figure"
