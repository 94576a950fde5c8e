"""The keeper: exports and retains every hour, warns of a disk that fills, and looks at something each second."""

import asyncio
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import structlog

from ingest.chunk_length import Growth, adapt
from ingest.disk import Disk, Slope, leaving_per_day, log_bytes, stored_bytes, warn
from ingest.retention import Kept, Outcome, retain
from ingest.serve import Pages, prometheus_text, serve
from ingest.warm import warm

if TYPE_CHECKING:
    from prometheus_client.core import Metric

FIRST_S, ROUND_S, WARM_S, DISK_S, MINUTE_S, SECOND_S = 60.0, 3600.0, 600.0, 60.0, 60.0, 1.0

log = structlog.get_logger("ingest.keep")

Connection = psycopg.Connection[Any]


class Keeper(NamedTuple):
    """What the keeper is told. `folder` lies on the disk to watch; `late`: late limits in µs by family, the default
    under ""; `each_second` is called with a connection of the owner; on loopback `port` metrics are served."""

    database: str
    folder: Path
    kept: Kept
    late: Mapping[str, int]
    lake: Path | None
    version: str
    each_second: Sequence[Callable[[Connection], object]] = ()
    port: int | None = None
    first_s: float = FIRST_S


class Stopped(Exception):
    """The keeper was told to stop in the middle of a round; what it was at is done again in the next."""


class Rounds:
    """The work, done in threads, and what it shows of itself. Times are seconds since 1970."""

    def __init__(self, keeper: Keeper) -> None:
        self.stop = threading.Event()
        self._keeper = keeper
        self._slope = Slope()
        self._growth = Growth()
        self._leaving = 0
        self._log_bytes = 0
        self._busy: set[Connection] = set()
        self._disk = Disk(*self._space(), None)
        self._bytes: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._done: dict[str, float] = {}
        self._watching: Connection | None = None

    def hour(self) -> None:
        """Export, then retain; what fails is said and tried again in the next round."""
        self._part("export", self._export)
        self._part("retention", self._retain)
        self._part("sizes", self._sizes)

    def disk(self) -> None:
        """Look at the disk; warn while there is still room to act."""
        self._part("log", self._look_at_log)
        free, total = self._space()
        self._slope.see(time.monotonic(), free, self._log_bytes)
        arriving = self._slope.per_day()
        self._disk = Disk(free, total, None if arriving is None else arriving - self._leaving)
        if said := self._disk.trouble:
            self._part("disk", lambda connection: self._warn(connection, "disk_filling", said))

    def minute(self) -> None:
        """See that the indexes that are being written fit into memory."""
        self._part("chunks", self._adapt)

    def warm(self) -> None:
        """See that the last day's indexes are in memory."""
        self._part("warm", self._warm)

    def second(self) -> None:
        """What others want looked at each second."""
        if not self._keeper.each_second:
            return
        try:
            if self._watching is None or self._watching.closed:
                self._watching = self._connect()
            for look in self._keeper.each_second:
                look(self._watching)
            self._failed.pop("watch", None)
        except psycopg.Error as error:
            self._failed["watch"] = one_line(error)
            if self._watching:
                self._watching.close()

    def end(self) -> None:
        """Stop what is going on: between two blocks, or in the middle of a statement."""
        self.stop.set()
        for busy in list(self._busy):
            busy.cancel_safe(timeout=5.0)
        if self._watching:
            self._watching.close()

    def trouble(self) -> str | None:
        """Why somebody has to act, in one line; None: nobody has to."""
        failed = next((f"{name}: {said}" for name, said in self._failed.items()), None)
        return failed or self._disk.trouble

    def text(self) -> bytes:
        """Prometheus text, with CPU and memory of the process."""
        return prometheus_text(self)

    def collect(self) -> Iterator["Metric"]:
        """What is kept, and when it was last looked after."""
        from prometheus_client.core import GaugeMetricFamily

        gauges = {
            "disk_free_bytes": ("Free on the disk of the stack", float(self._disk.free)),
            "disk_bytes": ("Size of the disk of the stack", float(self._disk.total)),
            "disk_days_left": ("Days until it is full, 1e9: it does not fill", self._disk.days_left or 1e9),
            "keeper_ready": ("1 when /readyz says so", float(self.trouble() is None)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"dothi_{name}", text, value)
        stored = GaugeMetricFamily("dothi_stored_bytes", "Bytes with indexes, by table", labels=["table"])
        for table, size in self._bytes.items():
            stored.add_metric([table], size)
        yield stored
        done = GaugeMetricFamily("dothi_kept_seconds", "When it last succeeded, since 1970", labels=["what"])
        for what, when in self._done.items():
            done.add_metric([what], when)
        yield done

    def _part(self, name: str, work: Callable[[Connection], None]) -> None:
        """One part of a round over a connection of its own; a failure is noted and does not stop the others."""
        if self.stop.is_set():
            return
        try:
            with self._connect() as connection:
                self._busy.add(connection)
                try:
                    work(connection)
                except (psycopg.OperationalError, Stopped):
                    raise
                except Exception as error:
                    self._fail(name, error)
                    self._warn(connection, f"{name}_failed", f"{name}: {one_line(error)}")
                    return
                finally:
                    self._busy.discard(connection)
            self._failed.pop(name, None)
            self._done[name] = time.time()
        except Stopped:
            log.info("stopped in the middle", what=name)
        except psycopg.Error as error:
            self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        if self.stop.is_set():
            return
        self._failed[name] = one_line(error)
        log.error("keeping failed", what=name, reason=one_line(error))

    def _connect(self) -> Connection:
        return psycopg.connect(
            self._keeper.database, autocommit=True, connect_timeout=5, application_name="dothi keeper"
        )

    def _step(self, _step: str) -> None:
        if self.stop.is_set():
            raise Stopped

    def _export(self, connection: Connection) -> None:
        if self._keeper.lake is None:
            return
        from ingest.lake import (  # pyarrow takes a second and 80 MB; without a lake nobody needs it
            Lake,
            alone,
            export_due,
        )

        lake = Lake(self._keeper.lake, self._keeper.version, self._step)
        with alone(connection):
            for _ in export_due(connection, lake, self._keeper.late, datetime.now(UTC)):
                self._step("day")

    def _retain(self, connection: Connection) -> None:
        done = self._retained(connection, datetime.now(UTC))
        self._slope.give_back(time.monotonic(), done.bytes)
        log.info("retained", chunks=len(done.dropped), bytes=done.bytes, in_use=len(done.busy), rows=done.rows)

    def _retained(self, connection: Connection, now: datetime) -> Outcome:
        if self._keeper.lake is None:
            return retain(connection, self._keeper.kept, now)
        from ingest.lake import Lake
        from ingest.lake_release import retain_exported

        lake = Lake(self._keeper.lake, self._keeper.version, self._step)
        return retain_exported(connection, lake, self._keeper.kept, now)

    def _adapt(self, connection: Connection) -> None:
        adapt(connection, self._growth, time.monotonic())

    def _warm(self, connection: Connection) -> None:
        began = time.monotonic()
        log.info("indexes warmed", bytes=warm(connection, self._step), seconds=round(time.monotonic() - began, 1))

    def _sizes(self, connection: Connection) -> None:
        self._bytes = stored_bytes(connection)
        self._leaving = leaving_per_day(connection, self._keeper.kept, datetime.now(UTC))

    def _look_at_log(self, connection: Connection) -> None:
        self._log_bytes = log_bytes(connection)

    def _warn(self, connection: Connection, kind: str, said: str) -> None:
        disk = {"free_bytes": self._disk.free, "days_left": self._disk.days_left}
        if warn(connection, kind, said, disk):
            log.warning(said, kind=kind)

    def _space(self) -> tuple[int, int]:
        usage = shutil.disk_usage(self._keeper.folder)
        return usage.free, usage.total


def one_line(error: Exception) -> str:
    """The first line of what went wrong."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


async def run(keeper: Keeper) -> None:
    """Keep until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    rounds = Rounds(keeper)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(every(ROUND_S, rounds.hour, keeper.first_s)),
            tasks.create_task(every(WARM_S, rounds.warm)),
            tasks.create_task(every(DISK_S, rounds.disk)),
            tasks.create_task(every(MINUTE_S, rounds.minute, MINUTE_S)),
            tasks.create_task(every(SECOND_S, rounds.second)),
        ]
        if keeper.port:
            running.append(tasks.create_task(serve(keeper.port, Pages(rounds.text, rounds.trouble))))
        await stopping.wait()
        log.info("keeper leaves")
        await asyncio.to_thread(rounds.end)
        for task in running:
            task.cancel()


async def every(seconds: float, work: Callable[[], None], first_s: float = 0.0) -> None:
    """Do the work again and again in a thread, so many seconds from the end of one time to the next."""
    await asyncio.sleep(first_s)
    while True:
        await asyncio.to_thread(work)
        await asyncio.sleep(seconds)
