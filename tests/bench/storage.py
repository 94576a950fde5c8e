"""What happens to readings after the COMMIT, against the COPY itself: CPU, WAL, how fresh the views are, how quick.

    python -m tests.bench.storage                               3.7 million devices; bench/storage.json
    python -m tests.bench.storage --devices 100000 --rates 5000 --seconds 15 --no-analyst

Feeds a private database as ingest does (`tests.bench.feeder`). First without the analyst, at the first rate; then the
analyst starts and catches up; it is started again, and the hour ends; then at each rate with it; the next hour ends,
which it has seen whole; and one more while readings come at the first rate. Hours end when the benchmark sets its
clocks forward: their seconds are those from the full hour on. Meanwhile a reader asks what dashboards ask. CPU is taken
from every server process by what it does, so that COPY and analyst are told apart within one run: trust the ratios.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from dothi.runtime import find_runtime
from dothi.stack.embedded import Embedded
from dothi.stack.plan import Plan
from tests.bench.clocks import ahead, set_clocks
from tests.bench.feeder import feed
from tests.bench.questions import Reader
from tests.bench.registry import enroll
from tests.bench.spending import Analyst, Server

WITH_ANALYST = "with the analyst"
WHILE_CLOSING_S = 60.0
SEEN_WHOLE = "an hour that was seen whole ends"
COUNTS_S = 1.0  # the analyst writes its counts twice a second
CATCH_UP_S = 600.0
BEHIND = (
    "select coalesce(sum(rows), 0) from ops.batch "
    "where xid > coalesce((select xid from ops.consumer where consumer = 'analyst'), '0')"
)
HOUR_ROWS = "select count(*) from rollup.air_quality_1h"
CLOSED = (
    "select until >= date_trunc('hour', now() + interval '{} s') from rollup.closed "
    "where family = 'air_quality' and width = '1h'"
)


class Bench:
    """One database with its devices, and what was measured so far."""

    def __init__(self, stack: Embedded, arguments: argparse.Namespace) -> None:
        postmaster = stack.supervisor.pid("database")
        assert stack.database is not None
        assert postmaster is not None
        self.phases: list[dict[str, Any]] = []
        self._stack = stack
        self._database = stack.database
        self._arguments = arguments
        self._server = Server(postmaster)
        self._positions = [0] * arguments.writers
        self._hour = time.time() // 3600 * 3600
        set_clocks(stack, self._hour + 1_800)
        with psycopg.connect(self._database.owner, autocommit=True) as connection:
            self._areas = enroll(connection, arguments.devices)

    def close(self) -> None:
        """Nothing goes on."""
        self._server.close()

    def phase(self, name: str, rate: float, analyst: Analyst | None) -> None:
        """Feed for a while and divide."""
        reader = Reader(self._stack, self._areas)
        if analyst:  # without it many questions scan, which is not what is measured
            reader.start()
        with self.measured(name, analyst) as found:
            fed = feed(
                self._database.writer,
                self._areas[:-1],
                self._positions,
                rate,
                self._arguments.batch,
                self._arguments.seconds,
                ahead(self._stack),
            )
            found["rows"] = sum(one.rows for one in fed)
        if analyst:
            reader.stop()
        self._positions = [one.position for one in fed]
        commits = [seconds * 1000 for one in fed for seconds in one.commit_s]
        found |= {
            "rate": rate,
            "rows_per_s": round(found["rows"] / self._arguments.seconds),
            "writers_late_s": round(max(one.late_s for one in fed), 1),
            "commit_ms": spread(commits),
            "as_of_s": spread(reader.as_of_s),
            "seen_after_s": spread(reader.seen_after_s),
            "answered_ms": {question: spread(took) for question, took in reader.took_ms.items()},
            "refused": reader.refused,
        }
        self.tell(found)

    def catch_up(self, analyst: Analyst) -> None:
        """What the analyst has not seen yet, without anything else going on."""
        with self.measured("catch-up", analyst) as found:
            found["rows"] = self._behind()
            deadline = time.monotonic() + CATCH_UP_S
            while self._behind() and time.monotonic() < deadline:
                analyst.cost()
                time.sleep(0.5)
            found["left"] = self._behind()
            found["taken_s"] = round(0.1 + time.monotonic() - deadline + CATCH_UP_S, 1)
            while not analyst.idle() and time.monotonic() < deadline:
                pass  # what was there before the analyst is still being looked up
        found["rows_per_s"] = round(found["rows"] / found["taken_s"])
        self.tell(found)

    def end_hour(self, name: str, hours: int, analyst: Analyst, rate: float = 0.0) -> None:
        """Clocks go to a full hour; until the rollups of the hour before are there. `rate`: of readings meanwhile."""
        with self.measured(name, analyst) as found, self._fed(rate, hours):
            rows = int(self._ask(HOUR_ROWS))
            set_clocks(self._stack, self._hour + hours * 3600)
            began = time.monotonic()
            deadline = time.monotonic() + CATCH_UP_S
            while not self._ask(CLOSED.format(ahead(self._stack))) and time.monotonic() < deadline:
                analyst.cost()
                time.sleep(0.5)
            found["closed_s"] = round(time.monotonic() - began, 1)
            found["rows"] = int(self._ask(HOUR_ROWS)) - rows
            found["closed"] = self._ask(CLOSED.format(ahead(self._stack)))
        self.tell(found)

    @contextlib.contextmanager
    def _fed(self, rate: float, hours: int) -> Iterator[None]:
        """Readings at a rate during the block and until they end, from a few seconds after the hour on."""
        if not rate:
            yield
            return
        early = self._hour + hours * 3600 - time.time()
        fed = (self._database.writer, self._areas[:-1], self._positions, rate, self._arguments.batch)
        thread = threading.Thread(target=lambda: feed(*fed, WHILE_CLOSING_S, early))
        thread.start()
        yield
        thread.join()

    @contextlib.contextmanager
    def measured(self, name: str, analyst: Analyst | None) -> Iterator[dict[str, Any]]:
        """CPU and WAL of a block that says how many `rows` it was about."""
        found: dict[str, Any] = {"phase": name}
        if analyst and analyst.counts():
            time.sleep(COUNTS_S)
        costs, wal, began = self._server.costs(), self._wal(), time.monotonic()
        own, counts = (analyst.cost(), analyst.counts()) if analyst else (0.0, {})
        yield found
        found["seconds"] = round(time.monotonic() - began, 1)
        per = 1e5 / max(1, found["rows"])
        spent = {kind: (seconds - costs.get(kind, 0.0)) * per for kind, seconds in self._server.costs().items()}
        if analyst:
            spent["analyst process"] = (analyst.cost() - own) * per
            found["analyst_mib"] = round(analyst.memory_mib())
            time.sleep(COUNTS_S)
            gained = difference(analyst.counts(), counts)
            found["counts"] = gained.pop("counts", {})
            found["followers_cpu_s_per_100k"] = {
                where: {name: round(seconds * per, 3) for name, seconds in by.items()} for where, by in gained.items()
            }
        found["cpu_s_per_100k"] = {kind: round(cost, 3) for kind, cost in sorted(spent.items()) if cost >= 0.0005}
        found["wal_bytes_per_row"] = round((self._wal() - wal) / max(1, found["rows"]), 1)
        if spent.get("copy"):
            found["analyst_to_copy"] = round(spent.get("analyst", 0.0) / spent["copy"], 2)
            by = found.get("followers_cpu_s_per_100k", {}).get("server", {})
            found["server_to_copy"] = {name: round(seconds / spent["copy"], 3) for name, seconds in by.items()}

    def tell(self, found: dict[str, Any]) -> None:
        """Keep it, and show it to whoever waits."""
        self.phases.append(found)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()

    def _ask(self, statement: str) -> Any:
        with psycopg.connect(self._database.owner, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None  # an aggregate or a function
        return row[0]

    def _behind(self) -> int:
        return int(self._ask(BEHIND))

    def _wal(self) -> int:
        return int(self._ask("select pg_current_wal_lsn() - '0/0'::pg_lsn"))


Counts = dict[str, dict[str, float]]


def difference(after: Counts, before: Counts) -> Counts:
    """What was added since."""
    return {
        group: {name: value - before.get(group, {}).get(name, 0.0) for name, value in values.items()}
        for group, values in after.items()
    }


def spread(values: list[float]) -> dict[str, float]:
    """Middle and worst of some values, and how many there are."""
    if not values:
        return {"n": 0}
    return {"p50": round(median(values), 2), "max": round(max(values), 2), "n": len(values)}


@contextlib.contextmanager
def database_in(folder: Path) -> Iterator[Embedded]:
    """A stack that is a database and nothing else."""
    plan = Plan(folder=folder, broker_url="mqtt://127.0.0.1:1")
    for name in ("log", "run"):
        (folder / name).mkdir(exist_ok=True)
    stack = Embedded(plan, find_runtime(None), ["213"], {}, threading.Event())
    try:
        stack.start_stores()
        stack.migrate()
        stack.publish()
        yield stack
    finally:
        stack.end()


def play(stack: Embedded, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All phases."""
    bench = Bench(stack, arguments)
    with contextlib.closing(bench):
        bench.phase("without the analyst", arguments.rates[0], None)
        if arguments.analyst:
            with contextlib.closing(Analyst(stack)) as analyst:
                bench.catch_up(analyst)
            with contextlib.closing(Analyst(stack)) as analyst:
                bench.catch_up(analyst)
                bench.end_hour("an hour within which the analyst was started again ends", 1, analyst)
                for rate in arguments.rates:
                    bench.phase(WITH_ANALYST, rate, analyst)
                bench.end_hour(SEEN_WHOLE, 2, analyst)
                bench.phase("more for another hour", arguments.rates[0], analyst)
                bench.end_hour("an hour ends while readings come in", 3, analyst, arguments.rates[0])
    return bench.phases


def ratios(phases: list[dict[str, Any]]) -> list[dict[str, float]]:
    """What followers cost against the COPY of the same phase. `newest`: with reading the batches; `rollups`: adding up
    and the end of an hour spread over its readings, in the server alone and with the analyst's own CPU."""
    ends = [one for one in phases if one["phase"] == SEEN_WHOLE]
    found = []
    for one in phases:
        if one["phase"] != WITH_ANALYST or not ends:
            continue
        copy, (server, process) = one["cpu_s_per_100k"]["copy"], spent_on(one, "rollups")
        ending = [spent * ends[-1]["rows"] / (one["rate"] * 3600) for spent in spent_on(ends[-1], "rollups")]
        newest = spent_on(one, "newest")[0] + spent_on(one, "read")[0]
        found.append(
            {
                "rate": one["rate"],
                "newest": round(newest / copy, 2),
                "rollups_server": round((server + ending[0]) / copy, 3),
                "rollups": round((server + ending[0] + process + ending[1]) / copy, 3),
            }
        )
    return found


def spent_on(phase: dict[str, Any], follower: str) -> tuple[float, float]:
    """CPU seconds per 100,000 of a follower: of its server process, of the analyst."""
    spent = phase["followers_cpu_s_per_100k"]
    return spent["server"].get(follower, 0.0), spent["process"].get(follower, 0.0)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=3_700_000)
    parser.add_argument("--rates", type=float, nargs="+", default=[62_000.0, 15_000.0], help="rows/s")
    parser.add_argument("--seconds", type=float, default=90.0, help="of each phase")
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=5_000, help="rows of a transaction")
    parser.add_argument("--no-analyst", dest="analyst", action="store_false")
    parser.add_argument("--folder", type=Path, help="where the database lies; default: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path("bench/storage.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, database_in(Path(folder)) as stack:
        phases = play(stack, arguments)
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()}
    document = {"machine": machine, "devices": arguments.devices, "ratios": ratios(phases), "phases": phases}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps(document["ratios"], indent=1) + "\n")


if __name__ == "__main__":
    main()
