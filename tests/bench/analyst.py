"""The analyst as `dothi analytics run` runs it, with its CPU and that of its server process told apart by follower.

    python -m tests.bench.analyst DATABASE POSTMASTER CLOCK FILE      started by tests.bench.storage

CLOCK holds how many seconds the clock of the rollups is ahead, so that hours end when the benchmark wants them to. FILE
is written twice a second: seconds by what was worked on ("read": fetching the rows of batches).
"""

import contextlib
import json
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from analytics.meters import Meters
from analytics.rollup.follower import Rollups

from analytics import analyst

WRITE_S = 0.5


class Spending(Meters):
    """Counts CPU seconds by follower beside what the analyst counts itself."""

    def __init__(self, postmaster: int) -> None:
        super().__init__()
        self.process_s: dict[str, float] = defaultdict(float)
        self.server_s: dict[str, float] = defaultdict(float)
        self._postmaster = psutil.Process(postmaster)
        self._server: psutil.Process | None = None

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """The block is the work of a follower."""
        with super().working(what):
            process, server = time.thread_time(), self._server_s()
            try:
                yield
            finally:
                self.process_s[what] += time.thread_time() - process
                self.server_s[what] += max(0.0, self._server_s() - server)

    def _server_s(self) -> float:
        with contextlib.suppress(psutil.Error, StopIteration):
            if self._server is None or not self._server.is_running():
                self._server = next(
                    one for one in self._postmaster.children() if "dothi_analyst" in " ".join(one.cmdline())
                )
            times = self._server.cpu_times()
            return times.user + times.system
        return 0.0

    def write(self, file: Path) -> None:
        """All of it as JSON."""
        spent = {"process": dict(self.process_s), "server": dict(self.server_s), "wall": dict(self.work_s)}
        counts = {"rounds": self.rounds, "rows": self.rows, "missing": self.missing, "failures": self.failures}
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({**spent, "counts": counts}))
        fresh.rename(file)


class Clock:
    """The time, and so much more as a file says."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text()))


class Ahead(Rollups):
    """Rollups by another clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._ahead = clock

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """As if it were that late."""
        super().tick(connection, self._ahead())


def main() -> None:
    """Until SIGTERM."""
    database, postmaster, clock, file = sys.argv[1], int(sys.argv[2]), Clock(Path(sys.argv[3])), Path(sys.argv[4])
    stop, meters = threading.Event(), Spending(postmaster)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def keep_writing() -> None:
        while not stop.wait(WRITE_S):
            meters.write(file)

    threading.Thread(target=keep_writing, daemon=True).start()
    followers = [one if one.name != "rollups" else Ahead(clock) for one in analyst.followers()]
    analyst.run(analyst.Analyst(database, followers, meters, stop))


if __name__ == "__main__":
    main()
