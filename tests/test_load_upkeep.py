"""What a run says of memory and of the database beside storing: slopes of lines, differences of counts."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dothi.load.sampler import memory_slopes, process_names
from dothi.load.upkeep import Upkeep, upkeep
from tests.stack import RunningStack

HOUR_S = 3600
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def samples(first_mib: float, a_minute: float, until_s: int = HOUR_S) -> list[dict[str, object]]:
    """A run in which the second worker grows and all else stays."""
    return [
        {
            "at": float(at),
            "memory_mib": {"workers": 900.0, "analyst": 700.0},
            "each_mib": {"workers 0": 400.0, "workers 1": first_mib + a_minute * at / 60},
        }
        for at in range(0, until_s, 5)
    ]


@given(st.floats(10, 5000), st.floats(0, 50))
def test_the_slope_of_a_line_is_found_and_nobody_elses_changes(first_mib: float, a_minute: float) -> None:
    found = memory_slopes(samples(first_mib, a_minute), HOUR_S)
    assert found.keys() == {"analyst", "workers 0", "workers 1"}, "processes, not their sum"
    assert {found[name]["percent_a_minute"] for name in ("analyst", "workers 0")} == {0.0}
    line = found["workers 1"]
    middle = (first_mib + a_minute * 30 + first_mib + a_minute * 60) / 2
    assert line["percent_a_minute"] == pytest.approx(a_minute / middle * 100, rel=0.01, abs=0.001)
    assert line["from_mib"] == pytest.approx(first_mib + a_minute * 30, rel=0.01, abs=0.1)


def test_what_comes_after_the_sending_does_not_count() -> None:
    after = {"at": HOUR_S + 9.0, "memory_mib": {"analyst": 9000.0}, "each_mib": {"workers 0": 1.0}}
    twice = [*samples(100.0, 0.0, HOUR_S), after]
    assert memory_slopes(twice, HOUR_S)["analyst"]["percent_a_minute"] == 0.0


def test_a_run_of_a_moment_tells_nothing() -> None:
    assert memory_slopes(samples(1.0, 1.0, 10), 10.0) == {}


def test_processes_that_are_alike_are_told_apart() -> None:
    document = {"processes": {"broker": [11, 12], "database": 13, "workers": [14]}}
    assert process_names(document) == {
        "broker 0": ("broker", 0),
        "broker 1": ("broker", 1),
        "workers 0": ("workers", 0),
    }


def test_a_later_chunk_of_a_family_that_had_one_is_a_roll_over() -> None:
    hour = timedelta(hours=1)
    before = Upkeep({("rain", START): 1}, (5, 1, 2.0), 100)
    # Rain goes on, late readings reach back; a meter is new, its readings of an hour ago come late, then it goes on.
    begun = {("rain", START - hour): 2, ("rain", START + hour): 3, ("rain", START - 2 * hour): 4}
    begun |= {
        ("meter", START): 5,
        ("meter", START - hour): 6,
        ("meter", START + hour): 8,
        ("meter", START + 2 * hour): 9,
    }
    found = Upkeep(before.chunks | begun, (7, 1, 2.5), 400).since(before)
    assert found["chunks_begun"] == 7
    assert (found["chunk_roll_overs"], found["families_rolled_over"]) == (3, 2)
    assert (found["checkpoints_timed"], found["checkpoints_requested"], found["checkpoints_s"]) == (2, 0, 0.5)
    assert found["wal_bytes"] == 300


def test_after_a_crash_of_the_server_no_count_is_negative() -> None:
    found = Upkeep({}, (0, 1, 0.5), 400).since(Upkeep({}, (9, 9, 9.0), 100))
    assert min(found.values()) == 0


def test_a_checkpoint_is_seen(stack: RunningStack) -> None:
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        before = upkeep(connection)
        connection.execute("checkpoint")
        connection.execute("select pg_stat_clear_snapshot()")
        found = upkeep(connection).since(before)
    assert found["checkpoints_requested"] >= 1
    assert found["wal_bytes"] > 0


def test_a_chunk_that_begins_is_seen(stack: RunningStack) -> None:
    insert = "insert into reading.weather (time, seq, received, batch, device, area) values (%s, 1, now(), 1, 77777, 1)"
    with psycopg.connect(stack.document["database"]) as connection:
        before = upkeep(connection)
        for days in (400, 800):
            connection.execute(insert, (datetime.now(UTC) + timedelta(days=days),))
        found = upkeep(connection).since(before)
        connection.rollback()
    assert found["chunks_begun"] == 2
    assert found["chunk_roll_overs"] == 1 + any(family == "weather" for family, _ in before.chunks)
