"""The whole stack of one folder: what is started in which order, what the outside is told, and how it ends."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.runtime.found import describe
from dothi.stack import broker, cluster, machine, own, roles
from dothi.stack.account import account_for, starter
from dothi.stack.brokers import Brokers, Routes
from dothi.stack.document import Database, Shard, document, publish, ready_document
from dothi.stack.follow import follow
from dothi.stack.hosts import deal
from dothi.stack.lookout import Lookout
from dothi.stack.parts import Part
from dothi.stack.passwords import passwords
from dothi.stack.plan import Plan
from dothi.stack.ports import ports
from dothi.stack.report import Report
from dothi.stack.samples import Samples
from dothi.stack.supervisor import TICK, Supervisor

PATIENCE = 300.0  # seconds for a database that recovers at start
START_S = 60.0  # for our own processes
# For the analyst, which reads what is remembered of every device and all that is open: with 2.8 million devices and as
# many open findings 73 s, and longer while nothing is in memory.
REMEMBERED_S = 900.0
# For so many bytes that brokers had queued before the start ingest has a second more: it is ready when all inboxes
# stand, and a broker answers late while it delivers. 1.9 million messages, 621 MB, took 34 s on two cores.
CAUGHT_UP = 2e6
DISK_EVERY = 10.0
CERTIFICATE_EVERY = 86_400.0

log = structlog.get_logger("dothi.stack")

Watch = Callable[[dict[str, Any], threading.Event, float | None], None]


def no_change() -> Routes | None:
    """Routes that stay as they are."""
    return None


class Embedded:
    """A running stack. Use from one thread only; `stop` may be set from anywhere."""

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime | None,
        areas: Sequence[str],
        routes: Routes,
        stop: threading.Event,
        reread: Callable[[], Routes | None] = no_change,
    ) -> None:
        """`routes`: topic filters by route; `reread` is asked twice a second for all of them, None: no change."""
        self.plan = plan
        self.runtime = runtime
        self.passwords = passwords(plan.folder)
        self.brokers = Brokers(plan, areas, routes, self.passwords)
        self.reread = reread
        self.stop = stop
        self.supervisor = Supervisor(plan.folder, self.publish)
        self.shards: list[Shard] = []
        self.database: Database | None = None
        self.ready = False
        self.disk_asked = 0.0
        self.certificate_asked = time.monotonic()
        self.looked = 0.0
        self.worker_count = plan.workers
        self.wanted: dict[str, int] = {}
        self.wanted_at = 0
        self.metrics: dict[str, str] = {}
        self.lookout: Lookout | None = None

    @property
    def workers(self) -> list[str]:
        """Names of the ingest workers."""
        return [f"worker {number}" for number in range(self.worker_count)]

    def start(self) -> None:
        """Bring everything up, as far as `stop` allows; returns when all is ready. Raises Refused."""
        steps = (
            self.start_stores,
            self.migrate,
            self.start_lookout,
            self.start_own,
            self.start_keeper,
            self.start_simulator,
            self.announce,
        )
        for step in steps:
            if self.stop.is_set():
                return
            step()

    def start_stores(self) -> None:
        """Database and brokers, side by side, those that are ours."""
        plan = self.plan
        brokers = self.brokers.names
        names = [*(["database"] if not plan.database_url else []), *brokers]
        chosen = ports(plan.folder, [*names, *(f"{name} tls" for name in brokers)])
        if self.runtime:
            for part in self.store_parts(self.runtime, chosen):
                self.supervisor.add(part)
        self.shards = self.brokers.addresses()
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
        brokers = self.brokers.parts(runtime, account, chosen)
        if self.plan.database_url:
            return brokers
        cluster.create(runtime, folder, account, password)
        return [cluster.part(runtime, folder, account, chosen["database"], password), *brokers]

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

    def start_lookout(self) -> None:
        """What is watched beside the processes."""
        assert self.database is not None  # start_stores ran
        self.brokers.keep()
        (self.plan.folder / "run/wanted.json").unlink(missing_ok=True)
        limits, ours = self.brokers.limits(), range(len(self.brokers.names))
        brokers = [(f"broker {number}", shard.ingest, limits) for number, shard in enumerate(self.shards)]
        port = self.metrics_port("up")
        pages = Report(self.supervisor, self.plan.folder, lambda: self.ready)
        tables = [broker.table_path(self.plan.folder, shard) for shard in ours]
        logs = [self.plan.folder / f"log/broker-{shard}.log" for shard in ours]
        samples = Samples(self.supervisor.pids, self.plan.folder)
        self.lookout = Lookout(self.database.writer, brokers, port, pages.text, pages.trouble, tables, logs, samples)
        pages.queues, pages.astray = self.lookout.queues, self.lookout.astray
        self.lookout.start()

    def metrics_port(self, name: str) -> int:
        """The port on which a process of ours serves its pages, chosen once."""
        if name not in self.metrics:
            port = ports(self.plan.folder, [f"metrics {name}"])[f"metrics {name}"]
            self.metrics[name] = f"http://127.0.0.1:{port}"
        return int(self.metrics[name].rpartition(":")[2])

    def start_own(self) -> None:
        """Ingest workers, analyst and messenger; they find what they need to know in stack.json."""
        for name in [*self.workers, own.ANALYST, own.MESSENGER]:
            self.metrics_port(name)
        self.publish()
        for number in range(self.worker_count):
            self.supervisor.add(own.worker(self.plan.folder, number))
        self.supervisor.add(own.analyst(self.plan.folder))
        self.supervisor.add(own.messenger(self.plan.folder))
        patience_s = START_S + self.brokers.kept() / CAUGHT_UP
        self.supervisor.wait_ready([*self.workers, own.MESSENGER], patience_s, self.stop)
        self.save_sessions()
        self.supervisor.wait_ready([own.ANALYST], REMEMBERED_S, self.stop)

    def start_keeper(self) -> None:
        """What looks after retention, the lake and the disk."""
        self.metrics_port("keeper")
        self.publish()
        self.supervisor.add(own.keeper(self.plan.folder))

    def save_sessions(self) -> None:
        """Let the brokers write down the workers' new sessions, so that they survive the death of a broker."""
        for pid in filter(None, map(self.supervisor.pid, self.brokers.names)):
            os.kill(pid, signal.SIGUSR1)

    def start_simulator(self) -> None:
        """A city that sends, if one was asked for."""
        if self.plan.people is not None:
            self.supervisor.add(own.simulator(self.plan, self.metrics_port("simulator")))

    def announce(self) -> None:
        """Everything is ready: say so, and put the ready file into place."""
        self.ready = True
        self.publish()
        log.info("ready", addresses=str(self.plan.folder / "stack.json"))

    def document(self) -> dict[str, Any]:
        """What the outside may know of the stack as it is now."""
        assert self.database is not None  # start_stores ran
        pid = self.supervisor.pid
        brokers, workers = [pid(name) for name in self.brokers.names], [pid(name) for name in self.workers]
        names = [*self.brokers.placed, *self.brokers.routes]
        hosts = deal(names, self.worker_count, self.wanted)
        return document(
            self.shards,
            self.database,
            brokers,
            pid("database"),
            workers,
            {name: pid(name) for name in (own.ANALYST, own.MESSENGER)},
            hosts,
            self.metrics,
            self.brokers.certificates.ca if self.brokers.names else None,
        )

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
            follow(self)
            self.watch_disk()
            self.watch_certificate()
            self.stop.wait(TICK)

    def watch_disk(self) -> None:
        """Say it while there is still room to act."""
        if time.monotonic() - self.disk_asked < DISK_EVERY:
            return
        self.disk_asked = time.monotonic()
        free = shutil.disk_usage(self.plan.folder).free
        if free < machine.LEAST_FREE:
            log.error("disk almost full, free some space", folder=str(self.plan.folder), free_mb=free // 2**20)

    def watch_certificate(self) -> None:
        """Renew it in time; the brokers read it on SIGHUP, and connections that stand go on."""
        if time.monotonic() - self.certificate_asked < CERTIFICATE_EVERY:
            return
        self.certificate_asked = time.monotonic()
        try:
            renewed = self.brokers.certify()
        except (Refused, OSError) as error:
            log.error("certificate cannot be renewed", reason=str(error))
            return
        for pid in filter(None, map(self.supervisor.pid, self.brokers.names if renewed else [])):
            os.kill(pid, signal.SIGHUP)

    def end(self) -> None:
        """End all parts in order: who sends, stores, follows, tells; what is between them, and the database last."""
        if self.lookout:
            self.lookout.stop()
        self.database = None  # the last stack.json stays; its process number says that it is history
        if self.plan.ready_file:
            self.plan.ready_file.unlink(missing_ok=True)
        for names in (["simulator", "keeper"], self.workers, [own.ANALYST], [own.MESSENGER]):
            self.supervisor.stop(names)
        for names in (self.brokers.names, ["database"]):
            self.supervisor.stop(names)
