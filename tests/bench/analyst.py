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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg

from analytics import analyst, meters
from analytics.consume import CONSUMER

WRITE_S = 0.5


class Spending(meters.Meters):
    """Counts CPU seconds by follower beside what the analyst counts itself."""

    def __init__(self, postmaster: int) -> None:
        super().__init__()
        self.process_s: dict[str, float] = defaultdict(float)
        self.server_s: dict[str, float] = defaultdict(float)
        self.beside_s: Callable[[], float] = lambda: 0.0  # of the thread beside
        self._postmaster = psutil.Process(postmaster)
        self._server: psutil.Process | None = None

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """The block is the work of a follower, in a round or a tick."""
        with super().working(what):
            what = what.removesuffix(": tick").removeprefix(f"{CONSUMER}: ")
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

    def _beside_server_s(self) -> float:
        """What the second connection costs; only rollups have one."""
        total = 0.0
        with contextlib.suppress(psutil.Error):
            for one in self._postmaster.children():
                if self._server and one.pid != self._server.pid and "dothi_analyst" in " ".join(one.cmdline()):
                    times = one.cpu_times()
                    total += times.user + times.system
        return total

    def write(self, file: Path) -> None:
        """All of it as JSON."""
        wall = {name: work.seconds for name, work in self.work.items() if not name.endswith(": round")}
        spent = {"process": dict(self.process_s), "server": dict(self.server_s), "wall": wall}
        for where, more in (("process", self.beside_s()), ("server", self._beside_server_s())):
            spent[where]["rollups"] = spent[where].get("rollups", 0.0) + more
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


class Ahead:
    """The rollups, by another clock."""

    name = "rollups"

    def __init__(self, rollups: Any, clock: Clock) -> None:
        self._rollups = type(rollups)(clock=clock)
        self._clock = clock

    def reset(self, connection: psycopg.Connection) -> None:
        """As they do."""
        self._rollups.reset(connection)

    def take(self, connection: psycopg.Connection, columns: Any) -> None:
        """As they do."""
        self._rollups.take(connection, columns)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """As if it were that late."""
        self._rollups.tick(connection, self._clock())

    def beside_s(self) -> float:
        """CPU seconds of the thread beside."""
        return float(getattr(self._rollups.hands, "cpu_s", 0.0))


def main() -> None:
    """Until SIGTERM."""
    database, postmaster, clock, file = sys.argv[1], int(sys.argv[2]), Clock(Path(sys.argv[3])), Path(sys.argv[4])
    stop, spending = threading.Event(), Spending(postmaster)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def keep_writing() -> None:
        while not stop.wait(WRITE_S):
            spending.write(file)

    threading.Thread(target=keep_writing, daemon=True).start()
    everybody = [*analyst.shown(CONSUMER), *analyst.ringing()]  # one strand: what is spent is told apart by turns
    followers = [Ahead(one, clock) if one.name == "rollups" else one for one in everybody]
    spending.beside_s = lambda: sum(one.beside_s() for one in followers if isinstance(one, Ahead))
    analyst.run(analyst.Analyst(database, followers, spending, stop))


if __name__ == "__main__":
    main()
