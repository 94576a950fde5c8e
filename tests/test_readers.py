"""What holds a reader who lifts its own limits, and whom that leaves alone."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dothi import migrations
from dothi.errors import Refused
from dothi.stack.passwords import ROLES
from dothi.stack.roles import foreign_database, let_login_take_roles
from ingest.readers import ReaderLimits, watch_readers
from tests.stack import RunningStack, running_stack

SHORT = ReaderLimits(*(timedelta(seconds=s) for s in (0.4, 0.4, 1.2, 0.6)))
LONGEST_S = 60
Database = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def url(stack: RunningStack) -> Iterator[str]:
    """Address (without user) of a database of its own, so that no other test's readers are stopped."""
    with stack.database() as address:
        yield address.rpartition("@")[2]


@pytest.fixture
def login(stack: RunningStack, url: str) -> Iterator[Any]:
    """Opens connections of a role by its name; a reader's has lifted all its limits."""
    passwords = json.loads((stack.folder / "secrets.json").read_text())
    opened: list[Database] = []

    def open_one(role: str) -> Database:
        opened.append(psycopg.connect(f"postgresql://{role}:{passwords[role]}@{url}", autocommit=True))
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"):
            opened[-1].execute(f"set {limit} = 0")
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def keeper(stack: RunningStack, url: str) -> Iterator[Database]:
    """The owner's connection, from which readers are watched."""
    owner = stack.document["database"].rpartition("@")[0]
    with psycopg.connect(f"{owner}@{url}", autocommit=True) as connection:
        connection.execute("delete from ops.event")
        yield connection


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """Where queries run that take their time."""
    with ThreadPoolExecutor() as pool:
        yield pool


def watch_until(keeper: Database, running: "Future[Any]") -> list[str]:
    """Watch as the keeper does until the query has ended one way or the other; the lines told."""
    said: list[str] = []
    deadline = time.monotonic() + LONGEST_S
    while not running.done():
        assert time.monotonic() < deadline, said
        said += watch_readers(keeper, SHORT)
        time.sleep(0.1)
    return said


@pytest.mark.parametrize("role", ["dothi_reader", "dothi_operator"])
def test_a_query_without_a_timeout_is_cancelled(
    keeper: Database, login: Any, aside: ThreadPoolExecutor, role: str
) -> None:
    reader = login(role)
    running = aside.submit(reader.execute, "select pg_sleep(60)")
    said = watch_until(keeper, running)
    assert isinstance(running.exception(), psycopg.errors.QueryCanceled)
    assert said[0].startswith(f"query of {role} (process ")
    assert "cancelled" in said[0]
    assert reader.execute("select 1").fetchone() == (1,), "the session goes on"
    event = keeper.execute("select severity, message, detail ->> 'query' from ops.event").fetchone()
    assert event == ("warning", said[0], "select pg_sleep(60)")


def test_a_query_that_catches_its_cancelling_ends_with_its_session(
    keeper: Database, login: Any, aside: ThreadPoolExecutor
) -> None:
    stubborn = (
        "do $$ begin loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop; end $$"
    )
    running = aside.submit(login("dothi_reader").execute, stubborn)
    said = watch_until(keeper, running)
    assert isinstance(running.exception(), psycopg.OperationalError)
    assert "session ended" in said[-1]


@pytest.mark.parametrize("role", ["dothi_reader", "dothi_operator"])
def test_an_idle_transaction_is_ended(keeper: Database, login: Any, role: str) -> None:
    """Its locks would keep new metrics and dropped chunks waiting."""
    reader = login(role)
    reader.execute("begin")
    reader.execute("select * from city.plan")
    assert watch_readers(keeper, SHORT) == []
    time.sleep(0.6)
    assert f"idle transaction of {role}" in watch_readers(keeper, SHORT)[0]
    with pytest.raises(psycopg.OperationalError):
        reader.execute("select 1")


def test_a_transaction_kept_busy_is_ended_too(keeper: Database, login: Any, aside: ThreadPoolExecutor) -> None:
    reader = login("dothi_reader")

    def keep_busy() -> None:
        reader.execute("begin")
        while True:
            reader.execute("select pg_sleep(0.05)")

    running = aside.submit(keep_busy)
    said = watch_until(keeper, running)
    assert isinstance(running.exception(), psycopg.OperationalError)
    assert said[-1].startswith("transaction of dothi_reader")


def test_others_are_left_alone(keeper: Database, login: Any, aside: ThreadPoolExecutor) -> None:
    """Whoever writes, analyses or owns may take longer; so may readers who sit idle without a transaction."""
    idle = login("dothi_reader")
    others = [login(role) for role in ("dothi_writer", "dothi_analyst", "dothi_admin")]
    for other in others:
        other.execute("begin")
    running = [aside.submit(other.execute, "select pg_sleep(1.5)") for other in others]
    said = []
    while not all(one.done() for one in running):
        said += watch_readers(keeper, SHORT)
        time.sleep(0.1)
    assert said == []
    assert [one.exception() for one in running] == [None] * 3
    assert idle.execute("select 1").fetchone() == (1,)


def test_what_a_reader_sets_for_its_role_does_not_hold_the_watch_up_and_is_undone(
    stack: RunningStack, keeper: Database, login: Any, aside: ThreadPoolExecutor, url: str
) -> None:
    """PostgreSQL lets a role change its own defaults; the next migration puts them back."""
    reader = login("dothi_reader")
    reader.execute("set default_transaction_read_only = off")
    try:
        reader.execute("alter role dothi_reader set statement_timeout = 0")
        running = aside.submit(login("dothi_reader").execute, "select pg_sleep(60)")
        assert "cancelled" in watch_until(keeper, running)[0]
    finally:
        migrations.migrate(f"{stack.document['database'].rpartition('@')[0]}@{url}")
    kept = keeper.execute("select setconfig from pg_db_role_setting where setrole = 'dothi_reader'::regrole").fetchone()
    assert kept is not None
    assert "statement_timeout=30s" in kept[0]


def test_a_reader_who_comes_again_and_again_does_not_fill_the_events(keeper: Database, login: Any) -> None:
    for _ in range(25):
        reader = login("dothi_reader")
        reader.execute("begin")
    time.sleep(0.6)
    assert len(watch_readers(keeper, SHORT)) == 25
    assert keeper.execute("select count(*) from ops.event").fetchone() == (20,)


def test_without_a_superuser_the_roles_hold_as_far_as_they_can(
    tmp_path: Path, prepared: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A login that owns the database and may make roles: migrated, with one line about what stays open."""
    with running_stack(tmp_path, prepared=prepared) as running:
        for role in ROLES:
            running.run(f"alter role {role} rename to {role}_gone")  # as on a server that has never seen them
        running.run("create role plain login createrole password 'plain'")
        running.run("create database plain owner plain")
        url = f"postgresql://plain:plain@{running.document['database'].rpartition('@')[2].rpartition('/')[0]}/plain"
        assert migrations.migrate(url)
        assert migrations.migrate(url) == []
        assert "".join(capfd.readouterr()).count("not a superuser") == 2  # stderr once logging is set up
        let_login_take_roles(url)
        database = foreign_database(url)
        with psycopg.connect(database.owner, autocommit=True) as owner:
            assert watch_readers(owner) == []
        with psycopg.connect(database.reader) as reader:
            assert reader.execute("select count(*) from city.plan").fetchone() == (18,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("select * from reading.weather")
        with psycopg.connect(database.operator) as operator:
            assert operator.execute("select count(*) from city.alarm").fetchone() == (0,)
            with pytest.raises(psycopg.DatabaseError, match="alarm 999999999: there is none"):
                operator.execute("select ops.comment_alarm(999999999, 'lan', 'x')")


def test_a_login_that_may_not_make_roles_is_told_so(stack: RunningStack) -> None:
    stack.run("create role bare login password 'bare'")
    stack.run("create database bare owner bare")
    try:
        server = stack.document["database"].rpartition("@")[2].rpartition("/")[0]
        with pytest.raises(Refused, match=r"bare may not prepare the roles of dothi.*with admin option$"):
            migrations.migrate(f"postgresql://bare:bare@{server}/bare")
        with pytest.raises(
            Refused, match=r"bare may not act as dothi_writer; .* grant all five to it with admin option$"
        ):
            let_login_take_roles(f"postgresql://bare:bare@{server}/bare")
    finally:
        stack.run("drop database bare with (force)")
        stack.run("drop role bare")
