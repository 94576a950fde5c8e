"""Whether one process keeps up with all detectors at a steady rate: follower, detectors, findings, a real database.

    python -m tests.bench.detecting [--rate 60000] [--seconds 60] [--devices 200000] [--writers 3] [--json FILE]

Ingest's own writer feeds readings of air quality with three metrics (`tests.bench.feeder`). This process follows the
stream as `dothi analytics run` does, with the detectors and no other follower: what it tells of CPU and memory is of
them and of reading the batches. It keeps up where nothing is left waiting when the feeders are through.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg

from analytics import analyst
from analytics.detectors.engine import Detectors
from dothi.stack.embedded import Embedded
from tests.bench.analyst import Spending
from tests.bench.feeder import feed
from tests.bench.registry import enroll
from tests.bench.storage import database_in, spread

PATIENCE_S = 120.0
LEFT_S = 2.0
"""What waits no longer than a round or two when the last reading is stored has been kept up with."""


class Following(Spending):
    """Notes how long the oldest batch waited, whenever somebody looks."""

    def __init__(self, postmaster: int) -> None:
        super().__init__(postmaster)
        self.ages_s: list[float] = []

    def waiting(self, consumer: str, age_s: float) -> None:
        """As the analyst is told."""
        super().waiting(consumer, age_s)
        self.ages_s.append(age_s)


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=60_000.0, help="rows/s")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--devices", type=int, default=200_000)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=5_000, help="rows of a transaction")
    parser.add_argument("--folder", type=Path, help="where the database lies; default: a temporary folder")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder, database_in(Path(folder)) as stack:
        found = play(stack, asked) | {"load_before": load, "load_after": os.getloadavg()}
    text = json.dumps(found, indent=1) + "\n"
    sys.stdout.write(text)
    if asked.json:
        asked.json.write_text(text)


def play(stack: Embedded, asked: argparse.Namespace) -> dict[str, Any]:
    """Feed for a while with somebody following, and until nothing waits."""
    postmaster, database = stack.supervisor.pid("database"), stack.database
    assert postmaster is not None
    assert database is not None
    with psycopg.connect(database.owner, autocommit=True) as connection:
        areas = enroll(connection, asked.devices)
    counts, stop, ready = Following(postmaster), threading.Event(), threading.Event()
    one = analyst.Analyst(database.analyst, [Detectors()], counts, stop, ready.set)
    thread = threading.Thread(target=analyst.run, args=(one,))
    thread.start()
    try:
        ready.wait(PATIENCE_S)
        feed(database.writer, areas[:-1], [0] * asked.writers, asked.rate, asked.batch, 5.0, 0.0)  # compiles, grows
        settle(counts)
        before = dict(counts.process_s), dict(counts.server_s), counts.rows, len(counts.ages_s)
        began, process = time.monotonic(), time.process_time()
        positions = [round(5.0 * asked.rate / asked.writers)] * asked.writers
        fed = feed(database.writer, areas[:-1], positions, asked.rate, asked.batch, asked.seconds, 0.0)
        behind_s, waited_s = counts.behind_s, settle(counts)
        process_s, wall_s = time.process_time() - process, time.monotonic() - began
    finally:
        stop.set()
        thread.join()
    rows = counts.rows - before[2]
    per = 1e5 / max(rows, 1)
    return {
        "asked_per_s": asked.rate,
        "devices": asked.devices,
        "fed_per_s": round(sum(share.rows for share in fed) / asked.seconds),
        "writers_late_s": round(max(share.late_s for share in fed), 1),
        "taken": rows,
        "lost_rounds": counts.failures,
        "oldest_waiting_s": spread(counts.ages_s[before[3] :]),
        "behind_at_the_end_s": round(behind_s, 1),
        "until_nothing_waits_s": round(waited_s, 1),
        "keeps_up": behind_s <= LEFT_S and rows >= sum(share.rows for share in fed),
        "cpu_s_per_100k": {name: round((s - before[0].get(name, 0)) * per, 3) for name, s in counts.process_s.items()},
        "server_s_per_100k": {
            name: round((s - before[1].get(name, 0)) * per, 3) for name, s in counts.server_s.items()
        },
        "share_of_a_core": round(process_s / wall_s, 2),
        "memory_mib": round(psutil.Process().memory_info().rss / 2**20),
    }


def settle(counts: Following) -> float:
    """Seconds until nothing has waited for three looks."""
    began = time.monotonic()
    while time.monotonic() < began + PATIENCE_S:
        seen = len(counts.ages_s)
        time.sleep(3.5)
        if len(counts.ages_s) > seen and not any(counts.ages_s[seen:]):
            break
    return max(0.0, time.monotonic() - began - 3.5)


if __name__ == "__main__":
    main()
