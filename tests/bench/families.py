"""What a message costs when all families come mixed, as in a city: CPU seconds per 100,000 of every process.

    python -m tests.bench.families                           the city of 2030 at 12,500 messages/s, 40 s for each share
    python -m tests.bench.families --brokers 2 --windows 3   first messages of devices, and then others
    python -m tests.bench.families --windows 6 --turns wal_compression=off       settings of the database compared
    python -m tests.bench.families --rate 1000 --duplicates 0 --workers 1 --people 20000

The simulator's city sends through a whole stack, as shipped; one stack for each share of duplicates. A stack is warm
before it is measured: chunks are there and the first seconds are not counted. The first message of a device costs more
than the others (it becomes active, and gets its rows of newest values and of what is settled), so that a window tells
of a city at work only when all devices have been heard. `database` is told apart by what its processes do: copy
(ingest's own), analyst, checkpointer, ...; and by statement.
"""

import argparse
import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from devices.enroll_columns import enroll_columns
from simulators.city import City, natural_rate
from simulators.districts import zones_of
from simulators.drive import LEAD_S, drive
from simulators.fleet import Fleet, build, districts, pieces
from simulators.publish import Broker
from simulators.schedule import Shares
from simulators.tally import Tally
from tests.bench.ingest import cpu_s
from tests.bench.spending import Server
from tests.bench.statements import Statements
from tests.stack import RunningStack, running_stack

DEAREST = 40
"""Statements that are told."""
LATE = 0.02
SETTLED = "select coalesce(sum(received), 0)::int8, coalesce(sum(duplicate), 0)::int8 from ops.ledger"
COMMITS = "select count(distinct batch), count(*) from ops.batch where committed > to_timestamp(%s)"
WAL = "select wal_bytes, wal_fpi from pg_stat_wal"
PARTS = ("broker", "workers", "analyst")


def measure(stack: RunningStack, fleet: Fleet, asked: argparse.Namespace, duplicates: float) -> list[dict[str, Any]]:
    """One share of duplicates on a stack that knows the fleet: one window after the other."""
    found = []
    with (
        moving(stack, fleet, Shares(LATE, duplicates, 0.0), asked.rate, asked.warm),
        contextlib.closing(Server(stack.document["processes"]["database"])) as server,
    ):
        for place in range(asked.windows):
            by_turns = asked.turns if place % 2 else []
            if asked.turns:
                switch(stack, asked.turns, bool(place % 2))
            found.append({"duplicates": duplicates, "with": by_turns, **window(stack, server, asked.seconds)})
    return found


@contextlib.contextmanager
def moving(stack: RunningStack, fleet: Fleet, shares: Shares, rate: float, warm_s: float) -> Iterator[None]:
    """A city that sends so many messages/s while the block runs, and has for `warm_s` before it."""
    start = time.time() + LEAD_S + len(fleet) / 1e6
    city = City(fleet, start=start, boot=int(start), speed=rate / natural_rate(fleet, shares), shares=shares)
    brokers = [Broker(one["url"], tuple(one["areas"])) for one in stack.document["brokers"]]
    stop = threading.Event()
    sending = threading.Thread(
        target=lambda: drive(city, brokers, start=start, seconds=None, stop=stop, tally=Tally()), daemon=True
    )
    sending.start()
    time.sleep(max(0.0, start + warm_s - time.time()))
    try:
        yield
    finally:
        stop.set()
        sending.join()


def switch(stack: RunningStack, settings: list[str], on: bool) -> None:
    """Give the database other settings, or its own again; a checkpoint makes both begin alike."""
    for name, _, value in (setting.partition("=") for setting in settings):
        stack.run(f"alter system set {name} = '{value}'" if on else f"alter system reset {name}")
    stack.run("select pg_reload_conf()")
    stack.run("checkpoint")


def window(stack: RunningStack, server: Server, seconds: float) -> dict[str, Any]:
    """What so many seconds cost."""
    before, began = spent(stack, server), time.time()
    received, again = stack.query(SETTLED)[0]
    wal = stack.query(WAL)[0]
    with contextlib.closing(Statements(stack.document["database"])) as statements:
        time.sleep(seconds)
    after, took = spent(stack, server), time.time() - began
    wal_bytes, full_pages = (now - then for now, then in zip(stack.query(WAL)[0], wal, strict=True))
    more, found = (now - then for now, then in zip(stack.query(SETTLED)[0], (received, again), strict=True))
    batches, parts = stack.query(COMMITS, began)[0]
    per = 1e5 / max(1, more)
    costs = sorted(statements.costs.items(), key=lambda one: -one[1])
    return {
        "readings_per_s": round(more / took),
        "found_duplicates": found,
        "rows_per_commit": round(more / max(1, batches)),
        "families_per_commit": round(parts / max(1, batches), 1),
        "wal_mb_per_100k": round(float(wal_bytes) / 1e6 * per, 2),
        "full_pages_per_100k": round(full_pages * per),
        "cpu_s_per_100k": {name: round((after[name] - before.get(name, 0.0)) * per, 3) for name in after},
        "statements": [(*kind, round(cost * per, 4)) for kind, cost in costs[:DEAREST]],
        "load": os.getloadavg()[0],
    }


def spent(stack: RunningStack, server: Server) -> dict[str, float]:
    """CPU seconds so far, by who spent them."""
    running = stack.document["processes"]
    own = {name: cpu_s(pids if isinstance(pids, list) else [pids]) for name in PARTS if (pids := running.get(name))}
    return own | {f"database: {kind}": seconds for kind, seconds in server.costs().items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=12_500.0, help="messages/s")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--density", type=float, default=200.0, help="devices per 100 people")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--duplicates", type=float, nargs="+", default=[0.0, 0.01], help="shares, 0 to 1")
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--warm", type=float, default=10.0, help="seconds before the first window")
    parser.add_argument("--windows", type=int, default=1, help="of so many seconds each")
    parser.add_argument("--turns", nargs="+", default=[], help="settings of the database in every other window, a=b")
    parser.add_argument("--out", type=Path, default=Path("bench/families.json"))
    asked = parser.parse_args()
    fleet = build(districts(zones_of("bac-giang"), asked.density, people=asked.people), 1)
    runs = []
    for share in asked.duplicates:
        arguments = ["--workers", str(asked.workers), "--broker-shards", str(asked.brokers)]
        with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder), *arguments) as stack:
            with psycopg.connect(stack.document["database"], autocommit=True) as connection:
                enroll_columns(connection, lambda: pieces(fleet))
            time.sleep(5)
            runs += measure(stack, fleet, asked, share)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"devices": len(fleet), "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
