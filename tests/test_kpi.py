"""The plan's figures: devices per 100 people by zone, fleet by sector, what is online and how complete the data are."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.bulletins.plan import HOURS, Filled
from analytics.indices import plan
from devices.area import PLAN, ZONES, people_2030
from devices.family import FAMILIES
from devices.sector import OTHER, SECTORS, sector_of
from simulators.mix import usual_mix
from tests.rollup_world import Connections, Reading, World, midnight, owner_and_analyst
from tests.stack import RunningStack

people = st.integers(1, 10_000_000)


def test_each_family_is_counted_in_one_sector() -> None:
    listed = [family for sector in SECTORS for family in sector.families]
    assert sorted(listed) == sorted(FAMILIES)
    assert sum(sector.priority for sector in SECTORS) == 6
    assert sector_of("no_such_family") == OTHER


def test_simulated_fleets_are_divided_by_the_same_sectors() -> None:
    mix = usual_mix()
    assert {family: mix.sector_of(family) for family in FAMILIES} == {family: sector_of(family) for family in FAMILIES}


@given(people, people, st.integers(1900, 2100))
def test_people_lie_between_the_census_and_the_plan(before: int, after: int, year: int) -> None:
    assert min(before, after) <= plan.people_in(year, before, after) <= max(before, after)
    assert plan.people_in(2019, before, after) == before
    assert plan.people_in(2030, before, after) == after


@given(st.integers(0, 10_000_000), people)
def test_what_is_missing_reaches_the_target(devices: int, people: int) -> None:
    for target in PLAN:
        needed = devices + plan.missing(devices, people, target.low)
        assert plan.standing(needed, people, target.low, target.high) != "below"
        assert (plan.missing(devices, people, target.low) > 0) == (
            plan.standing(devices, people, target.low, target.high) == "below"
        )


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


def rows(connection: "psycopg.Connection[Any]", statement: str) -> list[dict[str, Any]]:
    cursor = connection.execute(statement.encode())
    titles = [column.name for column in cursor.description or ()]
    return [dict(zip(titles, row, strict=True)) for row in cursor.fetchall()]


def test_the_views_say_what_the_formulas_say(connections: Connections) -> None:
    admin, _ = connections
    zone = ZONES[0]
    admin.execute(
        "insert into registry.device (device, profile, area) select 'kpi-' || g, p.id, %s "
        "from registry.profile p, generate_series(1, 1000) g where p.profile = 'native-noise'",
        (zone.id,),
    )
    found = rows(admin, "select * from city.kpi order by area, target_year")
    assert len(found) == len(ZONES) * len(PLAN)
    for row in found:
        here = next(z for z in ZONES if z.code == row["area"])
        target = next(t for t in PLAN if t.year == row["target_year"])
        count = row["devices"]
        living = plan.people_in(target.year, here.people_2019, people_2030(here))
        assert count == (1000 if here is zone else 0)
        assert row["people"] == living
        assert float(row["devices_per_100"]) == pytest.approx(plan.per_100(count, living), abs=0.005)
        assert row["standing"] == plan.standing(count, living, target.low, target.high)
        assert row["devices_missing"] == plan.missing(count, living, target.low)
        assert (row["target_low"], row["target_high"], row["source"]) == (target.low, target.high, target.source)
    ((sector, share, families),) = admin.execute(
        "select sector, share, families from city.kpi_sector where area = %s", (zone.code,)
    ).fetchall()
    assert (sector, share, families) == ("environment", 1.0, ["noise"])
    admin.execute("delete from registry.device")


def test_completeness_counts_those_that_are_silent(connections: Connections) -> None:
    admin, analyst = connections
    begin = midnight()
    world = World(FAMILIES["air_quality"], *connections, now=begin)
    index = Filled()
    area = world.row("select min(id) from registry.area")[0]

    def send(hours: range, readings: int) -> None:
        step = timedelta(seconds=60)
        world.write(
            [
                Reading(world.devices[0], area, begin + timedelta(hours=hour) + step * n, hour * 100 + n, {"pm25": 1.0})
                for hour in hours
                for n in range(readings)
            ]
        )

    def complete() -> Any:
        world.rest()
        with analyst.transaction():
            index.make(analyst, world.now)
        ((share,),) = admin.execute("select distinct complete from city.kpi where devices > 0").fetchall()
        assert admin.execute("select complete from city.kpi_sector where devices > 0").fetchall() == [(share,)]
        return share

    send(range(4), 60)
    world.now = begin + timedelta(hours=4, minutes=1)
    assert complete() == pytest.approx(0.5), "one of two devices, for as long as there are readings"
    send(range(4, 28), 30)
    world.now = begin + timedelta(hours=HOURS + 4, minutes=1)
    assert complete() == pytest.approx(0.25)
    world.now = begin + timedelta(hours=2 * HOURS + 4, minutes=1)
    assert complete() == 0
