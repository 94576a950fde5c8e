"""What happens during the long outage, a sample a second: counts, and memory of broker and workers."""

import asyncio
import contextlib
import json
import time

import psutil
import psycopg

from tests.bench.outage_load import Line
from tests.stack import RunningStack

SAMPLE_S = 1.0


class Watch:
    """Samples of everything, a second apart. `outage`: between the kill and the first answer of the database."""

    def __init__(self, stack: RunningStack, lines: list[Line]) -> None:
        self.samples: list[dict[str, float]] = []
        self.stored = 0
        self.answers = False
        self._stack = stack
        self._lines = lines
        self._began = time.monotonic()

    @property
    def acknowledged(self) -> int:
        """Messages that the broker has acknowledged."""
        return sum(line.acknowledged for line in self._lines)

    @property
    def behind(self) -> int:
        """Messages acknowledged by the broker and not stored as far as we know."""
        return self.acknowledged - self.stored

    @property
    def now_s(self) -> float:
        """Seconds since the start of the load."""
        return time.monotonic() - self._began

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.to_thread(self._ask)
            processes = json.loads((self._stack.folder / "stack.json").read_text())["processes"]
            self.samples.append(
                {
                    "at_s": round(self.now_s, 1),
                    "published": sum(line.sent for line in self._lines),
                    "acknowledged": self.acknowledged,
                    "stored": self.stored,
                    "database": int(self.answers),
                    "broker_mib": resident_mib(processes["broker"]),
                    "workers_mib": resident_mib(processes["workers"]),
                }
            )
            await asyncio.sleep(SAMPLE_S)

    def _ask(self) -> None:
        try:
            with psycopg.connect(self._stack.document["database"], connect_timeout=2) as connection:
                row = connection.execute("select coalesce(sum(stored), 0)::bigint from ops.ledger").fetchone()
            self.stored, self.answers = int(row[0]) if row else 0, True
        except psycopg.Error:
            self.answers = False


def resident_mib(pids: list[int]) -> float:
    """Resident memory of some processes together."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return round(total / 2**20, 1)
