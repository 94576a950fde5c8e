"""Devices by state: whatever newest values say, each device counts once for each state that it told."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.states import States, pieces, stateful
from devices.family import FAMILIES
from tests.examples import examples
from tests.stack import RunningStack

LAW = settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LAMP = FAMILIES["street_light"]
METRICS = {metric.name: metric.states for metric in stateful(LAMP)}
KEPT = "select area, metric, state, devices from city.state_count where family = 'street_light'"


class Lamp(NamedTuple):
    """What a street light told last: codes of its states."""

    area: str
    states: tuple[int | None, ...]


told = st.tuples(*(st.none() | st.integers(0, len(states) - 1) for states in METRICS.values()))
lamps = st.dictionaries(st.integers(0, 30), st.builds(Lamp, st.sampled_from(["214", "215"]), told))


@pytest.fixture(scope="module")
def database(stack: RunningStack) -> Iterator[str]:
    """One in which nobody else counts."""
    with stack.database() as url:
        yield url


@contextmanager
def undone(database: str) -> Iterator[psycopg.Connection[Any]]:
    """No street light at all, in a transaction of the owner that leaves nothing behind."""
    with psycopg.connect(database) as connection:
        connection.execute("insert into rollup.newest_state (next, complete) values (0, true)")
        yield connection
        connection.rollback()


def light(connection: psycopg.Connection[Any], city: dict[int, Lamp]) -> None:
    """Newest values of these lamps and of no other."""
    connection.execute("delete from rollup.newest_street_light")
    places = ", ".join(["%s"] * (2 + len(METRICS)))
    into = f"insert into rollup.newest_street_light (device, area, {', '.join(METRICS)}) values ({places})"
    with connection.cursor() as cursor:
        cursor.executemany(into.encode(), [(device, lamp.area, *lamp.states) for device, lamp in city.items()])


def expected(city: dict[int, Lamp]) -> Counter[tuple[str, str, str]]:
    """The counts, made a second time."""
    return Counter(
        (lamp.area, name, states[code])
        for lamp in city.values()
        for (name, states), code in zip(METRICS.items(), lamp.states, strict=True)
        if code is not None
    )


def kept(connection: psycopg.Connection[Any]) -> dict[tuple[str, str, str], int]:
    """What the view says."""
    return {(area, metric, state): devices for area, metric, state, devices in connection.execute(KEPT).fetchall()}


@pytest.mark.stack
@LAW
@given(before=lamps, after=lamps)
def test_each_device_counts_once_for_each_state_that_it_told(
    database: str, before: dict[int, Lamp], after: dict[int, Lamp]
) -> None:
    with undone(database) as connection:
        for city in (before, after):
            light(connection, city)
            States(busy_s=60).tick(connection, NOW)
            assert kept(connection) == expected(city)


@pytest.mark.stack
def test_a_large_city_is_counted_in_pieces(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that has no more time than for one piece goes on where the last one ended; nothing half is shown."""
    monkeypatch.setattr("analytics.states.highest_device", lambda _: 29)
    city = {device: Lamp("215", (1, *(0 for _ in list(METRICS)[1:]))) for device in range(30)}
    with undone(database) as connection:
        light(connection, city)
        follower, seen = States(step=4, busy_s=0), []
        for _ in pieces(29, 4):
            follower.tick(connection, NOW)
            seen.append(kept(connection))
        assert [one for one in seen if one] == [expected(city)] * len([one for one in seen if one])
        assert seen[-1] == expected(city)


def test_every_family_with_states_is_counted_to_its_last_device() -> None:
    found = pieces(highest=10, step=4)
    assert {one.family.name for one in found} == {name for name, family in FAMILIES.items() if stateful(family)}
    assert [(one.low, one.last) for one in found if one.family is LAMP] == [(0, False), (4, False), (8, True)]
