"""`dothi up` from outside: it ends cleanly, recovers from kills, refuses in one line. Nothing may be left behind."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from dothi.backup.archive import Archiving
from dothi.commands.doctor import MANY_PAGES, archived, paged
from dothi.commands.up import check, run_up, up
from dothi.errors import WrongUsage
from dothi.settings import stack_at
from dothi.stack.leftovers import recorded
from dothi.stack.plan import Plan
from tests.command import dothi, dothi_process
from tests.gateway import WAIT_S
from tests.stack import RunningStack, running_stack


def everything(stack: RunningStack) -> set[psutil.Process]:
    """Every process of a stack, the database's own children included."""
    roots = [psutil.Process(trace.pid) for trace in recorded(stack.folder)]
    return {child for root in roots for child in [root, *root.children(recursive=True)]}


def still_running(processes: set[psutil.Process], seconds: float = WAIT_S) -> set[psutil.Process]:
    """Those that still run after some seconds; a zombie that the container does not bury has ended."""
    until = time.monotonic() + seconds
    while (alive := {process for process in processes if runs(process)}) and time.monotonic() < until:
        time.sleep(0.05)
    return alive


def runs(process: psutil.Process) -> bool:
    """Whether it is there and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids(stack: RunningStack) -> dict[str, object]:
    """Processes as the ready file names them now."""
    return dict(json.loads((stack.folder.parent / "ready.json").read_text())["processes"])


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of its own, in a folder that other users cannot enter; its parts are killed here."""
    closed = tmp_path_factory.mktemp("up") / "closed"
    closed.mkdir(mode=0o700)
    with running_stack(closed, "--broker-shards", "2") as stack:
        yield stack


def test_the_ready_file_says_what_the_contract_promises(own_stack: RunningStack) -> None:
    document = own_stack.document
    assert set(document) == {"broker", "brokers", "database", "reader", "pid", "processes", "tls", "ca"}
    assert document["broker"] == document["brokers"][0]["url"]
    assert document["pid"] == own_stack.process.pid
    assert len(document["processes"]["broker"]) == 2
    codes = {row[0] for row in own_stack.query("select area from city.plan")}
    assert {area for shard in document["brokers"] for area in shard["areas"]} == codes
    assert "postgres" in " ".join(psutil.Process(document["processes"]["database"]).cmdline())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change the user")
def test_root_starts_the_stores_as_somebody_else_even_in_a_closed_folder(own_stack: RunningStack) -> None:
    named = own_stack.document["processes"]
    assert stat.S_IMODE(own_stack.folder.parent.stat().st_mode) == 0o700
    for pid in (named["database"], *named["broker"]):
        assert psutil.Process(pid).uids().real != 0


def test_what_carries_passwords_is_private(own_stack: RunningStack) -> None:
    for path in (own_stack.folder / "stack.json", own_stack.folder / "secrets.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_reader_reads_and_never_writes(own_stack: RunningStack) -> None:
    with psycopg.connect(own_stack.document["reader"], autocommit=True) as connection:
        assert connection.execute("select count(*) from city.plan").fetchone() == (18,)
        with pytest.raises(psycopg.Error):
            connection.execute("create table public.mine (i int)")


def test_ingest_and_analysis_log_in_with_roles_of_their_own(own_stack: RunningStack) -> None:
    document = stack_at(own_stack.folder).document
    for url, role in ((document["ingest"]["database"], "dothi_writer"), (document["analyst"], "dothi_analyst")):
        with psycopg.connect(url) as connection:
            assert connection.execute("select current_user::text").fetchone() == (role,)


def test_a_second_up_names_the_holder(own_stack: RunningStack) -> None:
    second = dothi("up", "--dir", str(own_stack.folder), check=False)
    assert second.returncode == 1
    assert f"process {own_stack.document['pid']}" in second.stderr
    assert "Traceback" not in second.stderr


def connected(stack: RunningStack, inbox: str) -> list[dict[str, Any]]:
    """What the worker said each time when this inbox was connected."""
    log = (stack.folder / "log/worker-0.log").read_text().splitlines()
    return [json.loads(line) for line in log if '"inbox connected"' in line and f'"{inbox}"' in line]


@pytest.mark.parametrize("part", ["database", "broker", "workers"])
def test_a_killed_part_is_back(own_stack: RunningStack, part: str) -> None:
    named = pids(own_stack)[part]
    old = named[0] if isinstance(named, list) else named
    assert isinstance(old, int)
    os.kill(old, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_S
    device = own_stack.enroll(f"killed-{part}") if part != "database" else ""
    while str(old) in str(pids(own_stack)[part]) or not pids(own_stack)[part]:
        assert time.monotonic() < deadline, f"{part} is not back"
        time.sleep(0.05)
    if part == "broker":
        while len(inboxes := connected(own_stack, "213")) < 2:
            assert time.monotonic() < deadline, "the inbox is not back"
            time.sleep(0.05)
        assert [inbox["session_present"] for inbox in inboxes] == [False, True], "the session outlived the broker"
    if device:
        own_stack.publish(f"dothi/v1/213/{device}/up", {"metrics": {"pm25": 12.5}})
        own_stack.wait_for("select count(*) from city.air_quality where device = %s", device)
    assert own_stack.wait_for("select count(*) from city.plan") == 18
    same = json.loads((own_stack.folder.parent / "ready.json").read_text())
    assert {key: same[key] for key in ("broker", "brokers", "database", "reader")} == {
        key: own_stack.document[key] for key in ("broker", "brokers", "database", "reader")
    }


def test_kill_9_and_sigterm_leave_nothing_and_the_next_start_recovers(tmp_path: Path, prepared: Path) -> None:
    with running_stack(tmp_path, "--people", "100", prepared=prepared) as stack:
        processes = everything(stack)
        assert len(processes) >= 5
        with psycopg.connect(stack.document["database"]) as connection:
            connection.execute("create table public.kept as select 1 as one")
        stack.process.kill()
        stack.process.wait()
        assert not still_running(processes)
    said = dothi("status", "--dir", str(stack.folder), check=False)
    assert said.returncode == 1
    assert f"dothi up --dir {stack.folder}" in said.stderr
    (tmp_path / "ready.json").unlink()
    with running_stack(tmp_path, "--people", "100") as again:
        assert again.document["database"] == stack.document["database"], "same port, same password"
        assert again.query("select one from public.kept") == [(1,)]
        processes = everything(again)
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(60) == 0
        assert not still_running(processes, 0)


@pytest.mark.full
def test_the_next_start_ends_what_was_left_behind(tmp_path: Path, prepared: Path) -> None:
    with running_stack(tmp_path, prepared=prepared) as stack:
        processes = everything(stack)
        database = psutil.Process(stack.document["processes"]["database"])
        database.suspend()  # it cannot hear that its parent died, and still runs when the next one starts
        stack.process.kill()
        stack.process.wait()
    (tmp_path / "ready.json").unlink()
    with running_stack(tmp_path) as again:
        assert not still_running(processes, 0)
        assert again.query("select count(*) from city.plan") == [(18,)]
        assert "left over from a killed start" in (tmp_path / "up.log").read_text()


@pytest.mark.full
def test_it_stops_by_itself_and_avoids_a_port_that_is_taken_meanwhile(tmp_path: Path, prepared: Path) -> None:
    with running_stack(tmp_path, "--for", "0.1", prepared=prepared) as stack:
        assert stack.process.wait(60) == 0
    kept = json.loads((stack.folder / "ports.json").read_text())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", kept["broker 0"]))
        other.listen()
        with running_stack(tmp_path, "--for", "0.1") as again:
            assert str(kept["broker 0"]) not in again.document["broker"]


@pytest.mark.full
def test_stopping_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "dothi"
    for seconds in (0.9, 1.6, 2.4):
        process = subprocess.Popen(
            [sys.executable, "-m", "dothi", "up", "--dir", str(folder)], stderr=subprocess.PIPE, text=True
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said
        assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]


def test_ctrl_c_while_leftovers_are_ended_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of the stack are not fetched then, which may take minutes."""
    fetched: list[Any] = []
    monkeypatch.setattr("dothi.commands.up.end_leftovers", lambda _: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr("dothi.commands.up.find_runtime", fetched.append)
    run_up(Plan(tmp_path / "dothi"))
    assert fetched == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"workers": 65}, "--workers 65: allowed: 1 to "),
        ({"shards": 19}, "--broker-shards 19: allowed: 1 to 18"),
        ({"shards": 2, "broker_url": "mqtt://h"}, "--broker-shards 2: only 1 with DOTHI_BROKER_URL"),
        ({"seconds": -1.0}, "--for -1: allowed: above 0"),
        ({"density": 5.0}, "--density 5: only together with --people"),
        ({"people": 0}, "--people 0"),
        ({"ready_file": Path("/nowhere/ready.json")}, "--ready-file /nowhere/ready.json: allowed"),
    ],
)
def test_wrong_usage_is_named(tmp_path: Path, wanted: dict[str, Any], named: str) -> None:
    with pytest.raises(WrongUsage, match=re.escape(named)):
        check(Plan(tmp_path / "dothi", **wanted))


def test_a_refusal_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    said = dothi_process("up", "--dir", str(tmp_path / "dothi"), "--workers", "0", check=False)
    assert said.returncode == 2
    most = min(64, 4 * (os.cpu_count() or 1))
    assert said.stderr == f"dothi: --workers 0: allowed: 1 to {most}\n"
    assert not (tmp_path / "dothi").exists()


def test_a_database_and_a_broker_of_ones_own(own_stack: RunningStack, tmp_path: Path) -> None:
    given = {"DOTHI_DATABASE_URL": own_stack.document["database"], "DOTHI_BROKER_URL": own_stack.document["broker"]}
    with running_stack(tmp_path, environment=given) as stack:
        assert stack.document["database"] == given["DOTHI_DATABASE_URL"]
        assert stack.document["broker"] == given["DOTHI_BROKER_URL"]
        assert stack.document["processes"]["database"] is None
        assert stack.document["processes"]["broker"] == []
        with psycopg.connect(stack.document["reader"]) as connection:
            assert connection.execute("select current_user::text").fetchone() == ("dothi_reader",)
    assert own_stack.query("select count(*) from city.plan") == [(18,)], "the reader's password still holds"


def test_a_session_gives_back_what_a_large_statement_needed(own_stack: RunningStack) -> None:
    with psycopg.connect(own_stack.document["database"], autocommit=True) as connection:
        server = psutil.Process(connection.info.backend_pid)
        connection.execute("select 1")
        before = own_mib(server)
        for _ in range(2):  # what glibc keeps it decides when the first large piece is freed
            connection.execute("select array_agg(n), array_agg(n), array_agg(n) from generate_series(1, 300000) n")
            connection.execute("select length(%b::bytea)", (bytes(12 * 2**20),))
        assert own_mib(server) < before + 4


def own_mib(process: psutil.Process) -> float:
    """Memory of a process without pages that it shares."""
    memory = process.memory_info()
    return float(memory.rss - memory.shared) / 2**20


def test_doctor_asks_the_running_database(own_stack: RunningStack) -> None:
    document = json.loads(own_stack.dothi("doctor", "--json").stdout)
    found = {finding["name"]: finding["found"] for finding in document["findings"]}
    assert document["ok"] is True
    assert "TimescaleDB" in found["runtime"]
    assert found["WAL archive"].startswith("none")
    assert "without columnstore and continuous aggregates" in found["database"] or "Community" in found["database"]


@pytest.mark.parametrize(
    ("status", "pages", "said"),
    [
        ("on", 4154, ["all 8308MB"]),
        ("off", 4154, ["none", "sysctl vm.nr_hugepages=4154"]),
        ("off", MANY_PAGES - 1, []),
        ("off", -1, []),  # this kernel has none
        (None, 4154, []),  # PostgreSQL 16 does not tell
    ],
)
def test_doctor_says_whether_the_database_has_huge_pages(status: str | None, pages: int, said: list[str]) -> None:
    found = list(paged(status, "8308MB", pages))
    assert len(found) == bool(said)
    assert all(finding.ok for finding in found), "a stack without them works"
    assert all(part in f"{finding.found} {finding.mend}" for finding in found for part in said)


def test_doctor_says_when_the_log_is_not_archived() -> None:
    at = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    well = archived(Archiving("/b/wal", 0, "00000001000000000000000A", at, failing=False))
    assert well.ok
    assert "00000001000000000000000A at 2026-01-31 12:00:00 UTC" in well.found
    ill = archived(Archiving("/b/wal", 12, None, None, failing=True))
    assert (ill.ok, "12 segments waiting" in ill.found, "/b/wal" in ill.mend) == (False, True, True)


def test_doctor_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("DOTHI_RUNTIME", "private")
    said = dothi("doctor", "--dir", str(tmp_path), "--json", check=False)
    assert said.returncode == 1
    missing = [finding for finding in json.loads(said.stdout)["findings"] if not finding["ok"]]
    assert [finding["name"] for finding in missing] == ["runtime"]
    assert missing[0]["mend"].endswith("-m dothi.runtime")


def test_there_is_a_worker_for_each_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr("dothi.commands.up.run_up", lambda plan, _: plans.append(plan))
    up(folder=tmp_path, broker_shards=2)
    up(folder=tmp_path, broker_shards=2, workers=1)
    assert [plan.workers for plan in plans] == [2, 1]
