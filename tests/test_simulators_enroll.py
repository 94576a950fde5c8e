"""A fleet in the registry: all of it as it is, once, or nothing."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from dothi.errors import Refused
from dothi.load.enroll import enroll_fleet, known_by
from dothi.settings import Stack, stack_at
from simulators.fleet import Fleet, build, districts, native_profile, zones_of
from tests.stack import RunningStack

pytestmark = pytest.mark.stack
STANDING = """
select d.device, p.profile, a.code, d.lat, d.lon, d.state
from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area
"""


@pytest.fixture(scope="module")
def registry(stack: RunningStack) -> Iterator[str]:
    """A database of its own, which no worker looks at."""
    with stack.database() as url:
        yield url


def fleet_of(people: int) -> Fleet:
    return build(districts(zones_of("bac-kan"), 100, people=people), 1)


def only(database: str) -> Stack:
    """A stack of which nothing but the database is known."""
    return Stack(None, None, database, database, {})


def standing(registry: str) -> dict[str, tuple[object, ...]]:
    with psycopg.connect(registry) as connection:
        return {row[0]: row[1:] for row in connection.execute(STANDING)}


def test_a_fleet_stands_in_the_registry_as_it_is(registry: str, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = fleet_of(3000)
    enroll_fleet(only(registry), fleet, threading.Event(), 0.0)
    assert "3,000 devices enrolled (3,000 new, 0 changed)" in capsys.readouterr().err
    found = standing(registry)
    assert sorted(found) == sorted(fleet.ids())
    for place in range(0, len(fleet), 97):
        profile, area, lat, lon, state = found[fleet.ids()[place]]
        assert profile == native_profile(fleet.families[fleet.family[place]]).name
        assert (area, state) == (fleet.areas[fleet.area[place]], "enrolled")
        assert (lat, lon) == pytest.approx((fleet.lat[place], fleet.lon[place]), abs=1e-5)
    enroll_fleet(only(registry), fleet_of(4000), threading.Event(), 0.0)
    assert "(1,000 new" in capsys.readouterr().err
    assert len(standing(registry)) == 4000
    enroll_fleet(only(registry), fleet_of(4000), threading.Event(), 0.0)
    assert "(0 new, 0 changed)" in capsys.readouterr().err


def test_an_enrolment_that_is_stopped_leaves_nothing_behind(registry: str) -> None:
    before, stop = standing(registry), threading.Event()
    stop.set()
    with pytest.raises(Refused, match="nothing of it is kept"):
        enroll_fleet(only(registry), fleet_of(9000), stop, 0.0)
    assert standing(registry) == before


def test_ingest_knows_a_fleet_that_is_enrolled(stack: RunningStack, capsys: pytest.CaptureFixture[str]) -> None:
    fleet, running = build(districts(zones_of("bac-giang"), 60, people=9000), 77), stack_at(stack.folder)
    before = known_by(running)
    assert before is not None
    enroll_fleet(running, fleet, threading.Event())
    new = int(capsys.readouterr().err.partition("(")[2].partition(" new")[0].replace(",", ""))
    after = known_by(running)
    assert after is not None
    assert after >= before + new
    assert known_by(only(stack.document["database"])) is None


def test_a_database_that_is_not_there_is_told() -> None:
    with pytest.raises(Refused, match="the fleet cannot be enrolled: "):
        enroll_fleet(only("postgresql://127.0.0.1:9/none"), fleet_of(100), threading.Event(), 0.0)
