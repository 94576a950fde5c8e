"""Open buckets of this hour, whose views look at the newest readings alone; and counters last heard of long ago."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from devices.family import FAMILIES
from tests.rollup_world import Connections, Reading, World, owner_and_analyst
from tests.stack import RunningStack
from tests.test_rollup import SENT, check


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """To a database of its own."""
    yield from owner_and_analyst(stack)


def reading(world: World, ago: timedelta, value: float, device: int = 0, area: int = 0) -> Reading:
    """A reading of both metrics that are sent, some time before now."""
    time = datetime.now(UTC) - ago
    first, second = SENT[world.family.name]
    return Reading(world.devices[device], world.areas[area], time, len(world.readings), {first: value, second: value})


@pytest.mark.parametrize("family", sorted(SENT))
def test_what_is_open_agrees_with_the_readings(connections: Connections, family: str) -> None:
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    world = World(FAMILIES[family], *connections, now=datetime.now(UTC) - hour)
    world.write([reading(world, 240 * hour, 1.0), reading(world, 240 * hour, 2.0, device=1)])
    world.rest()
    recent = [(50, 0.0, 0, 0), (49.5, 1.0, 0, 1), (20, 2.0, 1, 0), (1, 2.0, 0, 0), (0.01, 1.0, 1, 1)]
    world.write([reading(world, ago * minute, *rest) for ago, *rest in recent])
    world.admin.execute("delete from rollup.area_open_state")
    check(world)  # nothing of it is taken
    world.write([reading(world, 3 * minute, 1.0), reading(world, 100 * hour, 2.0), reading(world, 70 * minute, 2.0)])
    world.now = datetime.now(UTC)
    world.rest()
    check(world)


def test_a_late_reading_changes_the_step_of_one_that_came_days_later(connections: Connections) -> None:
    hour = timedelta(hours=1)
    world = World(FAMILIES["meter"], *connections, now=datetime.now(UTC))
    world.write([reading(world, 400 * hour, 1.0), reading(world, 5 * hour, 9.0)])
    world.rest()
    world.write([reading(world, 300 * hour, 4.0), reading(world, 299.9 * hour, 5.0), reading(world, 12 * hour, 6.0)])
    world.rest()
    check(world)
    increase = "select total_active_energy_import_increase from city.meter_1h order by bucket desc limit 1"
    assert world.row(increase) == (3.0,)


@pytest.mark.parametrize("family", ["air_quality", "meter"])
def test_hours_that_are_at_hand_are_asked_without_a_look_at_the_readings(connections: Connections, family: str) -> None:
    world = World(FAMILIES[family], *connections, now=datetime.now(UTC) - timedelta(hours=1))
    world.write([reading(world, timedelta(minutes=ago), 1.0) for ago in (5, 3, 1)])
    known = f"select until from city.area_known where family = '{family}' and width = '1h'"
    asked = f"select n from city.{family}_area_1h where bucket < ({known})"
    large = "insert into registry.device_count select area, profile, 'planned', 9e6 from registry.device_count limit 1"
    assert world.row(f"select ({known}) = 'infinity'") == (True,), "a small city's are added up"
    assert sum(n for (n,) in world.admin.execute(asked.encode()).fetchall()) == 3
    assert read(world, asked)
    with world.admin.transaction(force_rollback=True):
        world.admin.execute(large)
        closed = world.row("select until from rollup.closed where (family, width) = (%s, '1h')", family)
        assert world.row(known) == closed
        assert read(world, asked) == []


def read(world: World, query: str) -> list[str]:
    """The parts of a plan that went through readings."""
    of_readings = "select chunk_name from timescaledb_information.chunks where hypertable_schema = 'reading'"
    chunks = [chunk for (chunk,) in world.admin.execute(of_readings).fetchall()]
    plan = [line for (line,) in world.admin.execute(f"explain (analyze, timing off) {query}".encode()).fetchall()]
    return [line for line in plan if any(f" on {chunk} " in line for chunk in chunks) and "never executed" not in line]
