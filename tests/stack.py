"""A running stack as tests use it: enrol, publish as an independent client, wait for what the database says.

A first start makes a cluster and migrates it, several seconds of CPU. So a session does it once (`prepare`), and its
stacks begin as copies of what that start left; `RunningStack.database` does the same for a database alone.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg

from dothi.migrations import migrate
from tests.command import Done, dothi, dothi_process
from tests.gateway import WAIT_S, Gateway

START_S = 300
STOP_S = 120
LEFT_BY_A_START = ("database", "secrets.json")
# What CREATE DATABASE leaves behind: who may do what in the database as a whole.
COPY_PRIVILEGES = """
update pg_database one set datacl = m.datacl from pg_database m where m.datname = 'migrated' and one.datname = %s
"""


class RunningStack:
    """`dothi up` in `folder`; `document` is its ready file."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", document: dict[str, Any]) -> None:
        self.folder = folder
        self.process = process
        self.document = document
        self._enrolled = 0
        self._databases = 0

    def dothi(self, *arguments: str, check: bool = True) -> Done:
        """Run a command of dothi on this stack."""
        return dothi(*arguments, "--dir", str(self.folder), check=check)

    def dothi_process(self, *arguments: str, check: bool = True) -> Done:
        """The same in a process of its own: for what starts processes, hears signals, or takes rules over for good."""
        return dothi_process(*arguments, "--dir", str(self.folder), check=check)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query, asked as the owner of the database."""
        with psycopg.connect(self.document["database"], autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def run(self, statement: str) -> None:
        """A statement without rows, as the owner of the database."""
        with psycopg.connect(self.document["database"], autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The address of a database of its own, as `dothi migrate` makes it, for its owner; dropped at the end."""
        base = self.document["database"].rpartition("/")[0]
        if not self.query("select from pg_database where datname = 'migrated' and not datallowconn"):
            self.run("create database migrated")
            migrate(f"{base}/migrated")
            with psycopg.connect(f"{base}/migrated") as connection:
                connection.execute("select _timescaledb_functions.stop_background_workers()")
            self.run("alter database migrated allow_connections false")  # nobody may be in what is copied
        self._databases += 1
        name = f"own_{self._databases}"
        self.run(f"create database {name} template migrated")
        try:
            self.query(COPY_PRIVILEGES + "returning true", name)
            yield f"{base}/{name}"
        finally:
            self.run(f"drop database {name} with (force)")

    def enroll(self, name: str, profile: str = "native-air-quality", area: str = "213", alias: str = "") -> str:
        """Enrol one device and wait until ingest knows it; returns its id, which is new in every call."""
        return self.enroll_many([(name, profile, area, alias)])[0]

    def enroll_many(self, devices: list[tuple[str, str, str, str]]) -> list[str]:
        """Enrol (name, profile, area, alias) at once and wait until ingest knows them; ids are unique in this stack."""
        self._enrolled += 1
        ids = [f"{name}-{self._enrolled}" for name, *_ in devices]
        lines = [f"{one},{rest[0]},{rest[1]},{rest[2]}" for one, (_, *rest) in zip(ids, devices, strict=True)]
        file = self.folder / f"enrol-{self._enrolled}.csv"
        file.write_text("device,profile,area,alias\n" + "\n".join(lines) + "\n")
        self.dothi("devices", "enroll", str(file))
        self.wait_known()
        return ids

    def wait_known(self) -> None:
        """Wait until all workers know the registry as it is now: devices, foreign names, states, profiles, areas."""
        wait_known(self.folder)

    @contextlib.contextmanager
    def gateway(self, broker: str | None = None, client_id: str = "") -> Iterator[Gateway]:
        """A connected independent MQTT client with the gateway's credentials."""
        gateway = Gateway(broker or self.document["broker"], client_id)
        try:
            yield gateway
        finally:
            gateway.close()

    def publish(self, topic: str, *payloads: bytes | dict[str, Any] | list[Any]) -> None:
        """Publish at QoS 1 and wait for the broker's acknowledgements."""
        with self.gateway() as gateway:
            for payload in payloads:
                gateway.publish(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode())
            gateway.settle()

    def wait_for(self, statement: str, *parameters: object, until: Callable[[Any], bool] = bool) -> Any:
        """Ask until the first column of the first row pleases; that value."""
        deadline = time.monotonic() + WAIT_S
        value: Any = None
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                rows = self.query(statement, *parameters)
                value = rows[0][0] if rows else None
                if until(value):
                    return value
            time.sleep(0.05)
        raise AssertionError(f"waited {WAIT_S} s in vain, last value {value!r}: {statement} {parameters}")

    def wait_settled(self, received: int, inbox: str | None = None) -> None:
        """Wait until the ledger has counted so many readings."""
        where = "where inbox = %s" if inbox else "where %s::text is null"
        self.wait_for(
            f"select coalesce(sum(received), 0) from ops.ledger {where}", inbox, until=lambda value: value >= received
        )

    def received(self) -> int:
        """Readings the ledger has counted so far."""
        return int(self.query("select coalesce(sum(received), 0) from ops.ledger")[0][0])


def wait_known(folder: Path) -> None:
    """Wait until all workers of the stack in this folder know the registry as it is now."""
    now = time.time()
    deadline = time.monotonic() + WAIT_S
    while (known := registry_of(folder)) <= now:
        assert time.monotonic() < deadline, f"ingest knows the registry of {known:.3f}, not of {now:.3f}"
        time.sleep(0.05)


def registry_of(folder: Path) -> float:
    """As of when (s since 1970) all workers know the registry; 0 while one is away."""
    pages = json.loads((folder / "stack.json").read_text())["metrics"]
    try:
        return min(read_at(page) for name, page in pages.items() if name.startswith("worker"))
    except OSError:
        return 0.0


def read_at(page: str) -> float:
    """When the worker with this page began to read the registry that it knows, s since 1970."""
    with urlopen(f"{page}/metrics", timeout=5) as answer:  # noqa: S310 - our own loopback address
        lines = answer.read().decode().splitlines()
    told = (line for line in lines if line.startswith("dothi_registry_read_timestamp_seconds{"))
    return float(next(told, "0").split()[-1])


def prepare(folder: Path) -> Path:
    """A folder in which a stack was up once, made by the first of all test processes that asks; see `running_stack`."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            with running_stack(folder):
                pass
            (folder / "done").touch()
    return folder / "dothi"


def copy_prepared(prepared: Path, folder: Path) -> None:
    """Let a stack in `folder` begin with the database of one that was up; both belong to whom `prepared` belongs to."""
    folder.mkdir()
    kept = [str(prepared / name) for name in LEFT_BY_A_START]
    subprocess.run(["cp", "-a", "--reflink=auto", *kept, str(folder)], check=True)


@contextlib.contextmanager
def running_stack(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None, prepared: Path | None = None
) -> Iterator[RunningStack]:
    """`dothi up` in a folder until the block ends; then it must stop cleanly.

    `prepared`: begin with a copy of the database of this stack, which is down; without it the start is a first one, or
    goes on with what is in the folder.
    """
    if prepared:
        copy_prepared(prepared, folder / "dothi")
    ready = folder / "ready.json"
    command = [
        sys.executable,
        "-m",
        "dothi",
        "up",
        "--dir",
        str(folder / "dothi"),
        "--ready-file",
        str(ready),
        *arguments,
    ]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    try:
        document = wait_ready(ready, process, folder / "up.log")
        yield RunningStack(folder / "dothi", process, document)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)


def wait_ready(ready: Path, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    """The ready file's document, or the log of a stack that did not come up."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready.exists():
            document: dict[str, Any] = json.loads(ready.read_text())
            return document
        time.sleep(0.05)
    raise AssertionError(f"the stack did not come up:\n{log.read_text()[-4000:]}")
