"""Devices counted without scanning: exact whatever happens to the registry, and nobody waits for each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.enroll import Row
from devices.registry import enroll
from tests.examples import examples
from tests.stack import RunningStack

pytestmark = pytest.mark.stack
LAW = settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
AREAS = ["213", "215", "058"]
PROFILES = ["native-weather", "native-meter"]
STATES = ["planned", "enrolled", "active", "maintenance", "retired"]

COUNTED = """
select a.code, p.family, p.profile, d.state, count(*)::int from registry.device d
join registry.area a on a.id = d.area join registry.profile p on p.id = d.profile
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
SHOWN = "select area, family, profile, state, devices from city.device_count order by 1, 2, 3, 4"
PLANNED = """
select a.code, count(d.id) from registry.area a
left join registry.device d on d.area = a.id and d.state <> 'retired' group by 1 order by 1
"""


@contextmanager
def undone(stack: RunningStack) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the owner that leaves nothing behind."""
    with psycopg.connect(stack.document["database"]) as connection:
        yield connection
        connection.rollback()


def ids(names: st.SearchStrategy[int]) -> st.SearchStrategy[list[str]]:
    return st.lists(names.map(lambda n: f"law-{n}"), min_size=1, max_size=8, unique=True)


some_devices = ids(st.integers(100, 120))
changes = st.one_of(
    st.tuples(
        st.just(
            "insert into registry.device (device, profile, area, state) "
            "select n, (select id from registry.profile where profile = %s), "
            "(select id from registry.area where code = %s), %s from unnest(%s::text[]) n "
            "on conflict (device) do update set (profile, area, state) = "
            "(excluded.profile, excluded.area, excluded.state)"
        ),
        st.tuples(st.sampled_from(PROFILES), st.sampled_from(AREAS), st.sampled_from(STATES), some_devices),
    ),
    st.tuples(
        st.just("update registry.device set state = %s, name = 'renamed' where device = any(%s)"),
        st.tuples(st.sampled_from(STATES), some_devices),
    ),
    st.tuples(
        st.just(
            "update registry.device set area = (select id from registry.area where code = %s) where device = any(%s)"
        ),
        st.tuples(st.sampled_from(AREAS), some_devices),
    ),
    st.tuples(st.just("delete from registry.device where device = any(%s)"), st.tuples(some_devices)),
)


@LAW
@given(st.lists(changes, min_size=1, max_size=8))
def test_counts_are_those_of_a_scan_whatever_happens(
    stack: RunningStack, done: list[tuple[str, tuple[Any, ...]]]
) -> None:
    with undone(stack) as connection:
        for statement, parameters in done:
            connection.execute(statement.encode(), parameters)
            assert connection.execute(SHOWN).fetchall() == connection.execute(COUNTED).fetchall()
        shown = connection.execute("select area, devices from city.plan order by 1").fetchall()
        assert shown == connection.execute(PLANNED).fetchall()


def test_truncating_the_registry_leaves_counts_of_nought(stack: RunningStack) -> None:
    with undone(stack) as connection:
        connection.execute("insert into registry.device (device, profile, area) select 'gone-soon', 1, 213")
        connection.execute("truncate registry.device cascade")
        assert connection.execute(SHOWN).fetchall() == []
        assert connection.execute("select sum(devices) from city.plan").fetchone() == (0,)


def test_a_change_that_is_undone_was_never_counted(stack: RunningStack) -> None:
    before = stack.query(SHOWN)
    with undone(stack) as connection:
        connection.execute("insert into registry.device (device, profile, area) select 'never-was', 1, 213")
        assert connection.execute(SHOWN).fetchall() != before
    assert stack.query(SHOWN) == before


def test_enrolments_of_the_same_devices_at_once_all_succeed_and_count_once(stack: RunningStack) -> None:
    """Half of the devices are there before, so each statement both inserts and updates; orders are opposite."""
    rows = [Row(f"both-{n}", PROFILES[n % 2], AREAS[n % 3], lat=21.0 + n / 1000, lon=106.0) for n in range(400)]
    with psycopg.connect(stack.document["database"]) as connection:
        enroll(connection, rows[::2])
    failures: list[Exception] = []

    def run(mine: list[Row]) -> None:
        try:
            with psycopg.connect(stack.document["database"]) as connection:
                for turn in range(5):
                    enroll(connection, [row._replace(name=f"name {turn}", area=AREAS[turn % 3]) for row in mine])
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(mine,)) for mine in (rows, rows[::-1], rows[100:], rows[300::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert stack.query(SHOWN) == stack.query(COUNTED)


def test_the_reader_sees_counts_without_a_scan_of_devices(stack: RunningStack) -> None:
    with psycopg.connect(stack.document["reader"]) as reader:
        for view in ("city.device_count", "city.plan", "city.connectivity"):
            reader.execute(f"select * from {view}".encode())
    plan = "\n".join(row[0] for row in stack.query("explain select * from city.plan, city.device_count"))
    assert " on device " not in plan
