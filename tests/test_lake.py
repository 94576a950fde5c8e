"""The history lake: lossless, sorted, whole or not there, and never behind when a chunk is dropped."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from devices.family import FAMILIES
from dothi.commands.storage import export
from dothi.errors import Refused, WrongUsage
from ingest import lake_blocks
from ingest.chunks import chunks
from ingest.lake import STEPS, Exported, Lake, alone, due_days, export_day
from ingest.lake_files import LakeRefused
from ingest.lake_release import check, release, retain_exported
from ingest.retention import KEPT
from tests.command import dothi
from tests.old_readings import DEVICES, add_row, exporting, fill, midnight, own_database, rows_in, rows_of, today
from tests.stack import RunningStack

AIR = FAMILIES["air_quality"]
DAY = today(40)
Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def owned(stack: RunningStack) -> Iterator[tuple[str, Connection]]:
    with own_database(stack) as opened:
        yield opened


@pytest.fixture
def connection(owned: tuple[str, Connection]) -> Connection:
    """The database without readings and with nothing in the lake."""
    _, connection = owned
    for family in FAMILIES:
        connection.execute(f"select drop_chunks('reading.{family}', older_than => now() + interval '1 year')".encode())
    connection.execute("truncate ops.lake, ops.lake_slice, ops.event")
    return connection


@pytest.fixture
def url(owned: tuple[str, Connection]) -> str:
    return owned[0]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "lake").mkdir()
    return Lake(tmp_path / "lake", "0")


def day_of(connection: Connection, lake: Lake, family: str = "air_quality") -> Exported:
    with alone(connection):
        return export_day(connection, lake, FAMILIES[family], DAY)


def files_of(lake: Lake) -> list[str]:
    return sorted(path.name for path in lake.folder.glob("*/*/*"))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_duckdb_reads_what_the_table_holds(connection: Connection, lake: Lake, family: str) -> None:
    fill(connection, DAY, family)
    fill(connection, today(39), family)
    done = day_of(connection, lake, family)
    start = midnight(DAY)
    assert done.rows == done.new_rows == 240 * DEVICES
    there = rows_in(lake.folder, FAMILIES[family], DAY)
    assert there == rows_of(connection, FAMILIES[family], start, start + timedelta(days=1))


def test_a_day_is_a_local_day(connection: Connection, lake: Lake) -> None:
    start = midnight(DAY)
    edges = [start - timedelta(microseconds=1), start, start + timedelta(days=1, microseconds=-1)]
    for when in [*edges, start + timedelta(days=1)]:
        add_row(connection, when)
    assert day_of(connection, lake).rows == 2
    assert [row[2] for row in rows_in(lake.folder, AIR, DAY)] == [f"{edge.timestamp():.6f}" for edge in edges[1:]]


def test_groups_and_blocks_make_no_difference(
    connection: Connection, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_blocks, "ROWS", 100)  # every device is several blocks
    fill(connection, DAY)
    assert day_of(connection, lake).rows == 240 * DEVICES
    start = midnight(DAY)
    rows = rows_of(connection, AIR, start, start + timedelta(days=1))
    assert rows_in(lake.folder, AIR, DAY) == rows
    with duckdb.connect() as reader:
        path = str(lake.folder / f"family=air_quality/day={DAY}/part-0.parquet")
        order = reader.execute("select device, seq from read_parquet(?)", [path]).fetchall()
    assert order == [(row[0], row[3]) for row in rows], "sorted by device and time as it lies there"
    add_row(connection, start + timedelta(hours=20))
    assert day_of(connection, lake).new_rows == 1


def test_a_reading_of_a_device_that_was_struck_off_is_kept(connection: Connection, lake: Lake) -> None:
    connection.execute(
        "insert into reading.air_quality (time, seq, received, batch, device, area) values (%s, 1, now(), 1, 77777, 1)",
        (midnight(DAY),),
    )
    assert day_of(connection, lake).rows == 1
    assert rows_in(lake.folder, AIR, DAY)[0][0] == "#77777"


def test_the_manifest_counts_and_checks(connection: Connection, lake: Lake) -> None:
    fill(connection, DAY)
    done = day_of(connection, lake)
    folder = lake.folder / f"family=air_quality/day={DAY}"
    manifest = json.loads((folder / "_manifest.json").read_text())
    (part,) = manifest["parts"]
    content = (folder / part["file"]).read_bytes()
    assert part == {
        "file": "part-0.parquet",
        "rows": done.rows,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert (manifest["rows"], manifest["columns"]["pm25"], manifest["units"]["pm25"]) == (done.rows, "double", "ug/m3")
    row = connection.execute("select rows, bytes, sha256, dropped from city.lake").fetchone()
    assert row == (done.rows, len(content), part["sha256"], None)


def test_a_message_takes_at_most_twelve_bytes(connection: Connection, lake: Lake) -> None:
    connection.execute(
        "insert into reading.air_quality"
        " (time, seq, received, batch, device, area, pm25, temperature, relative_humidity)"
        " select t, n, t + random() * interval '400 ms', 1000 * n + (random() * 40)::int, d.id, d.area,"
        " round((40 + 20 * sin(n / 200.0) + 4 * random())::numeric, 1),"
        " round((26 + 6 * sin(n / 229.0) + 0.4 * random())::numeric, 1), round((0.7 + 0.05 * random())::numeric, 2)"
        " from registry.device d, generate_series(1, 1438) n,"
        " lateral (select %s::timestamptz + n * interval '1 min'"
        "  + ((random() * 2000)::int - 1000) * interval '1 ms') as s (t)",
        (midnight(DAY),),
    )
    done = day_of(connection, lake)
    assert done.new_bytes / done.new_rows <= 12


def test_what_comes_late_is_another_part(connection: Connection, lake: Lake) -> None:
    fill(connection, DAY)
    first = day_of(connection, lake)
    assert day_of(connection, lake).new_rows == 0, "nothing is written twice"
    for seq in (1, 2):
        add_row(connection, midnight(DAY) + timedelta(hours=9), 1_000_000 + seq)
    second = day_of(connection, lake)
    assert (second.new_rows, second.rows) == (2, first.rows + 2)
    assert files_of(lake) == ["_manifest.json", "part-0.parquet", "part-1.parquet"]
    start = midnight(DAY)
    assert rows_in(lake.folder, AIR, DAY) == rows_of(connection, AIR, start, start + timedelta(days=1))


def test_a_changed_value_is_not_taken_for_known(connection: Connection, lake: Lake) -> None:
    fill(connection, DAY)
    day_of(connection, lake)
    connection.execute("update reading.air_quality set pm25 = 4711 where seq = 5")
    assert day_of(connection, lake).new_rows == DEVICES


@pytest.mark.parametrize("step", ["block", *STEPS])
def test_an_export_that_is_killed_leaves_nothing_half(connection: Connection, url: str, lake: Lake, step: str) -> None:
    fill(connection, DAY)
    killed = exporting(url, lake.folder, DAY, step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with duckdb.connect() as reader:
        for path in lake.folder.glob("*/*/part-*"):
            assert reader.execute("select count(*) from read_parquet(?)", [str(path)]).fetchone() == (240 * DEVICES,)
    chunk = chunks(connection, "air_quality")[0]
    assert release(connection, lake, chunk), "what was not exported is exported first"
    day_of(connection, lake)
    assert files_of(lake) == ["_manifest.json", "part-0.parquet"]
    assert list((lake.folder / f"family=air_quality/day={DAY}").glob(".*")) == []
    assert len(rows_in(lake.folder, AIR, DAY)) == 240 * DEVICES


def test_a_chunk_goes_only_with_all_its_rows_in_the_lake(connection: Connection, lake: Lake) -> None:
    for day in (41, 40, 39):
        fill(connection, today(day))
    start = midnight(DAY)
    before = rows_of(connection, AIR, start, start + timedelta(days=1))
    late = start + timedelta(hours=3)
    day_of(connection, lake)
    add_row(connection, late)
    done = retain_exported(connection, lake, KEPT, datetime.now(UTC))
    assert len(done.dropped) == 4
    assert not done.busy
    assert rows_of(connection, AIR, start, start + timedelta(days=1)) == []
    there = rows_in(lake.folder, AIR, DAY)
    assert len(there) == len(before) + 1
    assert {*before} < {*there}
    undropped = "select count(*) from ops.lake where dropped is null"
    assert connection.execute(undropped).fetchone() == (0,)
    add_row(connection, late, 1_000_001)  # a replay, long after
    assert len(retain_exported(connection, lake, KEPT, datetime.now(UTC)).dropped) == 1
    assert len(rows_in(lake.folder, AIR, DAY)) == len(before) + 2


def test_a_chunk_in_use_waits_for_the_next_round(connection: Connection, url: str, lake: Lake) -> None:
    fill(connection, DAY)
    with psycopg.connect(url) as reader:
        reader.execute("select count(*) from reading.air_quality")
        done = retain_exported(connection, lake, KEPT, datetime.now(UTC))
        assert (len(done.dropped), len(done.busy)) == (0, 2)
    assert len(retain_exported(connection, lake, KEPT, datetime.now(UTC)).dropped) == 2


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_nothing_is_dropped_when_a_file_is_not_what_it_was(connection: Connection, lake: Lake, harm: str) -> None:
    fill(connection, DAY)
    day_of(connection, lake)
    path = lake.folder / f"family=air_quality/day={DAY}/part-0.parquet"
    kept = path.read_bytes()
    path.unlink()
    if harm == "changed":
        path.write_bytes(kept[:-30] + bytes(1) + kept[-29:])
    fill(connection, today(60))
    with pytest.raises(LakeRefused, match=rf"({harm}.*|cannot be read.*)was dropped \(2 chunks stay\)"):
        retain_exported(connection, lake, KEPT, datetime.now(UTC))
    assert len(chunks(connection, "air_quality")) == 2, "the other day has gone, this one stays"
    assert len(check(connection, lake)) == 1
    path.write_bytes(kept)
    assert check(connection, lake) == []


def test_a_day_is_due_when_its_late_limit_is_over(connection: Connection) -> None:
    for day in (9, 8, 7, 1):
        fill(connection, today(day), rows=4)
    closed = midnight(today(7))
    late = timedelta(days=7)
    assert due_days(connection, AIR, late, closed + late) == [today(9), today(8)]


def test_a_day_exported_before_its_late_limit_is_due_again(connection: Connection, lake: Lake) -> None:
    fill(connection, DAY, rows=4)
    day_of(connection, lake)
    end, now = midnight(DAY) + timedelta(days=1), datetime.now(UTC)
    assert due_days(connection, AIR, now - end - timedelta(hours=1), now) == []
    assert due_days(connection, AIR, now - end + timedelta(hours=1), now + timedelta(hours=2)) == [DAY]


def test_a_metric_that_came_later_is_null_in_older_files(
    connection: Connection, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection, DAY, rows=24)
    day_of(connection, lake)
    radon = replace(AIR.metrics[0], name="radon")
    wider = replace(AIR, metrics=(*AIR.metrics, radon), index={**AIR.index, "radon": len(AIR.metrics)})
    monkeypatch.setitem(FAMILIES, "air_quality", wider)
    connection.execute("alter table reading.air_quality add column radon double precision")
    try:
        assert day_of(connection, lake).new_rows == 0
        add_row(connection, midnight(DAY))
        assert len(retain_exported(connection, lake, KEPT, datetime.now(UTC)).dropped) == 2
    finally:
        connection.execute("alter table reading.air_quality drop column radon")
    with duckdb.connect() as reader:
        path = f"{lake.folder}/family=air_quality/*/*.parquet"
        counted = "select count(*), count(radon) from read_parquet(?, union_by_name = true)"
        assert reader.execute(counted, [path]).fetchone() == (24 * DEVICES + 1, 0)


def test_the_query_of_the_documentation_runs(connection: Connection, lake: Lake) -> None:
    fill(connection, DAY, rows=24)
    day_of(connection, lake)
    page = (Path(__file__).parent.parent / "docs/storage.md").read_text()
    query = page.partition("```sql\n")[2].partition("```")[0]
    query = query.replace("/srv/lake", str(lake.folder)).replace("2026-01-31", DAY.isoformat())
    area = connection.execute("select code from registry.area order by id limit 1").fetchone()
    assert area is not None
    with duckdb.connect() as reader:
        found = reader.sql(query.rstrip("\n; ").replace("'213'", f"'{area[0]}'")).to_arrow_table()
    assert found.num_rows == 24 * DEVICES // 2


def test_two_do_not_work_on_the_lake_at_once(connection: Connection, url: str, lake: Lake) -> None:
    refused = pytest.raises(LakeRefused, match="another process exports")
    with psycopg.connect(url, autocommit=True) as other, alone(other), refused:
        day_of(connection, lake)


def test_a_full_disk_is_one_line_and_leaves_nothing(connection: Connection, url: str, lake: Lake) -> None:
    fill(connection, DAY, rows=5000)
    command = f"ulimit -f 20; exec {sys.executable} -m dothi storage export --day {DAY} --lake {lake.folder}"
    environment = {**os.environ, "DOTHI_DATABASE_URL": url}
    said = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert said.returncode == 1
    assert said.stderr.strip().splitlines()[-1].startswith(f"dothi: lake {lake.folder}")
    assert "File too large; nothing was dropped" in said.stderr
    assert "Traceback" not in said.stderr
    assert files_of(lake) == []
    assert len(chunks(connection, "air_quality")) == 2


def test_a_lake_without_room_is_refused_and_goes_on_when_there_is_some(connection: Connection, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts a disk of 64 kB")
    try:
        fill(connection, DAY, rows=5000)
        with pytest.raises(LakeRefused, match=rf"^lake {small}.*No space left on device; nothing was dropped"):
            retain_exported(connection, Lake(small, "0"), KEPT, datetime.now(UTC))
        assert len(chunks(connection, "air_quality")) == 2
        assert [path.name for path in small.glob("*/*/*")] == []
        subprocess.run(["mount", "-o", "remount,size=16m", str(small)], check=True)
        assert len(retain_exported(connection, Lake(small, "0"), KEPT, datetime.now(UTC)).dropped) == 2
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_commands_refuse_in_one_line(url: str, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTHI_DATABASE_URL", url)
    place = lake.folder
    for arguments, kind, words in (
        ((None, None, Path("/nowhere/at/all")), Refused, "lake /nowhere/at/all: no such folder; mount or create it"),
        ((None, None, None), WrongUsage, "give --lake FOLDER or set DOTHI_LAKE"),
        ((None, "nowhere", place), WrongUsage, "--family nowhere: unknown; allowed: air_quality"),
        (("31/01", None, place), WrongUsage, "--day 31/01: no such day"),
    ):
        with pytest.raises(kind, match=words):
            export(None, *arguments)


def test_a_lake_that_is_read_only_is_refused(connection: Connection, lake: Lake) -> None:
    fill(connection, DAY, rows=4)
    closed = Lake(Path("/proc/self"), "0")  # closed to root as well
    with pytest.raises(LakeRefused, match=r"lake /proc/self.*nothing was dropped"):
        day_of(connection, closed)
    assert len(chunks(connection, "air_quality")) == 2


def test_the_command_exports_and_verifies(
    connection: Connection, url: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOTHI_DATABASE_URL", url)
    monkeypatch.setenv("DOTHI_LAKE", str(lake.folder))
    fill(connection, DAY, rows=24)
    fill(connection, today(), rows=24)
    (done,) = json.loads(dothi("storage", "export", "--json").stdout)["days"]
    assert (done["family"], done["day"], done["new_rows"]) == ("air_quality", DAY.isoformat(), 24 * DEVICES)
    assert json.loads(dothi("storage", "verify-lake", "--json").stdout) == {"ok": True, "wrong": []}
    gone = json.loads(dothi("storage", "retain", "--json").stdout)
    assert [one["what"] for one in gone["chunks"]] == ["air_quality", "air_quality"]
    (lake.folder / f"family=air_quality/day={DAY}/part-0.parquet").unlink()
    said = dothi("storage", "verify-lake", check=False)
    assert said.returncode == 1
    assert "1 files are not what was written" in said.stderr
