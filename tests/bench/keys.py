"""Which key, chunks of what size, batches in what order: what a row costs to write, and how soon a device is read.

    python -m tests.bench.keys                                   every candidate, 12 million rows each; bench/keys.json
    python -m tests.bench.keys --rows 60000000 --ids 2800000 --only device

Writes rows of `reading.air_quality` with three metrics into a table of its own for each candidate, as ingest does:
binary COPY, several connections, a transaction for each batch, fsync on. Every id sends once a minute of the data's own
time; a chunk is so many rows long. CPU is that of the connections' server processes.
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
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import psycopg
from psycopg import sql

from ingest.pack import SIGNATURE, TRAILER
from tests.bench.feeder import Ints, sending_order
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


class Candidate(NamedTuple):
    """How rows are kept. `key`: columns of the unique index; `chunk`, `batch`: rows; `ordered`: batches by device."""

    key: str
    chunk: int
    batch: int
    ordered: bool


KEYS = {"device": "device, time, seq", "time": "time, device, seq"}


def candidates(rows: int, only: str | None) -> list[Candidate]:
    """All that are compared."""
    chunks = [rows // 12, rows // 3, rows + 1]
    made = [Candidate(key, chunk, 20_000, False) for key in KEYS for chunk in chunks]
    made += [Candidate(key, chunks[1], batch, True) for key in KEYS for batch in (20_000, 100_000)]
    return [one for one in made if only in (None, one.key)]


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
    connection.execute(f"create unique index candidate_key on candidate ({KEYS[one.key]})".encode())
    connection.execute("create index on candidate using brin (batch) with (pages_per_range = 128, autosummarize)")
    connection.execute("checkpoint")


class Writing(threading.Thread):
    """One connection: every so many-th batch."""

    def __init__(self, url: str, one: Candidate, order: Ints, place: int, of: int, rows: int) -> None:
        super().__init__()
        self._one, self._order, self._firsts = one, order, range(place * one.batch, rows, of * one.batch)
        self._connection = psycopg.connect(url, autocommit=True)
        self.cpu_s = 0.0

    def run(self) -> None:
        """All batches of this connection."""
        copy = sql.SQL("copy candidate ({}) from stdin (format binary)").format(
            sql.SQL(", ").join(map(sql.Identifier, NAMES))
        )
        with self._connection as connection:
            server = psutil.Process(connection.info.backend_pid)
            for first in self._firsts:
                with connection.cursor().copy(copy) as stdin:
                    stdin.write(stream(self._order, first, self._one.batch, self._one.ordered))
            times = server.cpu_times()
            self.cpu_s = times.user + times.system


def measure(url: str, one: Candidate, ids: int, rows: int, writers: int) -> dict[str, Any]:
    """Write a candidate's rows, then ask for single devices."""
    order = sending_order(ids)
    with psycopg.connect(url, autocommit=True) as connection:
        create(connection, one, ids)
        before, began = wal(connection), time.monotonic()
        threads = [Writing(url, one, order, place, writers, rows) for place in range(writers)]
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
            "wal_bytes_per_row": round((wal(connection) - before) / rows),
            "index_bytes_per_row": round(int(index) / rows),
            "one_device_24_h_ms": device_day(connection, ids, rows),
        }
        connection.execute("drop table candidate")
    return found


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
        "ids | key first | rows of a chunk | batch, rows | rows/s | CPU s/100,000 | WAL B/row | index B/row | "
        "24 h of a device p50, p95, ms"
    )
    for one in found:
        order = " by device" if one["ordered"] else ""
        day = one["one_device_24_h_ms"]
        batch = f"{one['batch']:,}{order}"
        parts = (one["key"], f"{one['chunk']:,}", batch, f"{one['rows_per_s']:,}", str(one["cpu_s_per_100k"]))
        bytes_ = f"{one['wal_bytes_per_row']} | {one['index_bytes_per_row']}"
        yield " | ".join((f"{one['ids']:,}", *parts, bytes_, f"{day['p50']}, {day['p95']}"))


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_000_000)
    parser.add_argument("--ids", type=int, nargs="+", default=[10_000, 2_800_000])
    parser.add_argument("--only", choices=KEYS)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the database lies; default: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path("bench/keys.json"))
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, database_in(Path(folder)) as stack:
        assert stack.database is not None
        for one in candidates(arguments.rows, arguments.only):
            for ids in arguments.ids:
                found.append(measure(stack.database.owner, one, ids, arguments.rows, arguments.writers))
                sys.stdout.write(list(told(found[-1:]))[-1] + "\n")
                sys.stdout.flush()
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"machine": machine, "candidates": found}, indent=1) + "\n")
    sys.stdout.write("\n".join(["", *told(found)]) + "\n")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
