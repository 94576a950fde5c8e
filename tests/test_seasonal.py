"""The profile by hour of the week: what it learns, forgets and leaves out."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detectors.seasonal import COLUMNS, HOUR_US, HOURS, Weekly, hour_of_week

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
WEEK_US = HOURS * HOUR_US
START = int(datetime(2026, 1, 5, tzinfo=LOCAL).timestamp()) * 1_000_000


def feed(weekly: Weekly, times: np.ndarray, values: np.ndarray) -> None:
    """One device, one reading at a time."""
    for time, value in zip(times.tolist(), values.tolist(), strict=True):
        weekly.update(np.array([0]), np.array([time]), np.array([value]))


def hourly(weeks: int, level: np.ndarray, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    times = START + np.arange(weeks * HOURS) * HOUR_US
    return times, np.tile(level, weeks) + noise * np.random.default_rng(seed).standard_normal(len(times))


@given(st.integers(2**29, 2**36))  # from 1987 on; UTC+7 since 1975
def test_the_hour_of_the_week_is_that_of_local_time(seconds: int) -> None:
    local = datetime.fromtimestamp(seconds, UTC).astimezone(LOCAL)
    assert hour_of_week(np.array([seconds * 1_000_000]))[0] == local.weekday() * 24 + local.hour


def test_it_is_silent_for_two_weeks_and_then_knows_every_hour() -> None:
    weekly = Weekly()
    weekly.grow(1)
    level = np.arange(HOURS, dtype=np.float64)
    times, values = hourly(2, level)
    feed(weekly, times, values)
    at = times[:HOURS] + 2 * WEEK_US
    before = weekly.expected(np.zeros(HOURS, np.int64), at)
    assert np.isnan(before[-1])
    assert before[:-1] == pytest.approx(level[:-1])
    feed(weekly, at[:1], level[:1])  # the next hour closes the last one
    assert weekly.expected(np.zeros(HOURS, np.int64), at) == pytest.approx(level)


def test_a_single_odd_week_hardly_moves_it_and_a_lasting_change_does() -> None:
    weekly = Weekly()
    weekly.grow(1)
    level = 100.0 + 50.0 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi)
    times, values = hourly(8, level, noise=2.0)
    odd = values.copy()
    odd[6 * HOURS : 7 * HOURS] += 500
    feed(weekly, times, odd)
    found = weekly.expected(np.zeros(HOURS, np.int64), times[:HOURS] + 8 * WEEK_US)
    assert np.nanmax(np.abs(found - level)) < 8
    feed(weekly, *hourly_from(8, 20, level + 60))
    assert np.nanmax(np.abs(weekly.expected(np.zeros(HOURS, np.int64), times[:HOURS]) - level - 60)) < 12


def hourly_from(week: int, weeks: int, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    times, values = hourly(weeks, level)
    return times + week * WEEK_US, values


def test_the_spread_is_the_standard_deviation_of_single_readings() -> None:
    weekly = Weekly()
    slots = 200
    weekly.grow(slots)
    random = np.random.default_rng(1)
    each = np.arange(slots)
    for step in range(4 * HOURS * 6):
        time = START + step * HOUR_US // 6
        weekly.update(each, np.full(slots, time), random.normal(20, 3, slots))
    spread = weekly.spread(each, np.full(slots, START))
    assert spread.mean() == pytest.approx(3, rel=0.1)
    score = weekly.score(each, np.full(slots, START), np.full(slots, 32.0))
    assert score.mean() == pytest.approx(4, rel=0.15)


def test_between_the_middles_of_hours_it_goes_straight() -> None:
    weekly = Weekly(smooth=True)
    weekly.grow(1)
    feed(weekly, *hourly(3, np.arange(HOURS, dtype=np.float64)))
    zero = np.zeros(4, np.int64)
    at = START + 3 * WEEK_US + 10 * HOUR_US + np.array([0, HOUR_US // 2, HOUR_US * 3 // 4, HOUR_US])
    assert weekly.expected(zero, at) == pytest.approx([9.5, 10, 10.25, 10.5])


@settings(max_examples=30)
@given(st.data())
def test_devices_gaps_and_late_readings_do_not_touch_others(data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 3 * HOURS), st.floats(-50, 50) | st.just(np.nan)), max_size=80
        )
    )
    together, alone = Weekly(), Weekly()
    together.grow(3)
    alone.grow(1)
    for slot, hour, value in rows:
        time = np.array([START + hour * HOUR_US])
        together.update(np.array([slot]), time, np.array([value]))
        if slot == 1:
            alone.update(np.array([0]), time, np.array([value]))
    for column in COLUMNS:
        mine, its = together.state[f"weekly_{column}"][1], alone.state[f"weekly_{column}"][0]
        assert np.array_equal(mine, its)


def test_what_is_saved_is_all_there_is() -> None:
    times, values = hourly(3, np.arange(HOURS, dtype=np.float64), noise=1)
    whole = Weekly()
    whole.grow(1)
    feed(whole, times, values)
    first = Weekly()
    first.grow(1)
    feed(first, times[:250], values[:250])
    second = Weekly({name: column.copy() for name, column in first.state.items()})
    feed(second, times[250:], values[250:])
    assert all(np.array_equal(second.state[name], column) for name, column in whole.state.items())
    assert sum(column.nbytes for column in whole.state.values()) == 956
