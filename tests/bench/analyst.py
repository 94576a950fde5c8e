"""The analyst as `dothi analytics run` runs it, with its CPU and that of its server process told apart by follower.

    python -m tests.bench.analyst DATABASE POSTMASTER FILE      started by tests.bench.storage

FILE is written twice a second: seconds by what was worked on ("read": fetching the rows of batches).
"""

import contextlib
import json
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psutil
from analytics.meters import Meters

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


def main() -> None:
    """Until SIGTERM."""
    database, postmaster, file = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    stop, meters = threading.Event(), Spending(postmaster)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def keep_writing() -> None:
        while not stop.wait(WRITE_S):
            meters.write(file)

    threading.Thread(target=keep_writing, daemon=True).start()
    analyst.run(analyst.Analyst(database, analyst.followers(), meters, stop))


if __name__ == "__main__":
    main()
