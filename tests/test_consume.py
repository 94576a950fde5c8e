"""Consumers of batches: each gets each batch exactly once, whatever the order in which transactions commit."""

import threading
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import psycopg
import pytest

from tests.stack import RunningStack

Database = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def url(stack: RunningStack) -> Iterator[str]:
    """A migrated database of its own, so that no other batch comes in between."""
    with stack.database() as url:
        yield url


def connect(url: str, role: str) -> Database:
    """A connection that acts as a role."""
    return psycopg.connect(url, options=f"-c role={role}")


def write(connection: Database, *families: str) -> int:
    """One batch, not committed."""
    number = connection.execute("select nextval('ops.batch_id')").fetchone()
    assert number is not None
    for family in families:
        connection.execute(
            "insert into ops.batch (batch, family, worker, time_min, time_max, rows) "
            "values (%s, %s, 0, now(), now(), 1)",
            (number[0], family),
        )
    return int(number[0])


def take(connection: Database, consumer: str, most: int = 1000) -> list[int]:
    """Numbers of the batches that come next, committed as taken."""
    found = connection.execute("select batch from ops.take_batches(%s, %s)", (consumer, most)).fetchall()
    connection.commit()
    return [number for (number,) in found]


def awaited(connection: Database, consumer: str, count: int, most: int = 1000) -> list[list[int]]:
    """What comes until there are so many numbers, take by take. For a moment any open transaction of the cluster holds
    back what was committed after it began, another consumer's, too."""
    found: list[list[int]] = []
    ends = time.monotonic() + 60
    while sum(map(len, found)) < count and time.monotonic() < ends:
        found += filter(None, [take(connection, consumer, most)])
    return found


def test_a_transaction_held_back_is_not_missed(url: str) -> None:
    with (
        connect(url, "dothi_writer") as held,
        connect(url, "dothi_writer") as quick,
        connect(url, "dothi_analyst") as us,
    ):
        take(us, "one")
        late = write(held, "weather")
        early = [write(quick, "weather") for _ in range(3)]
        quick.commit()
        assert take(us, "one") == [], "nothing beyond the oldest open transaction"
        held.commit()
        assert list(chain(*awaited(us, "one", 4))) == [late, *early]
        assert take(us, "one") == []


def test_what_was_taken_comes_again_when_its_work_is_rolled_back(url: str) -> None:
    with connect(url, "dothi_writer") as writer, connect(url, "dothi_analyst") as us:
        take(us, "two")
        number = write(writer, "weather", "meter")
        writer.commit()
        us.execute("select * from ops.take_batches('two')")
        us.rollback()
        with connect(url, "dothi_analyst") as restarted:
            assert awaited(restarted, "two", 2) == [[number, number]]
            assert take(restarted, "two") == []


def test_pages_end_between_transactions(url: str) -> None:
    with connect(url, "dothi_writer") as writer, connect(url, "dothi_analyst") as us:
        take(us, "three", 1_000_000)
        numbers = []
        for _ in range(3):
            numbers.append(write(writer, "weather", "meter"))
            writer.commit()
        assert awaited(us, "three", 6, 1) == [[number, number] for number in numbers]
        assert take(us, "three", 1) == []


def test_consumers_do_not_take_from_each_other_and_one_in_two_processes_takes_once(url: str) -> None:
    taken: dict[str, list[int]] = {"four": [], "five": []}
    written: list[int] = []
    done = threading.Event()

    def work(consumer: str) -> None:
        with connect(url, "dothi_analyst") as us:
            while not done.is_set():
                taken[consumer] += take(us, consumer, 7)

    with connect(url, "dothi_analyst") as us:
        for consumer in taken:
            take(us, consumer, 1_000_000)
    threads = [threading.Thread(target=work, args=(name,)) for name in ("four", "four", "five")]
    for thread in threads:
        thread.start()
    with connect(url, "dothi_writer") as one, connect(url, "dothi_writer") as other:
        for number in range(150):
            written.append(write(one, "weather"))
            written.append(write(other, "meter"))
            (one if number % 2 else other).commit()
            (other if number % 3 else one).commit()
            if number % 5 == 0:
                one.commit()
        one.commit()
        other.commit()
    done.set()
    for thread in threads:
        thread.join()
    with connect(url, "dothi_analyst") as us:
        for consumer, numbers in taken.items():
            numbers += chain(*awaited(us, consumer, len(written) - len(numbers), 7), take(us, consumer, 7))
            assert sorted(numbers) == sorted(written), consumer


def test_only_those_who_analyse_may_take(url: str) -> None:
    with connect(url, "dothi_reader") as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        take(reader, "six")


def holding(connection: Database) -> None:
    """An open transaction that has written, and has an id."""
    connection.execute("create temporary table if not exists held (n integer)")
    connection.execute("insert into held values (1)")


@pytest.fixture
def analyst_login(url: str) -> Iterator[str]:
    """The address for somebody who logs in as the analyst does, and may act as no other."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("drop role if exists only_analyst")
        owner.execute("create role only_analyst login password 'only' in role dothi_analyst")
    at = url.rpartition("@")[2]
    yield f"postgresql://only_analyst:only@{at}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("drop role only_analyst")


def test_whoever_may_write_no_batch_is_not_waited_for(url: str, analyst_login: str) -> None:
    with (
        psycopg.connect(analyst_login) as long,
        connect(url, "dothi_writer") as writer,
        connect(url, "dothi_analyst") as us,
    ):
        take(us, "seven", 1_000_000)
        holding(long)
        number = write(writer, "weather")
        writer.commit()
        assert take(us, "seven") == [number]
        long.rollback()
        assert take(us, "seven") == []


def test_whoever_may_take_on_a_role_that_writes_is_waited_for(url: str, analyst_login: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("grant dothi_writer to only_analyst with inherit false")
    with (
        psycopg.connect(analyst_login) as late,
        connect(url, "dothi_writer") as writer,
        connect(url, "dothi_analyst") as us,
    ):
        take(us, "eight", 1_000_000)
        late.execute("set role dothi_writer")
        first = write(late, "weather")
        number = write(writer, "weather")
        writer.commit()
        assert take(us, "eight") == []
        late.commit()
        assert take(us, "eight") == [first, number]
