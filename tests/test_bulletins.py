"""Indices over time: called when due, each in a transaction of its own; a fault is its own; no bucket is missed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import psycopg
import pytest

from analytics.bulletins.bulletin import Every, Fresh, fresh_buckets
from analytics.bulletins.follower import REST, Indices
from analytics.rollup.width import HOUR
from devices.family import FAMILIES
from tests.rollup_world import Connections, Reading, World, midnight, owner_and_analyst
from tests.stack import RunningStack

NOON = datetime(2026, 1, 31, 5, tzinfo=UTC)
REACH = timedelta(hours=24)


@pytest.fixture(scope="module")
def connections(stack: RunningStack) -> Iterator[Connections]:
    """As owner, and as the analyst."""
    yield from owner_and_analyst(stack)


class Steady:
    """Notes when it was made."""

    name: ClassVar[str] = "steady"

    def __init__(self, more: int = 0) -> None:
        self._every = Every(timedelta(minutes=5))
        self.more = more
        self.made: list[datetime] = []

    def due(self, now: datetime) -> bool:
        return self._every.passed(now)

    def make(self, connection: "psycopg.Connection[Any]", now: datetime) -> bool:
        self.made.append(now)
        self.more -= 1
        return self.more >= 0


class Faulty(Steady):
    """Writes, and fails."""

    name = "faulty"

    def make(self, connection: "psycopg.Connection[Any]", now: datetime) -> bool:
        super().make(connection, now)
        connection.execute("insert into rollup.remade (family, width, bucket) values ('faulty', '1h', now())")
        connection.execute("select 1 / 0")
        return False


def ticked(connection: "psycopg.Connection[Any]", follower: Indices, now: datetime) -> None:
    with connection.transaction():
        follower.tick(connection, now)


def test_it_is_made_when_due_and_again_while_more_is_waiting(connections: Connections) -> None:
    index = Steady(more=2)
    follower = Indices([index], beside=False)
    follower.reset(connections[1])
    for second in range(30):
        ticked(connections[1], follower, NOON + timedelta(seconds=second))
    assert 3 == len(index.made) == follower.made["steady"]
    ticked(connections[1], follower, NOON + timedelta(minutes=5))
    ticked(connections[1], follower, NOON + timedelta(minutes=5, seconds=1))
    assert len(index.made) == 4


def test_one_that_fails_is_said_once_and_tried_again_and_the_others_go_on(connections: Connections) -> None:
    admin, analyst = connections
    faulty, steady = Faulty(), Steady()
    follower = Indices([faulty, steady], beside=False)
    follower.reset(analyst)
    for second in range(0, 600, 2):
        ticked(analyst, follower, NOON + timedelta(seconds=second))
    assert len(steady.made) == 2
    assert len(faulty.made) == follower.failed["faulty"] == 600 // REST.seconds
    assert admin.execute("select count(*) from rollup.remade where family = 'faulty'").fetchone() == (0,)
    said = admin.execute("select message from ops.event where kind = 'index_failed'").fetchall()
    assert said == [("faulty: division by zero",)]


def test_what_is_made_beside_is_committed(connections: Connections) -> None:
    admin, analyst = connections

    class Writing(Steady):
        name = "writing"

        def make(self, connection: "psycopg.Connection[Any]", now: datetime) -> bool:
            connection.execute("insert into rollup.remade (family, width, bucket) values ('beside', '1h', now())")
            return super().make(connection, now)

    follower = Indices([index := Writing()])
    follower.reset(analyst)
    try:
        ticked(analyst, follower, NOON)
        job = follower._working["writing"]
        assert job.done.wait(60)
    finally:
        follower.hands.close()
        follower.quick.close()
    assert index.made == [NOON]
    assert admin.execute("select count(*) from rollup.remade where family = 'beside'").fetchone() == (1,)


def test_each_closed_bucket_comes_once_and_again_when_it_was_made_anew(connections: Connections) -> None:
    begin = midnight()
    admin, analyst = connections
    world = World(FAMILIES["air_quality"], admin, analyst, begin)
    device, area = world.devices[0], world.areas[0]

    def fresh(reach: timedelta = REACH, most: int = 200) -> Fresh:
        with analyst.transaction():
            return fresh_buckets(analyst, "test", "air_quality", HOUR, reach, most)

    def hours(*numbers: int) -> list[datetime]:
        return [begin + timedelta(hours=number) for number in numbers]

    assert fresh(timedelta(hours=3)) == Fresh(hours(-3, -2, -1), [])
    assert fresh() == Fresh([], [])
    world.now = begin + timedelta(hours=4, minutes=1)
    world.write([Reading(device, area, begin + timedelta(hours=n, minutes=5), n, {"pm25": 1.0}) for n in range(4)])
    world.rest()
    assert fresh(most=3) == Fresh(hours(0, 1, 2), [], more=True)
    assert fresh(most=3) == Fresh(hours(3), [])
    world.write([Reading(device, area, begin + timedelta(hours=1, minutes=7), 99, {"pm25": 9.0})])
    world.rest()
    assert fresh() == Fresh([], hours(1))
    with analyst.transaction(force_rollback=True):
        fresh_buckets(analyst, "other", "air_quality", HOUR, REACH)
    assert fresh().closed == []
    with analyst.transaction():
        assert len(fresh_buckets(analyst, "other", "air_quality", HOUR, REACH).closed) == 24
