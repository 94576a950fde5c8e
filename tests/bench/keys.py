"""Which key, chunks of what size, batches in what order: what a row costs to write, and how soon a device is read.

    python -m tests.bench.keys                                   every candidate, 12 million rows each; bench/keys.json
    python -m tests.bench.keys --rows 60000000 --ids 2800000 --only device
    python -m tests.bench.keys --ids 10000 2800000 --only device --chunks 3 --rounds 5       the ratio between the two

Writes rows of `reading.air_quality` with three metrics into a table of its own for each candidate, as ingest does:
binary COPY, several connections, a transaction for each batch, fsync on. Every id sends once a minute of the data's own
time; a chunk is so many rows long. CPU is that of the connections' server processes, and, where an index is built when
a chunk is full, of the one that builds it; what other processes of the server spend meanwhile (checkpoints, log,
vacuum) stands beside it. Candidates and numbers of ids take turns in each round, so that a machine that does other
things does it to all of them; the figures are medians of the rounds.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import psycopg
from psycopg import sql

from dothi.stack.embedded import Embedded
from ingest.pack import SIGNATURE, TRAILER
from tests.bench.feeder import Ints, sending_order
from tests.bench.spending import Server
from tests.bench.storage import database_in

START_US = 1_760_000_000_000_000 - 946_684_800_000_000  # as PostgreSQL counts, from 2000 on
MINUTE_US = 60_000_000
METRICS = ("pm25", "temperature", "relative_humidity")
NAMES = ("time", "seq", "received", "batch", "device", "area", *METRICS)
KINDS = (">i8", ">i8", ">i8", ">i8", ">i4", ">i2", ">f8", ">f8", ">f8")
ROW = np.dtype(
    [("fields", ">i2"), *((f"{part}{name}", kind) for name, one in zip(NAMES, KINDS, strict=True)
      for part, kind in (("length_", ">i4"), ("", one)))]
)  # fmt: skip
QUESTIONS = 200
CHUNK = """
select format('%%I.%%I', chunk_schema, chunk_name) from timescaledb_information.chunks
where hypertable_name = 'candidate' order by range_start offset %s limit 1
"""
LARGEST = """
select max(pg_indexes_size(format('%I.%I', chunk_schema, chunk_name)::regclass))
from timescaledb_information.chunks where hypertable_name = 'candidate'
"""


class Way(NamedTuple):
    """`key`: columns of the unique index. `second`: another index of every chunk. `closing`: one of full chunks."""

    key: str
    second: str | None = None
    closing: str | None = None


class Candidate(NamedTuple):
    """How rows are kept. `chunk`, `batch`: rows; `ordered`: batches by device."""

    way: str
    chunk: int
    batch: int
    ordered: bool


WAYS = {
    "device": Way("device, time, seq"),
    "time": Way("time, device, seq"),
    "time, BRIN of device": Way("time, device, seq", second="using brin (device) with (pages_per_range = 8)"),
    "time, device when closed": Way("time, device, seq", closing="(device, time)"),
}
MOST = 20_000
FIGURES = ("rows_per_s", "cpu_s_per_100k", "others_cpu_s_per_100k", "wal_bytes_per_row", "index_bytes_per_row")


def candidates(rows: int, chunks: Sequence[int], only: str | None) -> list[Candidate]:
    """All that are compared. `chunks`: in how many the rows are."""
    sizes = [-(-rows // parts) for parts in chunks]
    made = [Candidate(way, size, MOST, False) for way in WAYS for size in sizes]
    made += [Candidate("device", size, MOST, True) for size in sizes]
    if len(sizes) > 1:
        middle = sizes[len(sizes) // 2]
        made += [Candidate("device", middle, MOST // 4, ordered) for ordered in (False, True)]
        made += [Candidate(way, middle, 5 * MOST, True) for way in ("device", "time, BRIN of device")]
    return [one for one in made if only in (None, one.way)]


def stream(order: Ints, first: int, rows: int, ordered: bool) -> bytes:
    """The COPY of the rows from number `first` on; a round over all devices takes a minute."""
    numbers = np.arange(first, first + rows, dtype=np.int64)
    device = order[numbers % len(order)]
    if ordered:
        turn = np.argsort(device, kind="stable")
        numbers, device = numbers[turn], device[turn]
    chance = np.random.default_rng(first)
    block = np.empty(rows, dtype=ROW)
    block["fields"] = len(NAMES)
    for name, kind in zip(NAMES, KINDS, strict=True):
        block[f"length_{name}"] = np.dtype(kind).itemsize
    block["time"] = START_US + numbers * MINUTE_US // len(order) // 1000 * 1000
    block["received"] = block["time"] + 40_000
    block["seq"], block["batch"], block["device"], block["area"] = numbers // len(order), first // rows, device, 1
    for name, most, digits in zip(METRICS, (300, 40, 1), (1, 1, 2), strict=True):
        block[name] = (chance.random(rows) * most).round(digits)
    return SIGNATURE + block.tobytes() + TRAILER


def create(connection: psycopg.Connection, one: Candidate, ids: int) -> None:
    """An empty table."""
    interval = timedelta(microseconds=one.chunk * MINUTE_US // ids)
    connection.execute("drop table if exists candidate")
    connection.execute("create table candidate (like reading.air_quality)")
    connection.execute(
        "select create_hypertable('candidate', by_range('time', %s::interval), create_default_indexes => false)",
        (interval,),
    )
    way = WAYS[one.way]
    connection.execute(f"create unique index candidate_key on candidate ({way.key})".encode())
    if way.second:
        connection.execute(f"create index on candidate {way.second}".encode())
    connection.execute("create index on candidate using brin (batch) with (pages_per_range = 128, autosummarize)")
    connection.execute("checkpoint")


class Writing(threading.Thread):
    """One connection: every so many-th batch. `at`: the number of the row it is at."""

    def __init__(self, url: str, one: Candidate, order: Ints, place: int, of: int, rows: int) -> None:
        super().__init__()
        self._one, self._order, self._firsts = one, order, range(place * one.batch, rows, of * one.batch)
        self._connection = psycopg.connect(url, autocommit=True)
        self.cpu_s = 0.0
        self.at = 0

    def run(self) -> None:
        """All batches of this connection."""
        copy = sql.SQL("copy candidate ({}) from stdin (format binary)").format(
            sql.SQL(", ").join(map(sql.Identifier, NAMES))
        )
        with self._connection as connection:
            for first in self._firsts:
                self.at = first
                with connection.cursor().copy(copy) as stdin:
                    stdin.write(stream(self._order, first, self._one.batch, self._one.ordered))
            self.at = sys.maxsize
            self.cpu_s = spent(connection)


class Closing(threading.Thread):
    """Builds the index of each chunk that all connections have left behind."""

    def __init__(self, url: str, one: Candidate, rows: int, writing: Sequence[Writing]) -> None:
        super().__init__()
        self._way, self._rows, self._chunk, self._writing = WAYS[one.way], rows, one.chunk, writing
        self._connection = psycopg.connect(url, autocommit=True)
        self.cpu_s = 0.0

    def run(self) -> None:
        """Until the last chunk but the open one."""
        full = self._rows // self._chunk - (self._rows % self._chunk == 0) if self._way.closing else 0
        with self._connection as connection:
            connection.execute("set max_parallel_maintenance_workers = 0")
            for number in range(full):
                while min(one.at for one in self._writing) < (number + 1) * self._chunk + self._chunk // 10:
                    if not any(one.is_alive() for one in self._writing):
                        break
                    time.sleep(0.1)
                chunk = connection.execute(CHUNK, (number,)).fetchone()
                if chunk:
                    connection.execute(f"create index on {chunk[0]} {self._way.closing}".encode())
            self.cpu_s = spent(connection)


def spent(connection: psycopg.Connection) -> float:
    """CPU seconds of a connection's server process."""
    times = psutil.Process(connection.info.backend_pid).cpu_times()
    return float(times.user + times.system)


def measure(stack: Embedded, one: Candidate, ids: int, rows: int, writers: int) -> dict[str, Any]:
    """Write a candidate's rows, then ask for single devices."""
    order = sending_order(ids)
    postmaster = stack.supervisor.pid("database")
    assert stack.database is not None
    assert postmaster is not None
    url = stack.database.owner
    server = Server(postmaster)
    with contextlib.closing(server), psycopg.connect(url, autocommit=True) as connection:
        create(connection, one, ids)
        before, began, costs = wal(connection), time.monotonic(), others(server)
        writing = [Writing(url, one, order, place, writers, rows) for place in range(writers)]
        threads = [*writing, Closing(url, one, rows, writing)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        cpu_s = sum(thread.cpu_s for thread in threads)
        index = asked(connection, "select sum(index_bytes) from hypertable_detailed_size('candidate')")
        found = {
            **one._asdict(),
            "ids": ids,
            "rows": rows,
            "rows_per_s": round(rows / took),
            "cpu_s_per_100k": round(cpu_s / rows * 1e5, 3),
            "others_cpu_s_per_100k": round((others(server) - costs) / rows * 1e5, 3),
            "wal_bytes_per_row": round((wal(connection) - before) / rows),
            "index_bytes_per_row": round(int(index) / rows),
            "open_index_mib": round(int(asked(connection, LARGEST) or 0) / 2**20),
            "one_device_24_h_ms": device_day(connection, ids, rows),
        }
        connection.execute("drop table candidate")
    return found


def others(server: Server) -> float:
    """CPU seconds of what the server does beside connections."""
    return sum(seconds for kind, seconds in server.costs().items() if kind != "owner")


def device_day(connection: psycopg.Connection, ids: int, rows: int) -> dict[str, float]:
    """Milliseconds to read what one device said in the last day, of devices drawn by lot."""
    connection.execute("analyze candidate")
    end = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=START_US + rows * MINUTE_US // ids)
    took, chance = [], random.Random(1)  # noqa: S311 - a benchmark
    for _ in range(QUESTIONS):
        began = time.perf_counter()
        connection.execute(
            "select * from candidate where device = %s and time > %s order by time",
            (chance.randint(1, ids), end - timedelta(days=1)),
        ).fetchall()
        took.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(took, n=20)
    return {"p50": round(cuts[9], 2), "p95": round(cuts[18], 2)}


def wal(connection: psycopg.Connection) -> int:
    """Bytes of write-ahead log since the beginning."""
    return int(asked(connection, "select pg_current_wal_lsn() - '0/0'::pg_lsn"))


def asked(connection: psycopg.Connection, question: str) -> Any:
    """The one value."""
    row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def told(found: list[dict[str, Any]]) -> Iterator[str]:
    """The table."""
    yield (
        "ids | key | rows of a chunk | batch, rows | rows/s | CPU s/100,000 | others | WAL B/row | index B/row | "
        "largest index of a chunk, MiB | 24 h of a device p50, p95, ms"
    )
    for one in found:
        order = " by device" if one["ordered"] else ""
        day = one["one_device_24_h_ms"]
        batch = f"{one['batch']:,}{order}"
        parts = (one["way"], f"{one['chunk']:,}", batch, f"{one['rows_per_s']:,}", str(one["cpu_s_per_100k"]))
        rest = ("others_cpu_s_per_100k", "wal_bytes_per_row", "index_bytes_per_row", "open_index_mib")
        yield " | ".join((f"{one['ids']:,}", *parts, *(str(one[name]) for name in rest), f"{day['p50']}, {day['p95']}"))


def medians(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line for each candidate and number of ids, of all rounds."""
    by: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        by[tuple(one[name] for name in ("ids", *Candidate._fields))].append(one)
    return [
        {**some[0], "rounds": len(some)} | {name: statistics.median(one[name] for one in some) for name in FIGURES}
        for some in by.values()
    ]


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_000_000)
    parser.add_argument("--ids", type=int, nargs="+", default=[10_000, 100_000, 2_800_000])
    parser.add_argument("--chunks", type=int, nargs="+", default=[12, 3, 1], help="in how many the rows are")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the database lies; default: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path("bench/keys.json"))
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, database_in(Path(folder)) as stack:
        for _ in range(arguments.rounds):
            for one in candidates(arguments.rows, arguments.chunks, arguments.only):
                for ids in arguments.ids:
                    found.append(measure(stack, one, ids, arguments.rows, arguments.writers))
                    sys.stdout.write(list(told(found[-1:]))[-1] + "\n")
                    sys.stdout.flush()
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine, "candidates": medians(found), "all": found}
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write("\n".join(["", *told(medians(found))]) + "\n")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
