"""The whole stack of one folder: what is started in which order, what the outside is told, and how it ends."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from dothi.runtime import Runtime
from dothi.runtime.found import describe
from dothi.stack import broker, cluster, machine, roles
from dothi.stack.account import Account, account_for, ourselves, starter
from dothi.stack.document import Database, Shard, document, publish, ready_document
from dothi.stack.parts import Part
from dothi.stack.passwords import passwords
from dothi.stack.ports import ports
from dothi.stack.supervisor import TICK, Supervisor

PATIENCE = 300.0  # seconds for a database that recovers at start
DISK_EVERY = 10.0
RATE_TOLD = 20_000  # messages/s at which the broker's queue is expressed in minutes

log = structlog.get_logger("dothi.stack")

Watch = Callable[[dict[str, Any], threading.Event, float | None], None]


@dataclass(frozen=True)
class Plan:
    """What `dothi up` was asked for. `folder` is absolute; addresses given are used instead of parts of our own."""

    folder: Path
    workers: int = 1
    shards: int = 1
    people: int | None = None
    density: float | None = None
    seconds: float | None = None
    ready_file: Path | None = None
    runtime: str | None = None
    database_url: str | None = None
    broker_url: str | None = None

    @property
    def needs_runtime(self) -> bool:
        """Whether a part of the stores is our own."""
        return not (self.database_url and self.broker_url)


class Embedded:
    """A running stack. Use from one thread only; `stop` may be set from anywhere."""

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime | None,
        areas: Sequence[str],
        routes: Mapping[str, tuple[str, ...]],
        stop: threading.Event,
    ) -> None:
        self.plan = plan
        self.runtime = runtime
        self.areas = areas
        self.routes = routes
        self.stop = stop
        self.passwords = passwords(plan.folder)
        self.supervisor = Supervisor(plan.folder, self.publish)
        self.shards: list[Shard] = []
        self.database: Database | None = None
        self.ready = False
        self.disk_asked = 0.0

    @property
    def brokers(self) -> list[str]:
        """Names of our own brokers."""
        return [] if self.plan.broker_url else [f"broker {shard}" for shard in range(self.plan.shards)]

    @property
    def workers(self) -> list[str]:
        """Names of the ingest workers."""
        return [f"worker {number}" for number in range(self.plan.workers)]

    def start(self) -> None:
        """Bring everything up, as far as `stop` allows; returns when all is ready. Raises Refused."""
        for step in (self.start_stores, self.migrate, self.start_workers, self.start_simulator, self.announce):
            if self.stop.is_set():
                return
            step()

    def start_stores(self) -> None:
        """Database and brokers, side by side, those that are ours."""
        plan = self.plan
        names = [*(["database"] if not plan.database_url else []), *self.brokers]
        chosen = ports(plan.folder, names)
        if self.runtime:
            for part in self.store_parts(self.runtime, chosen):
                self.supervisor.add(part)
        self.shards = self.addresses(chosen)
        self.supervisor.wait_ready(names, PATIENCE, self.stop)
        if plan.database_url:
            self.database = roles.foreign_database(plan.database_url)
        else:
            url = cluster.address(cluster.USER, self.passwords[cluster.USER], chosen["database"])
            self.database = roles.own_database(url, self.passwords)

    def store_parts(self, runtime: Runtime, chosen: dict[str, int]) -> list[Part]:
        """Our own database and brokers, ready to be started."""
        log.info("runtime", found=describe(runtime))
        folder, password = self.plan.folder, self.passwords[cluster.USER]
        account = account_for(folder)
        starter(account, [folder, runtime.postgres_bin], signal.SIGTERM)  # refuses before anything is written
        brokers = self.broker_parts(runtime, account, chosen)
        if self.plan.database_url:
            return brokers
        cluster.create(runtime, folder, account, password)
        return [cluster.part(runtime, folder, account, chosen["database"], password), *brokers]

    def broker_parts(self, runtime: Runtime, account: Account, chosen: dict[str, int]) -> list[Part]:
        """Our own brokers: areas dealt round robin, foreign routes on the first."""
        if not self.brokers:
            return []
        queue = broker.queue_length(machine.memory(), self.plan.shards)
        log.info(
            "broker queue",
            messages=queue,
            outage_minutes=broker.outage_minutes(queue * self.plan.shards, RATE_TOLD),
            at_messages_per_s=RATE_TOLD,
        )
        filters = [topic for topics in self.routes.values() for topic in topics]
        return [
            broker.part(
                runtime,
                self.plan.folder,
                account,
                shard,
                chosen[f"broker {shard}"],
                broker.access_rules(areas, filters if shard == 0 else []),
                self.passwords,
                queue,
            )
            for shard, areas in enumerate(broker.deal(self.areas, self.plan.shards))
        ]

    def addresses(self, chosen: dict[str, int]) -> list[Shard]:
        """Each broker with what it serves."""
        if given := self.plan.broker_url:
            return [Shard(given, given, tuple(self.areas), tuple(self.routes))]
        return [
            Shard(
                gateway=broker.address("gateway", self.passwords["gateway"], chosen[f"broker {shard}"]),
                ingest=broker.address("ingest", self.passwords["ingest"], chosen[f"broker {shard}"]),
                areas=tuple(areas),
                routes=tuple(self.routes) if shard == 0 else (),
            )
            for shard, areas in enumerate(broker.deal(self.areas, self.plan.shards))
        ]

    def migrate(self) -> None:
        """Bring the database to this code's shape and let its roles log in."""
        from dothi.migrations import migrate

        assert self.database is not None  # start_stores ran
        own = not self.plan.database_url
        if own:
            cluster.ensure_database(self.database.owner)
        done = migrate(self.database.owner)
        if own:
            roles.let_roles_log_in(self.database.owner, self.passwords)
        else:
            roles.let_login_take_roles(self.database.owner)
        log.info("database migrated", steps=len(done))

    def start_workers(self) -> None:
        """The ingest workers; they find their inboxes in stack.json."""
        self.publish()
        for number, name in enumerate(self.workers):
            ready = self.plan.folder / f"run/worker-{number}.ready"
            arguments = ["ingest", "run", "--dir", str(self.plan.folder), "--worker", str(number)]
            self.supervisor.add(self.own_part(name, arguments, ready))
        self.supervisor.wait_ready(self.workers, 60.0, self.stop)
        self.save_sessions()

    def save_sessions(self) -> None:
        """Let the brokers write down the workers' new sessions, so that they survive the death of a broker."""
        for pid in filter(None, map(self.supervisor.pid, self.brokers)):
            os.kill(pid, signal.SIGUSR1)

    def start_simulator(self) -> None:
        """A city that sends, if one was asked for."""
        plan = self.plan
        if plan.people is None:
            return
        arguments = ["simulate", "run", "--dir", str(plan.folder), "--people", str(plan.people)]
        if plan.density is not None:
            arguments += ["--density", str(plan.density)]
        self.supervisor.add(self.own_part("simulator", arguments, None))

    def own_part(self, name: str, arguments: list[str], ready: Path | None) -> Part:
        """A command of ours as a part: ready when the file is there, or at once."""
        start = starter(ourselves(), [], signal.SIGTERM)
        return Part(
            name=name,
            command=[*start, sys.executable, "-m", "dothi", *arguments],
            log=self.plan.folder / f"log/{name.replace(' ', '-')}.log",
            folder=self.plan.folder,
            ready=ready.exists if ready else lambda: True,
            before=(lambda: ready.unlink(missing_ok=True)) if ready else lambda: None,
        )

    def announce(self) -> None:
        """Everything is ready: say so, and put the ready file into place."""
        self.ready = True
        self.publish()
        log.info("ready", addresses=str(self.plan.folder / "stack.json"))

    def document(self) -> dict[str, Any]:
        """What the outside may know of the stack as it is now."""
        assert self.database is not None  # start_stores ran
        pid = self.supervisor.pid
        brokers, workers = [pid(name) for name in self.brokers], [pid(name) for name in self.workers]
        return document(self.shards, self.database, brokers, pid("database"), workers)

    def publish(self) -> None:
        """Write stack.json, and the ready file once all is ready; called whenever a process changes."""
        if self.database is None:
            return
        whole = self.document()
        publish(self.plan.folder / "stack.json", whole)
        if self.ready and self.plan.ready_file:
            publish(self.plan.ready_file, ready_document(whole))

    def keep_running(self, until: float | None) -> None:
        """Watch the parts until `stop` is set or `until` (s since 1970) has come."""
        while not self.stop.is_set() and (until is None or time.time() < until):
            self.supervisor.step()
            self.watch_disk()
            self.stop.wait(TICK)

    def watch_disk(self) -> None:
        """Say it while there is still room to act."""
        if time.monotonic() - self.disk_asked < DISK_EVERY:
            return
        self.disk_asked = time.monotonic()
        free = shutil.disk_usage(self.plan.folder).free
        if free < machine.LEAST_FREE:
            log.error("disk almost full, free some space", folder=str(self.plan.folder), free_mb=free // 2**20)

    def end(self) -> None:
        """End all parts in order: who sends, who stores, what is between them, and the database last."""
        self.database = None  # the last stack.json stays; its process number says that it is history
        if self.plan.ready_file:
            self.plan.ready_file.unlink(missing_ok=True)
        for names in (["simulator"], self.workers, self.brokers, ["database"]):
            self.supervisor.stop(names)
