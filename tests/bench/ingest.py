"""What a message costs: CPU seconds per 100,000 of every process between the broker's door and the COMMIT.

    make bench                                                   the table, and bench/ingest.json
    python -m tests.bench.ingest --messages 4500000 --runs 5     60 s at the rate to reach, one broker
    python -m tests.bench.ingest --brokers 2 --messages 8000000  two brokers, a worker each
    python -m tests.bench.ingest --shape list --messages 160000  fifty readings a message
    python -m tests.bench.ingest --shape cbor                    against --shape json
    python -m tests.bench.ingest --garbage 0.5                   half of it is no JSON
    python -m tests.bench.ingest --rate 1000 --messages 30000 --runs 5     publish → queryable

Brokers without persistence and authentication, the database as shipped, workers as shipped. In each run the raw
ceiling is measured, too: bare packet readers behind such brokers with the same pacing, and binary COPY of the same rows
into the same table at the same time. Packets are made beforehand in pieces; the sender's CPU is told apart.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import psycopg

from devices.family import FAMILIES
from dothi.output import print_table
from ingest.columns import NO_BOOT, Block, Columns, Table
from ingest.pack import Prepared
from ingest.settle import copy_statement
from tests.bench.ingest_parts import CONNECTIONS, Sending, copy_bare, send_all
from tests.bench.packets import FIRST_SEQ, SHAPES, Load
from tests.bench.spending import Server
from tests.bench.storage import database_in
from tests.mosquitto import OPEN, Mosquitto, mosquitto

FAMILY = FAMILIES["air_quality"]
AREAS = ("213", "215", "216", "217", "218", "219", "220", "221")
BATCH = 5_000
METRICS = ("pm25", "temperature", "relative_humidity")
FIELDS = ("time", "seq", "received", "batch", "device", "area", *METRICS)
BARE = copy_statement(FAMILY, FIELDS)
MOST_BARE = 1_000_000
"""Rows of the raw COPY: they lie ready in files."""
QUEUES = OPEN + "max_queued_messages 0\npersistence false\n"
SPAWN = multiprocessing.get_context("spawn")

Figures = dict[str, Any]


def cpu_s(pids: list[int]) -> float:
    """User and system seconds of processes with all they have started."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def enroll(url: str, areas: Sequence[str], devices: int) -> None:
    """So many devices in each area."""
    with psycopg.connect(url, autocommit=True) as connection:
        for place, area in enumerate(areas):
            connection.execute(
                "insert into registry.device (device, profile, area, state) select 'bench-' || lpad(n::text, 7, '0'),"
                " (select id from registry.profile where profile = 'native-air-quality'),"
                " (select id from registry.area where code = %s), 'active' from generate_series(%s::int, %s::int) n"
                " order by n",
                (area, place * devices, (place + 1) * devices - 1),
            )
        connection.execute("vacuum analyze registry.device")


class Bench:
    """One database; brokers and processes come and go with each measurement."""

    def __init__(self, asked: argparse.Namespace, folder: Path, stack: Any) -> None:
        self.asked = asked
        self.folder = folder
        self.areas = [AREAS[place * asked.areas :][: asked.areas] for place in range(asked.brokers)]
        self.share = asked.messages // asked.brokers
        self.database = stack.database
        self.server = Server(stack.supervisor.pid("database"))
        self.ledger = psycopg.connect(self.database.owner, autocommit=True)
        self.sent = 0  # messages so far of each area: no number comes twice
        self.devices = asked.devices // asked.areas  # of each area
        enroll(self.database.owner, [*chain(*self.areas)], self.devices)

    def load(self, place: int, number: int = 0) -> Load:
        """What the devices of one area of a broker send."""
        asked, now_ms, which = self.asked, time.time_ns() // 1_000_000, number % self.asked.areas
        first = (place * asked.areas + which) * self.devices
        return Load(asked.shape, self.devices, self.areas[place][which], now_ms, asked.garbage, first)

    def platform(self) -> Figures:
        """Workers as they are."""
        with contextlib.ExitStack() as held:
            brokers = [held.enter_context(mosquitto(self.folder, QUEUES, self.asked.plain_broker)) for _ in self.areas]
            workers = [held.enter_context(self.worker(place, broker)) for place, broker in enumerate(brokers)]
            seen = held.enter_context(Seen(self.database.owner, self.sent)) if self.asked.rate else None
            figures = self.measured(brokers, [one.pid for one in workers], self.stored)
            if seen:
                figures["queryable_ms"] = seen.spread()
            return figures

    @contextlib.contextmanager
    def worker(self, place: int, broker: Mosquitto) -> Iterator["subprocess.Popen[bytes]"]:
        """One worker on one broker."""
        more = {"number": place, "database": self.database.writer}
        with self.part("worker", place, broker, more) as process:
            yield process

    @contextlib.contextmanager
    def part(self, kind: str, place: int, broker: Mosquitto, more: Figures) -> Iterator["subprocess.Popen[bytes]"]:
        """A process of `tests.bench.ingest_parts`, until it is ready and the block ends."""
        ready = self.folder / f"ready-{kind}-{place}"
        ready.unlink(missing_ok=True)
        said = json.dumps({"url": broker.url, "areas": self.areas[place], "ready": str(ready), **more})
        with (self.folder / f"{kind}-{place}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.ingest_parts", kind, said], stdout=log, stderr=log
            )
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise RuntimeError((self.folder / f"{kind}-{place}.log").read_text()[-3000:])
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            process.wait()

    def stored(self) -> bool:
        """Whether the ledger has all that was sent by now. Over one connection: a new one each time would cost the
        server more than the rows."""
        row = self.ledger.execute("select coalesce(sum(received), 0) from ops.ledger").fetchone()
        assert row is not None
        return int(row[0]) >= self.expected

    def measured(self, brokers: list[Mosquitto], workers: list[int], done: Any) -> Figures:
        """Send, wait until all is done, and divide."""
        groups = {"broker": [broker.process.pid for broker in brokers if broker.process], "worker": workers}
        total = self.share * len(self.areas)
        self.expected = (self.sent + self.share) * len(self.areas) * self.load(0).readings
        before = {name: cpu_s(pids) for name, pids in groups.items()} | {"database": sum(self.server.costs().values())}
        senders = [
            SPAWN.Process(target=send_share, args=(self.sendings(place, broker),))
            for place, broker in enumerate(brokers)
        ]
        began = time.monotonic()
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        while not done():
            time.sleep(0.02)
        wall_s = time.monotonic() - began
        after = {name: cpu_s(pids) for name, pids in groups.items()} | {"database": sum(self.server.costs().values())}
        self.sent += self.share
        readings = total * self.load(0).readings
        return {
            "messages_per_s": round(total / wall_s),
            "readings_per_s": round(readings / wall_s),
            "cpu_s_per_100k": {name: round((after[name] - before[name]) / total * 1e5, 3) for name in after},
        }

    def sendings(self, place: int, broker: Mosquitto) -> list[Sending]:
        """What the connections of a broker's sender send, each of devices of one area."""
        connections = 1 if self.asked.rate else CONNECTIONS
        each, rate = self.share // connections, self.asked.rate / len(self.areas) / connections
        return [
            Sending(broker.url, self.load(place, number), self.sent + number * each, each, rate)
            for number in range(connections)
        ]

    def check(self) -> Figures:
        """Every row is there, once; what is garbage is in quarantine."""
        with psycopg.connect(self.database.owner) as connection:
            row = connection.execute(
                "select (select count(*) from reading.air_quality where batch > 0), sum(received), sum(stored),"
                " sum(duplicate), sum(quarantined) from ops.ledger"
            ).fetchone()
        assert row is not None
        rows, received, stored, duplicate, quarantined = map(int, row)
        assert rows == stored
        assert received == stored + duplicate + quarantined
        assert (duplicate, quarantined > 0) == (0, self.asked.garbage > 0)
        return {"rows": rows, "received": received, "stored": stored, "quarantined": quarantined}

    def bare(self) -> Figures:
        """The raw ceiling: bare readers, and COPY of as many rows at the same time."""
        rows = min(self.share, MOST_BARE // len(self.areas))
        files = [self.streams(place, rows) for place in range(len(self.areas))]
        with contextlib.ExitStack() as held:
            brokers = [held.enter_context(mosquitto(self.folder, QUEUES, self.asked.plain_broker)) for _ in self.areas]
            readers = [
                held.enter_context(
                    self.part("bare", place, broker, {"messages": self.share, "done": f"{self.folder}/done-{place}"})
                )
                for place, broker in enumerate(brokers)
            ]
            spent: Any = SPAWN.Queue()
            copiers = [SPAWN.Process(target=copy_bare, args=(self.database.writer, BARE, own, spent)) for own in files]
            server = sum(self.server.costs().values())
            for copier in copiers:
                copier.start()
            done = [self.folder / f"done-{place}" for place in range(len(self.areas))]
            figures = self.measured(brokers, [one.pid for one in readers], lambda: all(map(Path.exists, done)))
            copying = sum(spent.get(timeout=120) for _ in copiers)
            database = sum(self.server.costs().values()) - server
        for file in [*chain(*files), *done]:
            file.unlink()
        per = 1e5 / rows / len(self.areas)
        costs = figures["cpu_s_per_100k"]
        figures["cpu_s_per_100k"] = {
            "broker": costs["broker"],
            "reader": costs["worker"],
            "copy": round(copying * per, 3),
            "database": round(database * per, 3),
        }
        return figures

    def streams(self, place: int, rows: int) -> list[Path]:
        """Rows like those that the workers write, under keys of their own, as streams for COPY in files."""
        files = []
        with psycopg.connect(self.database.owner) as connection:
            found = connection.execute(
                "select d.id, d.area from registry.device d join registry.area a on a.id = d.area where a.code = %s"
                " order by d.device",
                (self.areas[place][0],),
            ).fetchall()
        devices = np.array(found, dtype=np.int64)
        for first in range(0, rows, BATCH):
            numbers = np.arange(first, min(first + BATCH, rows))
            file = self.folder / f"copy-{place}-{first}"
            rows_of = Prepared(self.columns(devices[numbers % len(devices)], self.sent + numbers), -1)
            assert copy_statement(FAMILY, rows_of.names) == BARE
            file.write_bytes(rows_of.pack())
            files.append(file)
        return files

    def columns(self, devices: Any, numbers: Any) -> Columns:
        """Rows with three metrics."""
        rows, columns = len(numbers), Columns(FAMILY)
        now = time.time_ns() // 1_000_000 * 1_000 - 3_600_000_000
        values = np.full((rows, len(FAMILY.metrics)), np.nan)
        for name, most in zip(METRICS, (500, 400, 1), strict=True):
            values[:, FAMILY.index[name]] = numbers % 97 / 97 * most / 10
        stamps, unset = np.full(rows, now), np.full(rows, NO_BOOT)
        table = Table(stamps, numbers + FIRST_SEQ, unset, stamps, devices[:, 0], devices[:, 1], values, None)
        columns.extend(Block(np.arange(rows), table))
        return columns


class Seen:
    """Looks at the table again and again for what is there now; the messages' own times say when they were sent."""

    def __init__(self, url: str, after: int) -> None:
        self._url, self._newest = url, after + FIRST_SEQ - 1
        self._delays_ms: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Seen":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            batch = connection.execute("select coalesce(max(batch), 0) from ops.batch").fetchone()
            newest = batch[0] if batch else 0
            while not self._stop.wait(0.003):
                rows = connection.execute(
                    "select b.batch, r.seq, extract(epoch from r.time) * 1000 from ops.batch b"
                    " join reading.air_quality r on r.batch = b.batch and r.time between b.time_min and b.time_max"
                    " where b.batch > %s",
                    (newest,),
                ).fetchall()
                now_ms = time.time() * 1000
                self._delays_ms += [now_ms - float(sent) for _, _, sent in rows]
                newest = max([newest, *(number for number, _, _ in rows)])

    def spread(self) -> Figures:
        """Middle and tail."""
        found = np.array(self._delays_ms)
        return {"p50": round(float(np.percentile(found, 50)), 1), "p99": round(float(np.percentile(found, 99)), 1)}


def send_share(sendings: list[Sending]) -> None:
    """A process that sends."""
    asyncio.run(send_all(sendings))


def run(asked: argparse.Namespace) -> Figures:
    """One run on a database of its own: the platform, then the raw ceiling."""
    with tempfile.TemporaryDirectory() as name, database_in(Path(name)) as stack:
        bench = Bench(asked, Path(name), stack)
        found = {"platform": bench.platform(), "rows": bench.check()}
        if asked.bare and asked.shape == "json" and asked.areas == 1 and not asked.rate:
            found["bare"] = bench.bare()
            ours, bare = found["platform"]["cpu_s_per_100k"], found["bare"]["cpu_s_per_100k"]
            raw = bare["reader"] + bare["copy"] + bare["database"]
            found["of_the_ceiling"] = round(raw / (ours["worker"] + ours["database"]), 3)
        bench.server.close()
        bench.ledger.close()
    return found


def line(number: int, found: Figures) -> list[object]:
    """A run in the table."""
    ours, bare = found["platform"]["cpu_s_per_100k"], found.get("bare", {}).get("cpu_s_per_100k", {})
    return [
        number,
        f"{found['platform']['messages_per_s']:,}",
        f"{found['platform']['readings_per_s']:,}",
        *(ours[name] for name in ("worker", "database", "broker")),
        *(bare.get(name, "") for name in ("reader", "copy", "database")),
        found.get("of_the_ceiling", ""),
    ]


HEAD = ("run", "messages/s", "readings/s", "worker s/100k", "database s/100k", "broker s/100k")
HEAD += ("bare reader s/100k", "bare COPY s/100k", "its database s/100k", "of the ceiling")


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--devices", type=int, default=100_000, help="of each broker")
    parser.add_argument("--rate", type=float, default=0, help="messages/s; 0: as fast as the broker takes them")
    parser.add_argument("--brokers", type=int, default=1, choices=range(1, 5))
    parser.add_argument("--areas", type=int, default=1, choices=(1, 2, 4), help="of each broker, an inbox each")
    parser.add_argument("--shape", choices=SHAPES, default="json")
    parser.add_argument("--garbage", type=float, default=0.0, help="share of messages that are no JSON")
    parser.add_argument("--no-bare", dest="bare", action="store_false", help="without the raw ceiling")
    parser.add_argument("--plain-broker", action="store_true", help="without what the stack loads before mosquitto")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench/ingest.json"))
    asked = parser.parse_args()
    if asked.brokers * asked.areas > len(AREAS):
        parser.error(f"--brokers × --areas: at most {len(AREAS)}")
    runs = []
    for number in range(1, asked.runs + 1):
        runs.append(run(asked))
        print_table(HEAD, [line(number, runs[-1])])
        if "queryable_ms" in runs[-1]["platform"]:
            print_table(
                ("run", "queryable p50 ms", "p99 ms"), [(number, *runs[-1]["platform"]["queryable_ms"].values())]
            )
    rates = sorted(found["platform"]["messages_per_s"] for found in runs)
    print_table(("messages/s", "median", "from", "to"), [("", median(rates), rates[0], rates[-1])])
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    asked.out.parent.mkdir(exist_ok=True)
    what = {name: str(value) for name, value in vars(asked).items()}
    asked.out.write_text(json.dumps({"machine": machine, "asked": what, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
