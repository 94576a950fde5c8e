"""A backup comes back as it was: counts, ledger, passwords; what cannot come back is refused in one line."""

import doctest
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psutil
import psycopg
import pytest

from dothi.backup import archive, recover, store, tools
from dothi.backup.make import Wanted, make
from dothi.backup.restore import restore as bring_back
from dothi.commands import backup as commands
from dothi.errors import Refused
from dothi.runtime import find_runtime
from dothi.stack import cluster
from tests.command import dothi
from tests.stack import RunningStack, running_stack

COUNTS = "select coalesce(sum(received), 0), coalesce(sum(stored), 0), coalesce(sum(quarantined), 0) from ops.ledger"


class Drill(NamedTuple):
    """A stack that was backed up while it ingested: what it held at `moment`, and at the end of the archive."""

    stack: RunningStack
    kept: Path
    name: str
    moment: str
    then: tuple[Any, ...]
    now: tuple[Any, ...]
    device: str
    sample: dict[str, Any]


def reading(seq: int) -> dict[str, Any]:
    """A native reading of air quality."""
    return {"time": time.time_ns() // 1_000_000, "seq": seq, "metrics": {"pm25": seq % 100}}


def backup(stack: RunningStack, to: Path, *more: str) -> dict[str, Any]:
    """Make one; what it printed."""
    return dict(json.loads(stack.dothi("storage", "backup", "--to", str(to), "--json", *more).stdout))


def restore(kept: Path, target: Path, *more: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Bring the newest back."""
    return dothi("storage", "restore", "--from", str(kept), "--dir", str(target), "--json", *more, check=check)


def refused(done: "subprocess.CompletedProcess[str]", *named: str) -> None:
    """It failed in one line that names these."""
    said = [line for line in done.stderr.splitlines() if line.startswith("dothi: ")]
    assert done.returncode == 1, done.stderr
    assert len(said) == 1
    assert done.stderr.splitlines()[-1] == said[0]
    assert "Traceback" not in done.stderr
    for word in named:
        assert word in said[0]


def ledger(stack: RunningStack) -> tuple[Any, ...]:
    """Received, stored, quarantined; and the rows that are there."""
    return (*stack.query(COUNTS)[0], *stack.query("select count(*) from city.air_quality")[0])


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[Drill]:
    """Backed up under load; more came after, in two parts with a moment between; all of it is archived."""
    folder = tmp_path_factory.mktemp("backup")
    kept = folder / "it's kept"
    with running_stack(folder, prepared=prepared) as stack:
        device = stack.enroll("backup")
        ended, sent = threading.Event(), 0

        def send() -> None:
            nonlocal sent
            with stack.gateway() as gateway:
                while not ended.is_set():
                    sent += 1
                    gateway.publish(f"dothi/v1/213/{device}/up", json.dumps(reading(sent)).encode())
                    time.sleep(0.002)
                gateway.settle()

        sender = threading.Thread(target=send)
        sender.start()
        try:
            made = backup(stack, kept)
        finally:
            ended.set()
            sender.join()
        stack.wait_settled(sent)
        then, moment = ledger(stack), stack.query("select clock_timestamp()")[0][0].isoformat()
        more = [reading(sent + n) for n in range(1, 6)]
        stack.publish(f"dothi/v1/213/{device}/up", *more, b"what")
        stack.wait_settled(sent + 6)
        with psycopg.connect(stack.document["database"], autocommit=True) as connection:
            archive.wait_archived(connection, kept / "wal")
        yield Drill(stack, kept, made["backup"]["name"], moment, then, ledger(stack), device, more[0])


def test_the_drill_counts_ledger_and_audit_agree(drill: Drill, tmp_path: Path) -> None:
    assert drill.now[0] - drill.then[0] == 6
    done = json.loads(restore(drill.kept, tmp_path / "dothi").stdout)
    assert done["backup"] == drill.name
    assert (done["ledger"]["received"], done["ledger"]["stored"]) == drill.now[:2]
    assert not (tmp_path / "dothi" / cluster.UNFINISHED).exists()
    with running_stack(tmp_path) as again:
        assert ledger(again) == drill.now
        again.dothi("ingest", "audit", "--since", "1h")
        again.publish(f"dothi/v1/213/{drill.device}/up", drill.sample, reading(10**6))
        again.wait_settled(drill.now[0] + 2)
        assert ledger(again)[1] == drill.now[1] + 1, "what came back is still known as a duplicate"
        assert json.loads(again.dothi("storage", "archive", "--json").stdout)["folder"] is None


@pytest.mark.full
def test_a_restored_stack_goes_on_in_the_same_folder(drill: Drill, tmp_path: Path) -> None:
    restore(drill.kept / drill.name, tmp_path / "dothi")
    with running_stack(tmp_path) as again:
        backup(again, drill.kept)
        again.publish(f"dothi/v1/213/{drill.device}/up", reading(10**6))
        again.wait_settled(drill.now[0] + 1)
    dothi("storage", "verify", str(drill.kept))
    newest = json.loads(restore(drill.kept, tmp_path / "third").stdout)
    assert (newest["timeline"], newest["ledger"]["received"]) == (3, drill.now[0] + 1)


def test_a_moment_in_between(drill: Drill, tmp_path: Path) -> None:
    done = json.loads(restore(drill.kept / drill.name, tmp_path / "dothi", "--until", drill.moment).stdout)
    assert (done["ledger"]["received"], done["ledger"]["stored"], done["ledger"]["quarantined"]) == drill.then[:3]


def test_passwords_come_back_and_stay_private(drill: Drill) -> None:
    kept = drill.kept / drill.name
    assert (kept / "secrets.json").read_text() == (drill.stack.folder / "secrets.json").read_text()
    assert kept.stat().st_mode & 0o777 == 0o700
    assert drill.kept.stat().st_mode & 0o066 == 0


def test_every_byte_is_verified(drill: Drill, tmp_path: Path) -> None:
    found = json.loads(dothi("storage", "verify", str(drill.kept / drill.name), "--json").stdout)
    assert found["ok"] is True
    assert [one["trouble"] for one in found["backups"]] == [None]
    copy = shutil.copytree(drill.kept, tmp_path / "copy")
    biggest = max((copy / drill.name / "database/base").rglob("*"), key=lambda path: path.stat().st_size)
    with biggest.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\x00\xff")
    said = dothi("storage", "verify", str(copy / drill.name), "--json", check=False)
    refused(said, "checksum mismatch", biggest.name)
    assert json.loads(said.stdout)["ok"] is False
    refused(restore(copy / drill.name, tmp_path / "dothi", check=False), "is damaged", biggest.name)
    assert not (tmp_path / "dothi").exists()


def test_a_gap_and_a_flaw_in_the_archive_are_named(drill: Drill, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(drill.kept, copy)
    first = store.read(copy / drill.name).segment
    follow = next(name for name in archive.segments(copy / "wal") if archive.number(name) > archive.number(first))
    with (copy / "wal" / first).open("r+b") as file:
        file.seek(8192 + 500)
        file.write(bytes(300))
    refused(dothi("storage", "verify", str(copy / drill.name), check=False), "wal", "record")
    (copy / "wal" / first).unlink()
    assert archive.number(follow) == archive.number(first) + 1
    refused(dothi("storage", "verify", str(copy / drill.name), check=False), "lacks", first)


def fake(drill: Drill, folder: Path, **changed: Any) -> Path:
    """A folder of backups whose description says something else."""
    place = folder / "fake" / drill.name
    place.mkdir(parents=True)
    shutil.copy(drill.kept / store.WHOSE, place.parent)
    said = json.loads((drill.kept / drill.name / store.ABOUT).read_text())
    (place / store.ABOUT).write_text(json.dumps(said | changed))
    return place.parent


def broken_off(drill: Drill, folder: Path) -> Path:
    """A folder in which the only backup was interrupted."""
    place = fake(drill, folder)
    (place / drill.name).rename(place / f"{drill.name}{store.PART}")
    return place


def made_up(drill: Drill, folder: Path) -> Path:
    """A folder with something else."""
    (folder / "letter").write_text("dear")
    return folder


UNFIT: list[tuple[Callable[[Drill, Path], Path], str]] = [
    (lambda drill, folder: fake(drill, folder, postgresql="16.4"), "made by PostgreSQL 16.4"),
    (lambda drill, folder: fake(drill, folder, timescaledb="9.9.9"), "needs TimescaleDB 9.9.9"),
    (lambda drill, folder: fake(drill, folder, migrations={"ingest/9999_later.sql": "x"}), "newer dothi"),
    (lambda drill, folder: fake(drill, folder, migrations={"ingest/0002_ops.sql": "x"}), "another text"),
    (lambda drill, folder: fake(drill, folder, format=2), "format 2"),
    (lambda drill, folder: fake(drill, folder, bytes="many"), "no description of a backup"),
    (lambda drill, folder: fake(drill, folder, bytes=10**18), "MB free"),
    (broken_off, "no complete backup, only one that was interrupted"),
    (made_up, "is no folder of backups"),
    (lambda drill, folder: folder / "nowhere", "is no folder of backups"),
]


@pytest.mark.parametrize(("place", "named"), UNFIT, ids=[named for _, named in UNFIT])
def test_what_is_no_fit_backup_is_refused(
    drill: Drill, tmp_path: Path, place: Callable[[Drill, Path], Path], named: str
) -> None:
    with pytest.raises(Refused, match=re.escape(named)):
        bring_back(place(drill, tmp_path), tmp_path / "new", None, find_runtime("private"), tools.Progress("restore"))
    assert not (tmp_path / "new").exists()


def test_targets_and_moments_that_do_not_do(drill: Drill, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter").write_text("dear")
    before = sorted(path.name for path in drill.stack.folder.iterdir())
    now = datetime.now(UTC)
    refused(restore(drill.kept, full, check=False), str(full), "not empty")
    refused(restore(drill.kept, drill.stack.folder, check=False), "not empty (it holds a stack")
    for target, until, named in (
        (full / "letter", None, "not empty"),
        (full / "letter/below", None, "cannot be written"),
        (drill.kept / "below", None, "inside the folder of backups"),
        (tmp_path / "new", now - timedelta(days=9), "before the end of the oldest"),
        (tmp_path / "new", now + timedelta(hours=1), "has not come yet"),
    ):
        with pytest.raises(Refused, match=named):
            bring_back(drill.kept, target, until, find_runtime("private"), tools.Progress("restore"))
    wrong = restore(drill.kept, tmp_path / "new", "--until", "soon", check=False)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert sorted(path.name for path in drill.stack.folder.iterdir()) == before
    assert (full / "letter").read_text() == "dear"
    assert not (tmp_path / "new").exists()


@pytest.mark.full
def test_a_moment_behind_the_archive_names_its_end(drill: Drill, tmp_path: Path) -> None:
    drill.stack.run("select pg_switch_wal()")
    until = datetime.now(UTC).isoformat()
    done = restore(drill.kept / drill.name, tmp_path / "new", "--until", until, check=False)
    refused(done, "behind the end of the archive", "ends with a transaction of 20")
    assert not (tmp_path / "new").exists()


def test_folders_that_take_no_backup(drill: Drill, tmp_path: Path) -> None:
    said = drill.stack.dothi("storage", "backup", "--to", str(drill.stack.folder / "below"), check=False)
    refused(said, "inside the stack's own folder")
    other = tmp_path / "other"
    other.mkdir()
    (other / store.WHOSE).write_text('{"format": 1, "system": "1"}')
    for to, named in (
        (made_up(drill, tmp_path), "is not empty and holds no backups"),
        (tmp_path / "letter", "cannot be written"),
        (tmp_path / "letter/below", "cannot be written"),
        (other, "another database"),
    ):
        wanted = Wanted(drill.stack.document["database"], drill.stack.folder, to)
        with pytest.raises(Refused, match=named):
            make(wanted, find_runtime("private"), tools.Progress("backup"))
    assert sorted(path.name for path in other.iterdir()) == [store.WHOSE]


def test_an_archive_that_the_database_cannot_write_is_refused(drill: Drill, tmp_path: Path) -> None:
    url, named = drill.stack.document["database"], r"cannot archive into .*No such file or directory; choose"
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(Refused, match=named):
        archive.require_writable(connection, tmp_path / "gone")


def test_kill_9_in_the_middle_leaves_nothing_that_is_taken_for_a_backup(drill: Drill, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    command = [sys.executable, "-m", "dothi", "storage", "backup", "--dir", str(drill.stack.folder), "--to", str(kept)]
    process = subprocess.Popen([*command, "--max-rate", "1", "--no-archive"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(kept.glob(f"*{store.PART}/database/base")) and time.monotonic() < until:
        time.sleep(0.02)
    second = drill.stack.dothi("storage", "backup", "--to", str(kept), "--no-archive", check=False)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children, "pg_basebackup was at work"
    process.kill()
    process.wait()
    refused(second, "another backup", "runs")
    _, alive = psutil.wait_procs(children, 60)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    (left,) = kept.glob(f"*{store.PART}")
    refused(dothi("storage", "verify", str(kept), check=False), "only one that was interrupted", left.name)
    runtime, progress = find_runtime("private"), tools.Progress("restore")
    with pytest.raises(Refused, match="was interrupted"):
        bring_back(left, tmp_path / "new", None, runtime, progress)
    backup(drill.stack, kept, "--no-archive")
    assert not left.exists()
    with pytest.raises(Refused, match="no archived WAL"):
        bring_back(kept, tmp_path / "new", datetime.now(UTC), runtime, progress)


@pytest.mark.full
def test_a_restore_that_was_killed_is_not_taken_for_an_empty_stack(drill: Drill, tmp_path: Path) -> None:
    target = tmp_path / "dothi"
    command = [sys.executable, "-m", "dothi", "storage", "restore", "--from", str(drill.kept), "--dir", str(target)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (target / cluster.UNFINISHED).exists() and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    refused(dothi("up", "--dir", str(target), check=False), "a restore that was interrupted")
    assert json.loads(restore(drill.kept, target).stdout)["folder"] == str(target)


@pytest.mark.full
def test_old_backups_go_with_the_wal_that_only_they_needed(drill: Drill, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    kept.chmod(0o711)
    tmp_path.chmod(0o711)
    first = backup(drill.stack, kept)["backup"]["name"]
    oldest = archive.segments(kept / "wal")[0]
    assert backup(drill.stack, kept, "--keep", "2")["removed"] == []
    done = backup(drill.stack, kept, "--keep", "1")
    assert done["removed"][0] == first
    assert [one.name for one in store.Store(kept).backups()] == [done["backup"]["name"]]
    assert oldest not in archive.segments(kept / "wal")
    assert json.loads(dothi("storage", "verify", str(kept), "--json").stdout)["ok"] is True


def test_too_little_room_is_told_before(drill: Drill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted(drill.stack.document["database"], drill.stack.folder, tmp_path / "kept", archive=False)
    monkeypatch.setattr(tools, "SPARE", 10**18)
    with pytest.raises(Refused, match="MB free, the backup needs"):
        make(wanted, find_runtime("private"), tools.Progress("backup"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk that is soon full, which nobody notices before."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    monkeypatch.setattr(tools, "SPARE", -(10**18))
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(drill: Drill, small: Path) -> None:
    wanted = Wanted(drill.stack.document["database"], drill.stack.folder, small / "kept", archive=False)
    with pytest.raises(Refused, match="No space left on device"):
        make(wanted, find_runtime("private"), tools.Progress("backup"))
    assert [path.name for path in (small / "kept").iterdir() if path.is_dir()] == []
    shutil.rmtree(small / "kept")
    with pytest.raises(Refused, match=r"No space left on device; nothing was restored"):
        bring_back(drill.kept, small / "new", None, find_runtime("private"), tools.Progress("restore"))
    assert not (small / "new").exists()


@pytest.mark.full
def test_a_disk_too_small_for_the_archive_changes_nothing(drill: Drill, small: Path) -> None:
    before = (drill.stack.folder / cluster.ARCHIVE).read_text()
    wanted = Wanted(drill.stack.document["database"], drill.stack.folder, small / "kept", archive=True)
    with pytest.raises(Refused, match=r"WAL does not arrive in .*only \d MB are free"):
        make(wanted, find_runtime("private"), tools.Progress("backup"))
    assert (drill.stack.folder / cluster.ARCHIVE).read_text() == before


@pytest.mark.full
def test_an_archive_that_fails_is_told_and_can_be_switched_off(drill: Drill, tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    kept = tmp_path / "kept"
    backup(drill.stack, kept)
    (kept / "wal").rename(kept / "wal.away")
    drill.stack.run("select pg_create_restore_point('x'), pg_switch_wal()")
    drill.stack.wait_for("select last_failed_time > last_archived_time from pg_stat_archiver")
    refused(drill.stack.dothi("storage", "archive", check=False), "cannot be archived", str(kept))
    off = json.loads(drill.stack.dothi("storage", "archive", "--off", "--json").stdout)
    assert off["folder"] is None
    assert off["failing"] is False


@pytest.mark.full
def test_over_the_wire(drill: Drill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, kept = drill.stack.document["database"], tmp_path / "kept"
    drill.stack.run("create role poor login password 'poor' in role dothi_admin")
    monkeypatch.setenv("DOTHI_DATABASE_URL", url.replace(url.split("//")[1].split("@")[0], "poor:poor"))
    refused(dothi("storage", "backup", "--to", str(kept), check=False), "poor may not replicate")
    assert not kept.exists()
    monkeypatch.setenv("DOTHI_DATABASE_URL", url)
    dothi("storage", "backup", "--to", str(kept))
    monkeypatch.delenv("DOTHI_DATABASE_URL")
    assert not (kept / "wal").exists()
    restore(kept, tmp_path / "dothi")
    with running_stack(tmp_path) as again:
        assert ledger(again) == ledger(drill.stack)


@pytest.mark.parametrize("module", [archive, recover, tools, commands])
def test_the_examples_in_the_code_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


def test_without_a_backup_wal_goes_nowhere(stack: RunningStack) -> None:
    assert stack.query("show archive_command") == [("true",)]
    assert json.loads(stack.dothi("storage", "archive", "--json").stdout)["folder"] is None
