"""The stores of the embedded stack: broker and database as parts, without ingest."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from dothi.errors import Refused
from dothi.runtime import find_runtime
from dothi.stack import account, broker, cluster, leftovers, machine
from dothi.stack.account import Account
from dothi.stack.embedded import Embedded
from dothi.stack.leftovers import Trace, birth, end_leftovers, held, record
from dothi.stack.parts import Part
from dothi.stack.passwords import passwords
from dothi.stack.plan import Plan
from dothi.stack.ports import is_free, ports
from dothi.stack.roles import as_role, foreign_database
from dothi.stack.supervisor import HEALTHY, LONGEST_DELAY, Supervisor, delay
from tests.gateway import WAIT_S

AREAS = ["213", "215", "216"]
ROUTES = {"frigate": ("frigate/+/events",)}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Database and two brokers in one folder."""
    folder = tmp_path_factory.mktemp("stores")
    with held(folder):
        embedded = Embedded(Plan(folder, shards=2), find_runtime("private"), AREAS, ROUTES, threading.Event())
        try:
            embedded.start_stores()
            yield embedded
        finally:
            embedded.end()


def wait_back(embedded: Embedded, name: str, old: int | None) -> None:
    """Wait until a part is ready again under another process number."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        embedded.supervisor.step()
        running = embedded.supervisor.running[name]
        if running.pid not in (None, old) and running.ready_since is not None:
            return
        time.sleep(0.02)
    raise AssertionError(f"{name} is not back within {WAIT_S} s")


@pytest.mark.parametrize("name", ["database", "broker 0"])
def test_a_killed_part_is_back_at_the_same_address(stores: Embedded, name: str) -> None:
    before = [*stores.shards, stores.database]
    for _ in range(2):
        old = stores.supervisor.pid(name)
        assert old is not None
        os.kill(old, signal.SIGKILL)
        wait_back(stores, name, old)
    assert [*stores.shards, stores.database] == before
    assert stores.database is not None
    assert cluster.accepts(stores.database.owner)
    assert connects(stores.shards[0].gateway)


def test_who_computes_does_not_keep_a_killed_database_away(stores: Embedded) -> None:
    """A server process between two looks at its socket does not hear that the postmaster has died."""
    old = stores.supervisor.pid("database")
    assert old is not None
    with closing(psycopg.connect(owner(stores))) as connection:
        computing = connection.info.backend_pid
        rows = b"generate_series(1, 100000)"
        connection.pgconn.send_query(b"select count(*) from %s a, %s b, %s c" % (rows, rows, rows))
        connection.pgconn.flush()
        try:
            os.kill(old, signal.SIGKILL)
            wait_back(stores, "database", old)
            assert birth(computing) is None
        finally:
            if birth(computing) is not None:
                os.kill(computing, signal.SIGKILL)


def owner(stores: Embedded) -> str:
    """URL of the maintenance database of the test's cluster."""
    assert stores.database is not None
    return cluster.maintenance(stores.database.owner)


def test_the_database_is_durable_and_speaks_unicode(stores: Embedded) -> None:
    wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on", "jit": "off"}
    with psycopg.connect(owner(stores)) as connection:
        shown = {name: connection.execute(f"show {name}".encode()).fetchone() for name in wanted}
        lower = connection.execute("select lower('ĐÔ THỊ'), current_setting('server_encoding')").fetchone()
    assert shown == {name: (value,) for name, value in wanted.items()}
    assert lower == ("đô thị", "UTF8")


def test_the_database_asks_for_the_password(stores: Embedded) -> None:
    port = urlsplit(owner(stores)).port
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://dothi:wrong@127.0.0.1:{port}/postgres")


def test_everything_listens_on_loopback_alone(stores: Embedded) -> None:
    import psutil

    for name in ("database", "broker 0", "broker 1"):
        listening = [c for c in psutil.Process(stores.supervisor.pid(name)).net_connections() if c.status == "LISTEN"]
        assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


class Client:
    """An independent MQTT 5 client that remembers what it is told."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.connected: list[str] = []
        self.granted: list[int] = []
        self.published: list[int] = []
        self.received: list[tuple[str, bytes]] = []
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.paho.username_pw_set(parts.username, parts.password)
        self.paho.on_connect = lambda _c, _u, _f, reason, _p: self.connected.append(str(reason))
        self.paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self.granted.extend(r.value for r in reasons)
        self.paho.on_publish = lambda _c, _u, _m, reason, _p: self.published.append(reason.value)
        self.paho.on_message = lambda _c, _u, message: self.received.append((message.topic, bytes(message.payload)))
        self.paho.connect(parts.hostname or "", parts.port or 0)
        self.paho.loop_start()
        wait(lambda: self.connected)

    def publish(self, topic: str) -> int:
        """Reason code of the acknowledgement."""
        count = len(self.published)
        self.paho.publish(topic, b"x", qos=1)
        wait(lambda: len(self.published) > count)
        return self.published[-1]

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


def wait(true: Callable[[], object]) -> None:
    """Wait for something to become true."""
    until = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < until, f"waited {WAIT_S} s in vain"
        time.sleep(0.01)


def connects(url: str) -> bool:
    """Whether the broker lets us in."""
    client = Client(url)
    client.close()
    return client.connected == ["Success"]


def test_the_broker_lets_nobody_in_without_a_password(stores: Embedded) -> None:
    port = urlsplit(stores.shards[0].gateway).port
    assert connects(stores.shards[0].gateway)
    assert not connects(f"mqtt://127.0.0.1:{port}")
    assert not connects(f"mqtt://gateway:wrong@127.0.0.1:{port}")


def test_who_may_publish_what(stores: Embedded) -> None:
    gateway, ingest = Client(stores.shards[0].gateway), Client(stores.shards[0].ingest)
    try:
        ingest.paho.subscribe([(topic, 1) for topic in ("dothi/v1/213/+/up", "frigate/+/events")])
        wait(lambda: len(ingest.granted) == 2)
        assert ingest.granted == [1, 1]
        refused = 135
        assert gateway.publish("dothi/v1/213/air-1/up") == 0
        assert gateway.publish("frigate/cam-1/events") == 0
        assert gateway.publish("dothi/v1/999/air-1/up") == refused, "an unknown area"
        assert gateway.publish("dothi/v1/215/air-1/up") == refused, "an area of the other broker"
        assert gateway.publish("dothi/v1/213/air-1/ack") == refused, "acknowledgements are the platform's"
        assert ingest.publish("dothi/v1/213/air-1/up") == refused, "ingest never invents readings"
        assert ingest.publish("dothi/alarms/213/high/1") in (0, 16)
        wait(lambda: len(ingest.received) == 2)
        assert {topic for topic, _ in ingest.received} == {"dothi/v1/213/air-1/up", "frigate/cam-1/events"}
    finally:
        gateway.close()
        ingest.close()


def test_areas_are_dealt_and_routes_stay_on_the_first(stores: Embedded) -> None:
    assert [shard.areas for shard in stores.shards] == [("213", "216"), ("215",)]
    assert [shard.routes for shard in stores.shards] == [("frigate",), ()]


def test_secrets_are_private_and_stay(tmp_path: Path) -> None:
    first = passwords(tmp_path)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert passwords(tmp_path) == first
    assert len(set(first.values())) == len(first)


def test_ports_stay_unless_taken(tmp_path: Path) -> None:
    first = ports(tmp_path, ["database", "broker 0"])
    assert len(set(first.values())) == 2
    assert ports(tmp_path, ["database", "broker 0"]) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["database"]))
        other.listen()
        assert not is_free(first["database"])
        second = ports(tmp_path, ["database", "broker 0"])
    assert second["broker 0"] == first["broker 0"]
    assert second["database"] != first["database"]


def part(folder: Path, script: str, ready: Callable[[], bool] = lambda: True, **more: object) -> Part:
    """A part that runs a line of shell."""
    return Part("toy", ["sh", "-c", script], folder / "toy.log", folder, ready, **more)  # type: ignore[arg-type]


def supervised(folder: Path) -> Supervisor:
    """A supervisor with a folder to note its processes in."""
    (folder / "run").mkdir(exist_ok=True)
    return Supervisor(folder)


def test_a_part_that_does_not_start_is_given_up_in_its_own_words(tmp_path: Path) -> None:
    supervisor = supervised(tmp_path)
    supervisor.add(part(tmp_path, "echo 'Error: Address already in use' >&2; exit 1", ready=lambda: False))
    with pytest.raises(Refused, match="toy does not start: Error: Address already in use"):
        supervisor.wait_ready(["toy"], 10, threading.Event())


def test_back_off_grows_and_forgets_after_health(tmp_path: Path) -> None:
    assert [delay(n) for n in (0, 1, 2)] == [0.2, 0.4, 0.8]
    assert delay(1000) == LONGEST_DELAY < 10
    supervisor = supervised(tmp_path)
    supervisor.add(part(tmp_path, "exec sleep 60"))
    running = supervisor.running["toy"]
    supervisor.step()
    running.failures = 4
    assert running.ready_since is not None
    running.ready_since -= HEALTHY
    assert running.process is not None
    running.process.kill()
    running.process.wait()
    supervisor.step()
    assert running.due - time.monotonic() <= 0.2
    supervisor.stop(["toy"])


def test_a_disk_too_full_for_notes_ends_nothing(tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    supervisor = supervised(tmp_path)
    supervisor.changed = full
    supervisor.add(part(tmp_path, "exec sleep 60"))
    process = supervisor.running["toy"].process
    supervisor.stop(["toy"])
    assert process is not None
    assert process.returncode == -signal.SIGTERM


def test_a_part_that_ignores_the_stop_signal_is_killed(tmp_path: Path) -> None:
    supervisor = supervised(tmp_path)
    supervisor.add(part(tmp_path, "trap '' TERM; touch up; while :; do sleep 0.1; done", patience=0.3))
    wait((tmp_path / "up").exists)
    process = supervisor.running["toy"].process
    supervisor.stop(["toy"])
    assert process is not None
    assert process.returncode == -signal.SIGKILL
    assert json.loads((tmp_path / "run/processes.json").read_text()) == []


def test_leftovers_are_recognised_by_their_birth(tmp_path: Path) -> None:
    ours, reused = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    try:
        with held(tmp_path):
            born = birth(ours.pid) or 0
            record(tmp_path, [Trace("broker 0", ours.pid, born), Trace("database", reused.pid, born - 1)])
            threading.Thread(target=ours.wait).start()
            assert end_leftovers(tmp_path) == ["broker 0"]
        assert birth(ours.pid) is None
        assert reused.poll() is None, "a number that now belongs to someone else is left alone"
    finally:
        reused.kill()
        reused.wait()


def test_a_reused_number_in_postmaster_pid_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "database").mkdir()
    (tmp_path / "database/postmaster.pid").write_text(f"{os.getpid()}\n")
    with held(tmp_path):
        end_leftovers(tmp_path)
    assert not (tmp_path / "database/postmaster.pid").exists()


def test_a_second_start_in_the_folder_names_the_holder(tmp_path: Path) -> None:
    script = (
        f"from dothi.stack.leftovers import held\nfrom pathlib import Path\nwith held(Path({str(tmp_path)!r})): pass"
    )
    with held(tmp_path):
        second = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert f"is held by another dothi up, process {os.getpid()}" in second.stderr
    with held(tmp_path):
        pass


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LEAST_FREE", 2**60)
    with pytest.raises(Refused, match=r"MB free, the stack needs at least"):
        machine.require_space(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match=r"cannot be written: Not a directory"), held(tmp_path / "file/dir"):
        pass


def test_a_cluster_of_another_major_version_is_refused(tmp_path: Path, stores: Embedded) -> None:
    (tmp_path / "database").mkdir()
    (tmp_path / "database/PG_VERSION").write_text("15\n")
    with pytest.raises(Refused, match=r"was made by PostgreSQL 15, the private runtime has 17"):
        cluster.create(find_runtime("private"), tmp_path, account.ourselves(), "secret")


def test_closed_folders_are_found_and_need_a_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Account(uid=12345, gid=12345, switch=True)
    inner = tmp_path / "closed/inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    assert account.closed_folder(inner, stranger) in (inner.parent, *inner.parents)
    monkeypatch.setattr(account, "held_capabilities", lambda: 1 << 1)
    assert "--ambient-caps=-all,+dac_override" in account.starter(stranger, [inner], signal.SIGTERM)
    monkeypatch.setattr(account, "held_capabilities", lambda: 0)
    with pytest.raises(Refused, match=r"cannot enter .*; choose another --dir"):
        account.starter(stranger, [inner], signal.SIGTERM)


def test_the_queue_fits_the_memory() -> None:
    assert broker.queue_length(8 * 2**30, 1) == 16_519_104, "more than ten minutes at 20,000 messages/s"
    assert broker.queue_length(8 * 2**30, 2) == 16_519_104 // 2
    assert broker.outage_minutes(16_519_104, 20_000) == 13.8


@pytest.mark.parametrize("memory_gb", [1, 4, 24, 512])
def test_settings_fit_the_machine(memory_gb: int) -> None:
    chosen = cluster.settings(5432, memory_gb * 2**30, 64 * 2**20)
    shared = int(chosen["shared_buffers"].removesuffix("MB"))
    assert 128 <= shared <= min(16384, memory_gb * 1024 // 3)
    assert chosen["dynamic_shared_memory_type"] == "sysv", "64 MB of /dev/shm are not enough"
    assert int(chosen["max_wal_size"].removesuffix("MB")) <= 768, "what is replayed after a kill stays short"


def test_a_foreign_database_keeps_its_passwords() -> None:
    url = "postgresql://admin:pw@db.example:5432/city?sslmode=require"
    assert as_role(url, "dothi_writer").endswith("/city?sslmode=require&options=-c%20role%3Ddothi_writer")
    found = foreign_database(url)
    assert found.owner == url
    assert "default_transaction_read_only%3Don" in found.reader


def test_leftover_patience_is_bounded() -> None:
    assert leftovers.PATIENCE <= 10
