"""When the disk will be full: foretold from what goes on, not from what happened once; by keeper and boards."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from ingest.disk import DAY_S, HOUR_S, LEAST_SEEN_S, Disk, Slope, log_bytes
from tests.stack import RunningStack

GB = 1_000_000_000
LOOK_S = 600.0
STEADY = 3.0
"""GB an hour."""

Taken = Callable[[float], float]
"""GB that were taken of the disk so many hours after the first look."""


def load_of(begin: float, lasts: float, size: float) -> Taken:
    """Once so many GB, from one hour on for some hours."""
    return lambda hour: size * min(max((hour - begin) / lasts, 0.0), 1.0)


def each_night(size: float) -> Taken:
    """So many GB in the second hour of each day."""
    return lambda hour: sum(load_of(24.0 * day + 1.0, 1.0, size)(hour) for day in range(5))


def steady(hour: float) -> float:
    """Always the same."""
    return STEADY * hour


def late_growth(hour: float) -> float:
    """From the second day on."""
    return STEADY * max(hour - 24.0, 0.0)


def with_retention(hour: float) -> float:
    """As much goes at midnight as came in the day."""
    return STEADY * (hour % 24.0)


Told = tuple[Taken, float, float | None]
"""What is taken, hours that are seen of it, and the GB that a day takes as foretold; None: nothing is."""

STORIES: dict[str, Told] = {
    "ten minutes": (steady, 0.2, None),
    "not yet six hours": (steady, 5.8, None),
    "six hours": (steady, 6.2, 24 * STEADY),
    "two days and a half": (steady, 60.0, 24 * STEADY),
    "a load after the start": (load_of(0.0, 1.0, 50.0), 6.5, 0.0),
    "a load of the last two hours": (load_of(5.0, 2.0, 50.0), 7.0, 0.0),
    "a load of ten hours, a day later": (load_of(0.0, 10.0, 200.0), 26.0, 0.0),
    "a load in the second of two days": (load_of(40.0, 3.0, 50.0), 50.0, 0.0),
    "growth for thirteen hours": (late_growth, 37.5, 13.5 / 24 * 24 * STEADY),
    "every night": (each_night(50.0), 51.0, 50.0),
    "once at night": (each_night(50.0), 12.0, 0.0),
}


def looks(taken: Taken, hours: float) -> Iterator[tuple[float, int]]:
    """Seconds, and bytes that are free then."""
    for number in range(int(hours * HOUR_S / LOOK_S) + 1):
        yield number * LOOK_S, round((400 - taken(number * LOOK_S / HOUR_S)) * GB)


@pytest.mark.parametrize("told", STORIES.values(), ids=STORIES)
def test_what_goes_on_is_foretold(told: Told) -> None:
    taken, hours, per_day = told
    slope = Slope()
    for now, free in looks(taken, hours):
        slope.see(now, free)
    foretold = slope.per_day()
    assert foretold == (per_day if per_day is None else pytest.approx(per_day * GB, rel=0.06, abs=GB))


@pytest.fixture
def boards(stack: RunningStack) -> Iterator[psycopg.Connection[Any]]:
    """A database without samples."""
    with stack.database() as url, psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_boards_foretell_the_same(boards: psycopg.Connection[Any]) -> None:
    for name, (taken, hours, per_day) in {**STORIES, "retention": (with_retention, 47.0, 0.0)}.items():
        boards.execute("truncate ops.disk_sample")
        with boards.cursor() as cursor:
            cursor.executemany(
                "insert into ops.disk_sample select now() + %s * interval '1 s', %s, %s",
                [(now, free, 10**12) for now, free in looks(taken, hours)],
            )
        ((foretold, left),) = boards.execute(
            "select net_bytes_per_day::float8, days_left from city.disk_left"
        ).fetchall()
        assert foretold == (per_day if per_day is None else pytest.approx(per_day * GB, rel=0.06, abs=GB)), name
        assert (left is None) == (not foretold), name


def test_what_retention_gave_back_has_come_in_as_well() -> None:
    slope = Slope()
    for now, free in looks(with_retention, 47.0):
        slope.see(now, free)
        if now == 24 * HOUR_S - LOOK_S:
            slope.give_back(now, round(24 * STEADY) * GB)
    assert slope.per_day() == pytest.approx(24 * STEADY * GB, rel=0.06)


def test_a_log_that_is_rewritten_is_no_growth() -> None:
    slope = Slope()
    for now, free in looks(steady, 8.0):
        slope.see(now, free, round(STEADY * now / HOUR_S * GB))
    assert slope.per_day() == pytest.approx(0.0)


def test_little_room_rings_at_once_however_little_was_seen() -> None:
    slope = Slope()
    slope.see(0.0, 40 * GB)
    assert slope.per_day() is None
    assert Disk(40 * GB, 10**12, slope.per_day()).trouble == "the disk is almost full: 40.0 of 1000 GB are free"
    assert Disk(50 * GB, 252 * GB, slope.per_day()).trouble is None


def test_memory_is_bounded() -> None:
    slope = Slope()
    for now in range(0, round(10 * DAY_S), 600):
        slope.see(float(now), 400 * GB)
        slope.give_back(float(now), 1)
    assert len(slope._hours) <= 50
    assert len(slope._given_back) <= 2 * DAY_S / 600 + 10
    assert LEAST_SEEN_S < 2 * DAY_S


def test_the_log_counts_up_to_what_the_server_keeps_anyway(boards: psycopg.Connection[Any]) -> None:
    ((most,),) = boards.execute("select pg_size_bytes(current_setting('max_wal_size'))").fetchall()
    assert 0 < log_bytes(boards) <= most
    boards.execute("set role dothi_reader")
    assert log_bytes(boards) == 0
