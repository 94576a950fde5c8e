"""Rounds beside those of the caller: they end with it, and what fails there it gets to know."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest

from analytics import analyst
from analytics.columns import Columns
from analytics.meters import Meters
from analytics.strand import Strand
from tests.stack import RunningStack

Ready = Callable[[], None]
Told = Callable[[psycopg.Connection], None]


def test_it_goes_on_until_the_context_ends() -> None:
    ended = threading.Event()

    def work(stop: threading.Event, ready: Ready, _told: Told) -> None:
        ready()
        stop.wait()
        ended.set()

    with Strand(work) as strand:
        strand.wait(threading.Event())
        strand.check()
        assert not ended.is_set()
    assert ended.is_set()


def test_a_statement_under_way_is_cancelled_when_the_context_ends(stack: RunningStack) -> None:
    begun, said = threading.Event(), []

    def work(_stop: threading.Event, ready: Ready, told: Told) -> None:
        with psycopg.connect(stack.document["database"]) as connection:
            told(connection)
            ready()
            begun.set()
            try:
                connection.execute("select pg_sleep(600)")
            except psycopg.errors.QueryCanceled as error:
                said.append(error)
                raise

    with Strand(work) as strand:
        strand.wait(threading.Event())
        assert begun.wait(60)
    assert len(said) == 1


def test_what_fails_is_raised_by_the_next_look() -> None:
    def early(_stop: threading.Event, _ready: Ready, _told: Told) -> None:
        raise ValueError("early")

    with Strand(early) as strand, pytest.raises(ValueError, match="early"):
        strand.wait(threading.Event())

    gone = threading.Event()

    def late(_stop: threading.Event, ready: Ready, _told: Told) -> None:
        ready()
        gone.wait()
        raise ValueError("late")

    with Strand(late) as strand:
        strand.wait(threading.Event())
        strand.check()
        gone.set()
        with pytest.raises(ValueError, match="late"):
            check_on(strand)


def test_who_is_told_to_stop_does_not_wait_for_it() -> None:
    told = threading.Event()
    told.set()
    with Strand(lambda stop, _ready, _told: ended(stop)) as strand:
        strand.wait(told)


def check_on(strand: Strand) -> None:
    """Look until something is raised."""
    while True:
        strand.check()


def ended(stop: threading.Event) -> None:
    """Never ready."""
    stop.wait()


class Noting:
    """Notes the batches of a round in the transaction that takes them; fails at some of its calls."""

    def __init__(self, name: str, failing: set[int]) -> None:
        self.name = name
        self.resets = 0
        self._calls = 0
        self._failing = failing

    def reset(self, connection: "psycopg.Connection[Any]") -> None:
        self.resets += 1

    def take(self, connection: "psycopg.Connection[Any]", columns: Columns) -> None:
        for batch in columns.batches:
            connection.execute("insert into noted values (%s, %s)", (self.name, batch))
        self._calls += 1
        if self._calls in self._failing:
            raise ValueError(f"call {self._calls} of {self.name}")

    def tick(self, connection: "psycopg.Connection[Any]", now: datetime) -> None:
        """Nothing."""


WRITE = """
with b as (insert into ops.batch (batch, family, worker, time_min, time_max, rows)
           values (nextval('ops.batch_id'), 'air_quality', 0, now(), now(), 1) returning batch)
insert into reading.air_quality (time, seq, received, batch, device, area, pm25)
select now(), b.batch, now(), b.batch, d.id, d.area, 1 from b, registry.device d where d.device = 'noted'
"""
ENROL = """
insert into registry.device (device, profile, area) select 'noted', id, 213 from registry.profile
where profile = 'native-air-quality'
"""
NOTED = "select name, count(distinct batch), count(*) from noted group by name order by name"


@pytest.mark.parametrize("failing", [("first", {2, 4}), ("second", {1, 2, 5}), ("both", {3})])
def test_each_strand_takes_each_batch_once_whichever_fails(stack: RunningStack, failing: tuple[str, set[int]]) -> None:
    who, calls = failing
    first, second = (Noting(name, calls if who in (name, "both") else set()) for name in ("first", "second"))
    stop, meters, rounds = threading.Event(), Meters(), 20
    with stack.database() as url, psycopg.connect(url, autocommit=True) as owner:
        owner.execute("create table noted (name text, batch bigint)")
        owner.execute(ENROL)
        told = analyst.Analyst(url, [first], meters, stop, shown=[second], round_s=0.01)
        running = threading.Thread(target=analyst.run, args=(told,))
        running.start()
        try:
            for _ in range(rounds):
                owner.execute(WRITE)
                time.sleep(0.05)
            until = time.monotonic() + 60
            wanted = [("first", rounds, rounds), ("second", rounds, rounds)]
            while owner.execute(NOTED).fetchall() != wanted and time.monotonic() < until:
                time.sleep(0.05)
            assert owner.execute(NOTED).fetchall() == wanted
        finally:
            stop.set()
            running.join()
    assert first.resets == second.resets > 1, "what one of them forgets is forgotten by both"
