"""A new metric comes to a table that is written and read: nobody waits long, and nothing changed takes no lock."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devices import relations
from devices.family import FAMILIES, Family, Metric
from dothi import migrations
from dothi.errors import Refused
from ingest.reconcile import reconcile_family
from tests.stack import RunningStack, running_stack

DAYS = 70  # chunks
READING_S = 2.0
PACE_S = 0.005
MOST_MS = 200
SLACK_MS = 100  # a machine that does other things as well
RADON = Metric("radon", "Bq/m3", 0, 1e6, "gauge", (), {"vi": "Radon", "en": "Radon"}, None)
WAITS = """
select coalesce(max(1000 * extract(epoch from clock_timestamp() - l.waitstart)), 0)::float8
from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.application_name like 'dothi ingest%%'
"""
HYPERTABLES = "select format('%I.%I', hypertable_schema, hypertable_name) from timescaledb_information.hypertables"
VIEWS = "select format('%I.%I', schemaname, viewname) from pg_views where schemaname = 'city'"

Database = psycopg.Connection[Any]


def with_metric(family: Family, metric: Metric) -> Family:
    """The family with one more metric at the end."""
    metrics = (*family.metrics, metric)
    return replace(family, metrics=metrics, index={one.name: place for place, one in enumerate(metrics)})


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """A stack of its own, as its tables change, with readings of many days."""
    with running_stack(tmp_path_factory.mktemp("growing"), prepared=prepared) as running:
        running.run(
            "insert into reading.weather (time, seq, received, batch, device, area) "
            f"select now() - n * interval '1 day', 1, now(), 0, 1, 213 from generate_series(1, {DAYS}) n"
        )
        yield running


@contextmanager
def as_admin(running: RunningStack) -> Iterator[Database]:
    """A connection that changes tables, as a migration has it."""
    with psycopg.connect(running.document["database"], autocommit=True) as connection:
        connection.execute("set role dothi_admin")
        yield connection


@contextmanager
def background(work: Any, *arguments: object) -> Iterator[threading.Event]:
    """Run `work(ended, *arguments)` in a thread until the block ends; what it raised is raised here."""
    ended, raised = threading.Event(), []

    def run() -> None:
        try:
            work(ended, *arguments)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ended
    finally:
        ended.set()
        thread.join()
    for error in raised:
        raise error


def publish_steadily(ended: threading.Event, running: RunningStack, device: str) -> None:
    """A reading every few milliseconds."""
    with running.gateway() as gateway:
        for seq in range(1, 1_000_000):
            if ended.is_set():
                break
            text = f'{{"seq": {seq}, "metrics": {{"temperature": 20.5}}}}'
            gateway.publish(f"dothi/v1/213/{device}/up", text.encode())
            time.sleep(PACE_S)
        gateway.settle()


def sample_waits(ended: threading.Event, running: RunningStack, waits: list[float]) -> None:
    """How long (ms) ingest has been waiting for a lock, every few milliseconds."""
    with psycopg.connect(running.document["database"], autocommit=True) as connection:
        while not ended.is_set():
            row = connection.execute(WAITS).fetchone()
            assert row is not None
            waits.append(row[0])
            time.sleep(PACE_S)


def read_for_a_while(_ended: threading.Event, running: RunningStack) -> None:
    """A reader's transaction that stays open."""
    with psycopg.connect(running.document["reader"]) as reader:
        reader.execute("select count(*) from city.weather")
        time.sleep(READING_S)


@pytest.mark.full
def test_ingest_waits_only_a_moment_for_a_new_metric_behind_a_reader(growing: RunningStack) -> None:
    """The reader's lock keeps the change out, and the change must not keep ingest out meanwhile."""
    device, waits = growing.enroll("growing", "native-weather"), list[float]()
    with background(publish_steadily, growing, device), background(sample_waits, growing, waits):
        growing.wait_for("select count(*) from city.weather where device = %s", device, until=lambda n: n > 50)
        with background(read_for_a_while, growing), as_admin(growing) as admin:
            time.sleep(0.2)
            began = time.monotonic()
            done = list(reconcile_family(admin, with_metric(FAMILIES["weather"], RADON)))
            took = time.monotonic() - began
        time.sleep(0.5)
    assert "added radon to reading.weather" in done
    assert took > READING_S / 2, "the reader did hold it up"
    chunks = growing.query("select count(*) from pg_inherits where inhparent = 'reading.weather'::regclass")[0][0]
    assert chunks >= DAYS
    assert max(waits) > 0, "nobody waited: the test shows nothing"
    assert max(waits) < MOST_MS + SLACK_MS


def test_it_gives_up_with_the_name_of_who_is_in_the_way(growing: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "ATTEMPTS", 3)
    family = with_metric(FAMILIES["meter"], RADON)
    with psycopg.connect(growing.document["reader"], application_name="board") as reader, as_admin(growing) as admin:
        reader.execute("select count(*) from city.meter")
        with pytest.raises(relations.FamilyRefused) as refusal:
            list(reconcile_family(admin, family))
        words = str(refusal.value)
        assert f"process {reader.info.backend_pid} (dothi_reader, board, transaction since 2" in words
        assert "select count(*) from city.meter" in words
        assert "\n" not in words
        assert "radon" not in relations.table_columns(admin, "reading", "meter")


def test_a_refused_family_is_one_line_of_migrate(growing: RunningStack) -> None:
    """The stack's tables have a metric by now that the family files have not."""
    with as_admin(growing) as admin:
        list(reconcile_family(admin, with_metric(FAMILIES["fire_watch"], RADON)))
    with pytest.raises(Refused, match=r"database: family \w+: the database has metric radon"):
        migrations.migrate(growing.document["database"])


def test_what_does_not_change_takes_no_lock(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """All hypertables and views are locked against everything, and a migration does not wait."""
    monkeypatch.setattr(relations, "ATTEMPTS", 1)
    url = stack.document["database"]
    with as_admin(stack) as other, other.transaction():
        for (table,) in other.execute(HYPERTABLES).fetchall():
            other.execute(f"lock table {table} in access exclusive mode".encode())
        for (view,) in other.execute(VIEWS).fetchall():  # `lock table` would lock the registry under them as well
            other.execute(f"alter view {view} owner to dothi_admin".encode())
        assert migrations.migrate(f"{url}?options=-c%20statement_timeout%3D5s") == []
