"""What a message costs when all families come mixed, as in a city: CPU seconds per 100,000 of every process.

    python -m tests.bench.families                           the city of 2030 at 12,500 messages/s, 40 s for each share
    python -m tests.bench.families --rate 1000 --duplicates 0 --workers 1 --people 20000

The simulator's city sends through a whole stack, as shipped; one stack for each share of duplicates. A stack is warm
before it is measured: chunks are there and the first seconds are not counted. `database` is told apart by what its
processes do: copy (ingest's own), analyst, checkpointer, ...
"""

import argparse
import contextlib
import json
import os
import sys
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

WARM_S = 25.0
DEAREST = 40
"""Statements that are told."""
LATE = 0.02
SETTLED = "select coalesce(sum(received), 0)::int8, coalesce(sum(duplicate), 0)::int8 from ops.ledger"
COMMITS = "select count(distinct batch), count(*) from ops.batch where committed > to_timestamp(%s)"
WAL = "select wal_bytes, wal_fpi * 4096.0 from pg_stat_wal"
PARTS = ("broker", "workers", "analyst")


def measure(stack: RunningStack, fleet: Fleet, asked: argparse.Namespace, duplicates: float) -> dict[str, Any]:
    """One share of duplicates on a stack that knows the fleet."""
    shares = Shares(LATE, duplicates, 0.0)
    start = time.time() + LEAD_S + len(fleet) / 1e6
    city = City(fleet, start=start, boot=int(start), speed=asked.rate / natural_rate(fleet, shares), shares=shares)
    tally, found = Tally(), dict[str, Any]()

    def send() -> None:
        seconds = WARM_S + asked.seconds
        found["sent"] = drive(
            city,
            [Broker(one["url"], tuple(one["areas"])) for one in stack.document["brokers"]],
            start=start,
            seconds=seconds,
            stop=threading.Event(),
            tally=tally,
        )

    sending = threading.Thread(target=send)
    sending.start()
    time.sleep(max(0.0, start + WARM_S - time.time()))
    with contextlib.closing(Server(stack.document["processes"]["database"])) as server:
        before, began = spent(stack, server), time.time()
        received, again = stack.query(SETTLED)[0]
        wal, owner = stack.query(WAL)[0], stack.document["database"]
        with contextlib.closing(Statements(owner)) as statements:
            time.sleep(asked.seconds)
        after, seconds = spent(stack, server), time.time() - began
        written = [now - then for now, then in zip(stack.query(WAL)[0], wal, strict=True)]
        settled = tuple(now - then for now, then in zip(stack.query(SETTLED)[0], (received, again), strict=True))
    sending.join()
    batches, parts = stack.query(COMMITS, began)[0]
    per = 1e5 / max(1, settled[0])
    return {
        "duplicates": duplicates,
        "readings_per_s": round(settled[0] / seconds),
        "found_duplicates": settled[1],
        "rows_per_commit": round(settled[0] / max(1, batches)),
        "families_per_commit": round(parts / max(1, batches), 1),
        "puback_p99_s": tally.answers.quantile(0.99),
        "wal_mb_per_100k": dict(
            zip(("all", "full pages"), (round(float(b) / 1e6 * per, 2) for b in written), strict=True)
        ),
        "cpu_s_per_100k": {name: round((after[name] - before.get(name, 0.0)) * per, 3) for name in after},
        "statements": [
            (*kind, round(cost * per, 4)) for kind, cost in sorted(statements.costs.items(), key=lambda one: -one[1])
        ][:DEAREST],
    }


def spent(stack: RunningStack, server: Server) -> dict[str, float]:
    """CPU seconds so far, by who spent them."""
    running = stack.document["processes"]
    own = {name: cpu_s(pids if isinstance(pids, list) else [pids]) for name in PARTS if (pids := running.get(name))}
    return own | {f"database: {kind}": seconds for kind, seconds in server.costs().items()}


@contextlib.contextmanager
def stack_in(folder: Path, asked: argparse.Namespace) -> Iterator[RunningStack]:
    """A whole stack; as shipped, or as `--up` says."""
    with running_stack(
        folder, "--workers", str(asked.workers), "--broker-shards", str(asked.brokers), *asked.up
    ) as stack:
        yield stack


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
    parser.add_argument("--up", nargs=argparse.REMAINDER, default=[], help="more for dothi up; comes last")
    parser.add_argument("--out", type=Path, default=Path("bench/families.json"))
    asked = parser.parse_args()
    fleet = build(districts(zones_of("bac-giang"), asked.density, people=asked.people), 1)
    runs = []
    for share in asked.duplicates:
        with tempfile.TemporaryDirectory() as folder, stack_in(Path(folder), asked) as stack:
            with psycopg.connect(stack.document["database"], autocommit=True) as connection:
                enroll_columns(connection, lambda: pieces(fleet))
            time.sleep(5)
            runs.append(measure(stack, fleet, asked, share))
        sys.stdout.write(json.dumps(runs[-1]) + "\n")
        sys.stdout.flush()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"load": os.getloadavg(), "devices": len(fleet), "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
