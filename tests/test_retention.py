"""Retention: what is set is checked, what would go is told first, and only what has been kept long enough goes."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dothi import settings
from dothi.commands.readiness import readiness
from dothi.commands.storage import retention_kept
from dothi.commands.up import check_storage
from dothi.errors import WrongUsage
from ingest import disk
from ingest.audit import audit
from ingest.chunks import chunks
from ingest.keep import Keeper, Rounds
from ingest.retention import KEPT, going, kept_for, retain
from tests.command import dothi
from tests.old_readings import add_row, fill, own_database, today
from tests.stack import RunningStack

Connection = psycopg.Connection[Any]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def owned(stack: RunningStack) -> Iterator[tuple[str, Connection]]:
    with own_database(stack) as opened:
        yield opened


@pytest.fixture
def connection(owned: tuple[str, Connection]) -> Connection:
    """The database without readings."""
    _, connection = owned
    connection.execute("select drop_chunks('reading.air_quality', older_than => now() + interval '1 year')")
    connection.execute("truncate ops.batch, ops.consumer, ops.event, ops.ledger, ops.quarantine, ops.quarantine_quota")
    return connection


@pytest.fixture
def url(owned: tuple[str, Connection]) -> str:
    return owned[0]


def test_a_retention_is_set_by_family_rollup_or_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTHI_RETENTION", "60d, meter=90d,1h=5y,meter_1d=20y,quarantine=36h")
    kept = retention_kept()
    assert kept_for(kept, "weather") == 60 * DAY
    assert kept_for(kept, "meter") == 90 * DAY
    assert kept_for(kept, "meter_1h") == kept_for(kept, "weather_1h") == 5 * 365 * DAY
    assert (kept_for(kept, "meter_1d"), kept_for(kept, "weather_1d")) == (20 * 365 * DAY, 3650 * DAY)
    assert kept_for(kept, "quarantine") == 1.5 * DAY
    monkeypatch.delenv("DOTHI_RETENTION")
    assert settings.retention() == KEPT


@pytest.mark.parametrize("value", ["30", "0d", "nowhere=30d", "meter=", "meter=-1d", "1w", "meter_2h=1d", "101y", "²d"])
def test_a_retention_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DOTHI_RETENTION", f"60d,{value}")
    with pytest.raises(WrongUsage) as refusal:
        settings.retention()
    assert str(refusal.value).startswith(f"DOTHI_RETENTION: {value!r} is not a retention; allowed: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["DOTHI_LAKE", "DOTHI_RETENTION"])
def test_a_stack_is_not_started_with_what_its_keeper_would_refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    check_storage()
    monkeypatch.setenv(name, "lake")
    with pytest.raises(WrongUsage, match=f"^{name}.*'lake'.*allowed"):
        check_storage()


@pytest.mark.parametrize(
    ("retention", "late", "words"),
    [
        ("6d", "", "air_quality is kept 6d, shorter than its late limit of 7d (DOTHI_LATE_LIMIT); allowed: 7d or more"),
        ("meter=40d", "7d,meter=60d", "meter is kept 40d, shorter than its late limit of 60d"),
        ("weather_1h=2d", "", "weather_1h is kept 2d, shorter than its late limit of 7d"),
    ],
)
def test_shorter_than_the_late_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, retention: str, late: str, words: str
) -> None:
    monkeypatch.setenv("DOTHI_RETENTION", retention)
    monkeypatch.setenv("DOTHI_LATE_LIMIT", late)
    with pytest.raises(WrongUsage) as refusal:
        retention_kept()
    assert str(refusal.value).startswith(f"DOTHI_RETENTION: {words}")


def test_a_chunk_goes_when_its_last_moment_is_old_enough(connection: Connection) -> None:
    now = datetime.now(UTC)
    for days in (31.5, 30.5, 29.5, 0):
        add_row(connection, (now - days * DAY).replace(hour=12))
    before = chunks(connection, "air_quality")
    done = retain(connection, KEPT, now)
    left = chunks(connection, "air_quality")
    assert [one.chunk for one in done.dropped] == [one for one in before if one.span.end <= now - 30 * DAY]
    assert done.bytes > 0
    assert left == [one for one in before if one.span.end > now - 30 * DAY]
    assert len(left) >= 2
    assert retain(connection, KEPT, now).dropped == []


def test_a_dry_run_names_and_drops_nothing(connection: Connection, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTHI_DATABASE_URL", url)
    fill(connection, today(40))
    found = json.loads(dothi("storage", "retain", "--dry-run", "--json").stdout)
    assert (found["dry_run"], [one["what"] for one in found["chunks"]]) == (True, ["air_quality"] * 2)
    assert found["bytes"] == sum(one["bytes"] for one in found["chunks"]) > 0
    assert len(chunks(connection, "air_quality")) == 2
    done = json.loads(dothi("storage", "retain", "--json").stdout)
    edges = [(one["from"], one["to"]) for one in found["chunks"]]  # bytes may grow by a map of free space meanwhile
    assert [(one["from"], one["to"]) for one in done["chunks"]] == edges
    assert chunks(connection, "air_quality") == []


def test_a_family_of_its_own_retention_stays(connection: Connection) -> None:
    fill(connection, today(40), rows=4)
    assert going(connection, {**KEPT, "air_quality": 90 * DAY}, datetime.now(UTC)) == []


def test_rollups_go_by_their_bucket(connection: Connection) -> None:
    now = datetime.now(UTC)
    for bucket, ages in (("1h", (740, 720)), ("1d", (740, 3660))):
        table = f"probe_{bucket}"
        connection.execute(f"create table rollup.{table} (bucket timestamptz not null)".encode())
        connection.execute(f"select create_hypertable('rollup.{table}', by_range('bucket'))".encode())
        for days in ages:
            connection.execute(f"insert into rollup.{table} values (%s)".encode(), (now - days * DAY,))
    found = [one.what for one in going(connection, KEPT, now)]
    connection.execute("drop table rollup.probe_1h; drop table rollup.probe_1d")
    assert found == ["probe_1d", "probe_1h"]


def test_a_chunk_that_is_read_is_left_and_nobody_waits(connection: Connection, url: str) -> None:
    fill(connection, today(40), rows=4)
    with psycopg.connect(url) as reader:
        reader.execute("select count(*) from reading.air_quality")
        done = retain(connection, KEPT, datetime.now(UTC))
        assert (len(done.dropped), len(done.busy)) == (0, 2)
    assert len(retain(connection, KEPT, datetime.now(UTC)).dropped) == 2


def test_batches_stay_until_every_consumer_has_them(connection: Connection) -> None:
    connection.execute(
        "insert into ops.batch (batch, family, worker, time_min, time_max, rows, xid, committed)"
        " select n, 'weather', 0, now(), now(), 1, n::text::xid8, now() - (10 - n) * interval '1 day'"
        " from generate_series(1, 10) n"
    )
    connection.execute("insert into ops.consumer (consumer, xid) values ('slow', '4'), ('quick', '9')")
    now = datetime.now(UTC)
    assert retain(connection, KEPT, now).rows["batches"] == 4
    connection.execute("update ops.consumer set xid = '10'")
    assert retain(connection, KEPT, now).rows["batches"] == 4
    left = connection.execute("select min(batch), count(*) from ops.batch").fetchone()
    assert left == (9, 2), "two days are kept whoever has taken them"


def test_the_audit_agrees_when_batches_are_forgotten(connection: Connection) -> None:
    received = datetime.now(UTC).replace(second=0, microsecond=0) - 3 * DAY
    add_row(connection, received - 6 * DAY)
    connection.execute("update reading.air_quality set received = %s", (received,))
    connection.execute(
        "insert into ops.ledger (minute, inbox, received, stored, duplicate, quarantined, partial)"
        " values (%s, 'x', 1, 1, 0, 0, 0)",
        (received,),
    )
    connection.execute(
        "insert into ops.batch (batch, family, worker, time_min, time_max, rows, committed)"
        " select 9, 'air_quality', 0, time, time, 1, received from reading.air_quality"
    )
    assert audit(connection, received - DAY).differences == []
    assert retain(connection, KEPT, datetime.now(UTC)).rows["batches"] == 1
    assert audit(connection, received - DAY).differences == []


def test_what_lies_beside_the_readings_is_bounded(connection: Connection) -> None:
    connection.execute(
        "insert into ops.ledger (minute, inbox, received, stored, duplicate, quarantined, partial)"
        " select now() - n * interval '1 day', 'x', 1, 1, 0, 0, 0 from unnest(array[729, 731]) n"
    )
    connection.execute(
        "insert into ops.event (time, kind, severity, message)"
        " select now() - n * interval '1 day', 'x', 'info', 'x' from unnest(array[729, 731]) n"
    )
    connection.execute(
        "insert into ops.quarantine_quota (day, claimed, total, kept, stranger)"
        " select current_date - n, 'x', 1, 1, false from unnest(array[28, 32]) n"
    )
    connection.execute(
        "insert into ops.quarantine (received, batch, inbox, topic, payload, sha256, size, layer, reason, detail)"
        " select now() - n * interval '1 day', 1, 'x', 'x', '', '', 0, 'x', 'x', 'x' from unnest(array[1, 45]) n"
    )
    done = retain(connection, KEPT, datetime.now(UTC))
    assert done.rows == {"quota_lines": 1, "settled_lines": 0, "ledger_minutes": 1, "events": 1, "batches": 0}
    assert [one.what for one in done.dropped] == ["quarantine"]


def test_a_disk_that_fills_is_told_once_a_day(connection: Connection) -> None:
    filling = disk.Disk(97_000_000_000, 10**12, 72e9)
    assert filling.trouble == "the disk is full in 1.3 days: 97.0 GB are free"
    assert disk.Disk(97_000_000_000, 10**12, -1.0).trouble is None
    assert disk.Disk(10_000_000_000, 10**12, None).trouble == "the disk is almost full: 10.0 of 1000 GB are free"
    assert [disk.warn(connection, "disk_filling", filling.trouble, {"days_left": 1.3}) for _ in range(2)] == [
        True,
        False,
    ]
    assert connection.execute("select severity, message from city.event").fetchall() == [("warning", filling.trouble)]


def test_a_round_of_the_keeper(connection: Connection, url: str, tmp_path: Path) -> None:
    fill(connection, today(40))
    lake = tmp_path / "lake"
    looked: list[bool] = []
    keeper = Keeper(url, tmp_path, KEPT, {"": 7 * 86_400_000_000}, lake, "0", (lambda _: looked.append(True),))
    rounds = Rounds(keeper)
    rounds.hour()
    assert rounds.trouble() == f"export: lake {lake}: no such folder; mount or create it, nothing was dropped"
    assert connection.execute("select kind from ops.event order by id").fetchall() == [
        ("export_failed",),
        ("retention_failed",),
    ]
    assert len(chunks(connection, "air_quality")) == 2
    lake.mkdir()
    rounds.hour()
    rounds.second()
    assert (rounds.trouble(), looked) == (None, [True])
    assert chunks(connection, "air_quality") == []
    assert len(list(lake.glob("*/*/part-0.parquet"))) == 1
    rounds.disk()
    rounds.end()
    page = rounds.text().decode()
    assert 'dothi_kept_seconds{what="export"}' in page
    assert "dothi_disk_free_bytes" in page


def test_the_keeper_runs_with_the_stack(stack: RunningStack) -> None:
    document = json.loads((stack.folder / "stack.json").read_text())
    deadline, said = time.monotonic() + 60, ""
    while time.monotonic() < deadline:
        said = readiness(document["metrics"]["keeper"])
        if said != "does not answer":  # other tests may have given it something to complain of
            return
        time.sleep(0.1)
    raise AssertionError(f"the keeper's page: {said}")
