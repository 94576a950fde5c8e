"""Workers that die, come, go and hand over inboxes; areas that appear; a database that is away."""

import contextlib
import doctest
import itertools
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import paho.mqtt.client as paho
import psutil
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from dothi.commands.up import size
from dothi.errors import WrongUsage
from dothi.stack import broker, hosts
from dothi.stack.broker import BYTES_PER_MESSAGE
from tests.gateway import Gateway
from tests.stack import RunningStack, running_stack

RATE_PER_S = 300
WITHIN_S = 60
"""Five seconds are promised; this only ends the wait of a machine that is busy with much else."""


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    """Two workers, and a broker whose queue is soon full."""
    folder, options = tmp_path_factory.mktemp("workers"), ("--workers", "2", "--broker-memory", "5MiB")
    with running_stack(folder, *options, prepared=prepared) as stack:
        yield stack


@pytest.fixture(scope="module")
def device(own_stack: RunningStack) -> str:
    return own_stack.enroll("moving")


def document(stack: RunningStack) -> dict[str, Any]:
    """What the stack says of itself now."""
    return dict(json.loads((stack.folder / "stack.json").read_text()))


class Load(threading.Thread):
    """Numbered readings of one device until the block ends."""

    def __init__(self, stack: RunningStack, device: str, first: int) -> None:
        super().__init__()
        self.published = 0
        self._gateway = Gateway(stack.document["broker"], "")
        self._device, self._first = device, first
        self._ended = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        for number in itertools.count(self._first):
            if self._ended.is_set():
                break
            payload = {"time": time.time_ns() // 1_000_000, "seq": number, "metrics": {"pm25": number % 500}}
            self._gateway.publish(f"dothi/v1/213/{self._device}/up", json.dumps(payload).encode())
            self.published += 1
            time.sleep(max(0.0, began + self.published / RATE_PER_S - time.monotonic()))
        self._gateway.settle()
        self._gateway.close()

    def __enter__(self) -> "Load":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def stored(stack: RunningStack, device: str, first: int) -> list[int]:
    """Numbers stored from `first` on."""
    rows = stack.query("select seq from city.air_quality where device = %s and seq >= %s order by seq", device, first)
    return [seq for (seq,) in rows]


def assert_all_stored_once(stack: RunningStack, load: Load, device: str, first: int) -> None:
    """Every published number is one row."""
    count = "select count(*) from city.air_quality where device = %s and seq >= %s"
    stack.wait_for(count, device, first, until=lambda rows: rows >= load.published)
    assert stored(stack, device, first) == list(range(first, first + load.published))


def test_moving_inboxes_loses_nothing_and_reads_nothing_twice(own_stack: RunningStack, device: str) -> None:
    with Load(own_stack, device, 1) as load:
        moves = []
        for arguments in (("workers", "3"), ("move", "213", "--worker", "0"), ("workers", "1"), ("workers", "2")):
            own_stack.dothi_process("ingest", *arguments)
            moves.append(document(own_stack)["ingest"]["hosts"]["213"])
    assert_all_stored_once(own_stack, load, device, 1)
    assert len(set(moves)) > 1, f"the inbox of the load stayed where it was: {moves}"
    assert own_stack.query("select sum(duplicate)::int from city.ledger where inbox = '213'") == [(0,)], (
        "the next host must wait until what was read is settled"
    )
    assert own_stack.query("select count(*) from city.event where kind like 'session_%%'") == [(0,)]
    assert len(document(own_stack)["processes"]["workers"]) == 2


def test_inboxes_are_dealt_by_what_they_receive(own_stack: RunningStack, device: str) -> None:
    sent = [{"seq": 50_001 + n, "metrics": {"pm25": n}} for n in range(20)]
    own_stack.publish(f"dothi/v1/213/{device}/up", *sent)
    own_stack.wait_settled(len(sent), "213")
    own_stack.dothi("ingest", "workers", "2", "--by-load")
    dealt = document(own_stack)["ingest"]["hosts"]
    alone = [name for name, worker in dealt.items() if worker == dealt["213"]]
    assert len(alone) < len(dealt) / 2, "all that is quiet goes to the other worker"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("workers", "0"), "0 workers: allowed: 1 to 64"),
        (("move", "nowhere", "--worker", "0"), "inbox 'nowhere' is not known; known: "),
        (("move", "213", "--worker", "7"), "--worker 7: allowed: 0 to 1"),
    ],
)
def test_what_cannot_be_moved_is_refused(own_stack: RunningStack, arguments: tuple[str, ...], said: str) -> None:
    done = own_stack.dothi("ingest", *arguments, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_killed_worker_comes_back_and_nothing_is_lost(own_stack: RunningStack, device: str) -> None:
    with Load(own_stack, device, 100_001) as load:
        kill_and_wait(own_stack)
    assert_all_stored_once(own_stack, load, device, 100_001)


def kill_and_wait(stack: RunningStack) -> None:
    """kill -9 of the worker that hosts the load, until another hosts it."""
    ready = stack.folder / f"run/worker-{document(stack)['ingest']['hosts']['213']}.ready"
    pid = int(ready.read_text())
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    while not is_back(ready, pid):
        assert time.monotonic() - killed < WITHIN_S
        time.sleep(0.01)


def is_back(ready: Path, pid: int) -> bool:
    """Whether the worker's ready file is there and another process's."""
    with contextlib.suppress(OSError, ValueError):
        return int(ready.read_text()) != pid
    return False


def test_a_new_area_is_taken_up_while_all_goes_on(own_stack: RunningStack) -> None:
    with psycopg.connect(own_stack.document["database"], autocommit=True) as connection:
        connection.execute(
            "insert into registry.area (id, code, name_vi, name_en, province, people_2019, people_2030, lat, lon) "
            "values (901, '901', 'Khu mới', 'New zone', 'bac-ninh', 1000, 1100, 21.2, 106.1)"
        )
    inserted = time.monotonic()
    while "901" not in document(own_stack)["brokers"][0]["areas"]:
        assert time.monotonic() - inserted < WITHIN_S
        time.sleep(0.05)
    time.sleep(0.2)  # the broker reads its rules when the signal reaches it
    newcomer = own_stack.enroll("newcomer", area="901")
    own_stack.publish(f"dothi/v1/901/{newcomer}/up", {"seq": 1, "metrics": {"pm25": 1}})
    own_stack.wait_for(
        "select area from city.air_quality where device = %s", newcomer, until=lambda area: area == "901"
    )


def test_a_database_that_hangs_is_named_and_nothing_is_lost(own_stack: RunningStack, device: str) -> None:
    with Load(own_stack, device, 200_001) as load:
        with suspended(psutil.Process(document(own_stack)["processes"]["database"])):
            said = wait_state(own_stack, "database away since")
            assert readiness(own_stack, "worker 0") == 503
            assert "received" not in said, "counts that nobody can ask for are left out"
        wait_state(own_stack, "running")
    assert_all_stored_once(own_stack, load, device, 200_001)


@contextlib.contextmanager
def suspended(database: psutil.Process) -> Iterator[None]:
    """The whole database stands still; the postmaster first, so that no new server process escapes."""
    stopped: list[psutil.Process] = []
    try:
        database.suspend()
        stopped.append(database)
        for child in database.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.suspend()
                stopped.append(child)
        yield
    finally:
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def wait_state(stack: RunningStack, beginning: str) -> dict[str, Any]:
    """Ask for the status until its state begins so."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        said = dict(json.loads(stack.dothi("status", "--json", check=False).stdout))
        if said["state"].startswith(beginning):
            return said
    raise AssertionError(f"the state is still {said['state']!r}, not {beginning!r}")


def readiness(stack: RunningStack, name: str) -> int:
    """Status of /readyz."""
    try:
        with urlopen(f"{document(stack)['metrics'][name]}/readyz", timeout=60) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except OSError as error:
        return int(getattr(error, "code", 0))


@pytest.mark.full
def test_a_full_queue_is_told_before_and_after(own_stack: RunningStack) -> None:
    """A session that nobody reads stands for an inbox whose worker is away: the broker does not tell them apart."""

    parts = urlsplit(document(own_stack)["ingest"]["brokers"][0]["url"])
    sleeper = paho.Client(CallbackAPIVersion.VERSION2, "sleeper", clean_session=False)
    sleeper.username_pw_set(parts.username, parts.password)
    granted = threading.Event()
    sleeper.on_connect = lambda *_: sleeper.subscribe("dothi/v1/058/+/status", 1)
    sleeper.on_subscribe = lambda *_: granted.set()
    sleeper.connect(parts.hostname or "", parts.port or 0)
    sleeper.loop_start()
    assert granted.wait(10)
    sleeper.disconnect()
    sleeper.loop_stop()
    limit = 5 * 2**20 // BYTES_PER_MESSAGE
    kinds = "select count(*) from city.event where kind = %s"
    with own_stack.gateway() as gateway:
        for _ in range(int(0.6 * limit)):
            gateway.publish("dothi/v1/058/nobody/status", b"?")
        gateway.settle()
        own_stack.wait_for(kinds, "queue_filling")
        assert own_stack.query(kinds, "messages_dropped") == [(0,)], "told before anything is lost"
        for _ in range(int(0.6 * limit)):
            gateway.publish("dothi/v1/058/nobody/status", b"?")
        gateway.settle()
    own_stack.wait_for(kinds, "messages_dropped")
    shares = own_stack.query("select severity, (detail->>'share')::float8 from city.event where kind = 'queue_filling'")
    assert [severity for severity, _ in shares] == ["warning", "major"]
    lost = own_stack.query("select severity, detail from city.event where kind = 'messages_dropped' limit 1")
    assert lost[0][0] == "major"
    assert lost[0][1]["from"] < lost[0][1]["to"]
    assert lost[0][1]["dropped"] > 0


@pytest.mark.full
def test_a_new_route_is_taken_up_while_all_goes_on(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a copy of the code, which gains a route while it runs."""
    code, here = tmp_path / "code", Path(__file__).parents[1]
    for room in ("devices", "ingest", "analytics", "dashboards", "simulators", "dothi"):
        shutil.copytree(here / room, code / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(code)
    with running_stack(tmp_path, environment={"PYTHONPATH": str(code)}, prepared=prepared) as stack:
        route = (code / "devices/routes/shelly.yaml").read_text()
        new = route.replace("+/", "new/+/").replace("level: 0", "level: 1")
        (code / "devices/routes/shelly-new.yaml").write_text(new)
        written = time.monotonic()
        with stack.gateway() as gateway:
            while not stack.query("select 1 from city.quarantine where inbox = 'shelly-new' limit 1"):
                assert time.monotonic() - written < WITHIN_S, (tmp_path / "up.log").read_text()[-2000:]
                gateway.publish("new/nobody/events/rpc", b"no object")
                time.sleep(0.1)


@pytest.mark.parametrize("module", [hosts, broker])
def test_the_examples_are_true(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


def test_eight_gib_hold_ten_minutes() -> None:
    assert broker.outage_minutes(broker.queue_length(size("8GiB"), 1), 20_000) > 10


@pytest.mark.parametrize("text", ["", "8", "8 apples", "-1GiB", "0.1MiB", "1000TiB"])
def test_a_size_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(WrongUsage, match=r"--broker-memory .*: allowed: a size like 8GiB"):
        size(text)


def test_areas_and_inboxes_stay_where_they_are_when_others_come() -> None:
    before = hosts.place(["213", "214", "215", "216"], 2, {})
    after = hosts.place(["061", *before, "999"], 2, before)
    assert {area: after[area] for area in before} == before
    assert sorted(list(after.values()).count(shard) for shard in (0, 1)) == [3, 3]


def test_a_note_that_makes_no_sense_changes_nothing(tmp_path: Path) -> None:
    note = tmp_path / "run/wanted.json"
    note.parent.mkdir()
    assert hosts.asked(note) is None
    for text in (
        "",
        "{}",
        '{"workers": 0, "hosts": {}}',
        '{"workers": 2, "hosts": []}',
        '{"workers": 65, "hosts": {}}',
    ):
        note.write_text(text)
        assert hosts.asked(note) is None, text
    hosts.ask(tmp_path, 2, {"213": 1})
    assert hosts.asked(note) == (2, {"213": 1})
