"""The engine of detectors on a real database: what it finds is there once, whatever is killed in between."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from analytics import consume
from analytics.rollup.follower import microseconds
from tests.detecting_world import Above, Broken, World
from tests.rollup_world import Connections, owner_and_analyst
from tests.stack import RunningStack


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


def test_a_finding_is_opened_and_closed(connections: Connections) -> None:
    world = World(*connections)
    one, two = world.devices[:2]
    for value in (200, 300, 400, 500):
        world.write((one, value), (two, 5))
        world.round()
    assert world.found() == [(0, "above", "pm25", 1.0, None)]
    world.write((one, 7))
    world.round()
    assert world.found() == [(0, "above", "pm25", 1.0, 5.0)]
    row = world.admin.execute(
        "select device, area, family, detector, metric, score, value, until is null from city.finding"
    ).fetchone()
    assert row is not None
    assert row[1:] == ("213", "air_quality", "above", "pm25", 1.0, 400.0, False)


def test_what_comes_and_goes_in_one_batch_is_one_row_each(connections: Connections) -> None:
    world = World(*connections)
    one = world.devices[0]
    world.write(*[(one, value) for value in (200, 200, 200, 1, 200, 200, 200, 1, 200, 200, 200)])
    world.round()
    assert [(*row[1:3], row[4] is None) for row in world.found()] == [
        ("above", "pm25", False),
        ("above", "pm25", False),
        ("above", "pm25", True),
    ]


def test_time_alone_finds_silence_and_a_reading_ends_it(connections: Connections) -> None:
    world = World(*connections)
    one = world.devices[0]
    world.write((one, 1))
    world.round()
    world.now += timedelta(minutes=11)
    world.tick()
    assert world.found() == [(0, "quiet", "", 1.0, None)]
    world.write((one, 1))
    world.round()
    assert world.found() == [(0, "quiet", "", 1.0, 13.0)]


def test_late_readings_are_not_given(connections: Connections) -> None:
    world = World(*connections)
    one = world.devices[0]
    world.write((one, 1), minutes=10)
    world.round()
    world.now -= timedelta(minutes=9)
    for _ in range(4):
        world.write((one, 900))
        world.round()
    assert world.found() == []


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.full) for n in range(2, 12))])
def test_whenever_it_is_killed_it_finds_the_same(connections: Connections, seed: int) -> None:
    """Rounds put together, what is remembered stored each time or never, restarts at any point."""

    def story(world: World, disturbed: bool) -> list[tuple[Any, ...]]:
        chance, evil = random.Random(seed), random.Random(seed + 1)  # noqa: S311 - a story, no secret
        for number in range(40):
            rows = [(device, chance.choice([1, 150, 150, 200])) for device in world.devices if chance.random() < 0.7]
            if rows:
                world.write(*rows, minutes=chance.choice([1, 1, 12]))
            if number == 20:
                world.devices += world.enroll(2)
            if disturbed and evil.random() < 0.3:
                continue  # taken later, together with what comes
            world.round(tick=True)
            if disturbed and evil.random() < 0.4:
                world.restart()
        world.round()
        world.round()
        return [row for row in world.found() if row[1] == "above"]

    undisturbed = story(World(*connections, save_every_s=0.0), disturbed=False)
    assert len(undisturbed) > 5
    for save_every_s in (0.0, 1e9):
        assert story(World(*connections, save_every_s=save_every_s), disturbed=True) == undisturbed


def test_detectors_say_when_devices_were_heard(connections: Connections) -> None:
    world = World(*connections)
    one, two, silent = world.devices[:3]
    world.write((one, 1))
    first = world.now
    world.write((two, 1))
    world.round()
    heard = world.engine.heard("air_quality", [one, two, silent, 2**30])
    assert heard == {one: microseconds(first), two: microseconds(world.now)}
    assert world.engine.heard("weather", [one]) == {}


def test_a_round_that_fails_leaves_nothing_behind(connections: Connections) -> None:
    world = World(*connections)
    one = world.devices[0]
    world.write((one, 200), (one, 200), (one, 200))
    world.held_back()
    with world.analyst.transaction(force_rollback=True):
        for taken in consume.take(world.analyst, "analyst", 1000):
            world.engine.take(world.analyst, consume.read(world.analyst, taken))
        assert len(world.found()) == 0
    world.restart()
    assert world.found() == []
    world.round()
    assert len(world.found()) == 1


def test_a_detector_that_fails_is_out_and_the_others_go_on(connections: Connections) -> None:
    world = World(*connections, kinds=(Broken, Above))
    one = world.devices[0]
    world.write((one, 13))
    world.round()
    for _ in range(3):
        world.write((one, 200))
        world.round()
    assert [row[1] for row in world.found()] == ["above"]
    events = world.admin.execute("select message, severity from ops.event where kind = 'detector_failed'").fetchall()
    assert len(events) == 1
    assert "13 is no good" in events[0][0]
    samples = [sample for family in world.engine.collect() for sample in family.samples]
    assert [s.value for s in samples if s.name == "dothi_detector_failed"] == [1.0]


def test_a_retired_device_has_no_open_findings_and_begins_anew(connections: Connections) -> None:
    world = World(*connections)
    one = world.devices[0]
    for _ in range(3):
        world.write((one, 200))
        world.round()
    world.state(one, "retired")
    world.now += timedelta(minutes=1)
    world.tick()
    assert [row[4] is None for row in world.found()] == [False]
    world.state(one, "enrolled")
    for _ in range(2):
        world.write((one, 200))
        world.round()
    assert [row[4] is None for row in world.found()] == [False]
    world.write((one, 200))
    world.round()
    assert sorted(row[4] is None for row in world.found()) == [False, True]


def test_a_finding_of_a_detector_that_is_no_more_is_closed_at_the_start(connections: Connections) -> None:
    world = World(*connections)
    one = world.devices[0]
    for _ in range(3):
        world.write((one, 200))
        world.round()
    world.kinds = ()
    world.restart()
    world.round()
    assert [row[4] is None for row in world.found()] == [False]


def test_a_fleet_that_outgrows_the_memory_goes_on_without_the_general_ones(connections: Connections) -> None:
    world = World(*connections, room=1_000)
    one = world.devices[0]
    for value in (200, 300, 400, 500):
        world.write((one, value))
        world.round()
    assert world.found() == [(0, "above", "pm25", 1.0, None)]
    world.devices += world.enroll(20)
    for restarted in (False, True):
        world.write((one, 1), (world.devices[-1], 1), minutes=1)
        world.round()
        world.write((one, 300), (one, 300), (one, 300), minutes=1)
        world.round()
        assert [row[4] is None for row in world.found()] == [False], "what it had found is over, and it finds no more"
        if not restarted:
            world.restart()
    world.now += timedelta(minutes=11)
    world.tick()
    assert {row[1] for row in world.found() if row[4] is None} == {"quiet"}, "who knows one kind of trouble stays"
