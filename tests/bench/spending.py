"""Who spends CPU: the database's processes by what they do, and the analyst with its followers."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import defaultdict

import psutil

from dothi.stack.embedded import Embedded
from tests.bench.clocks import clock_of

SAMPLE_S = 0.5
IDLE_S = 10.0
KINDS = {"dothi_writer": "copy", "dothi_analyst": "analyst", "dothi_reader": "reader", "dothi": "owner"}
KINDS |= {words: words for words in ("checkpointer", "background writer", "walwriter", "autovacuum", "TimescaleDB")}
Costs = dict[str, float]


class Sampler:
    """Samples by a thread until `close`."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sample no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        raise NotImplementedError


class Server(Sampler):
    """The database's processes and what each has cost so far."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = psutil.Process(postmaster)
        self._seen: dict[int, tuple[str, float]] = {}
        super().__init__()

    def costs(self) -> Costs:
        """CPU seconds by kind of process, since the server started."""
        self._look()
        total: Costs = defaultdict(float)
        for kind, seconds in list(self._seen.values()):
            total[kind] += seconds
        return total

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._look()

    def _look(self) -> None:
        for process in self._postmaster.children():
            with contextlib.suppress(psutil.Error, IndexError):
                times = process.cpu_times()
                self._seen[process.pid] = self._kind(" ".join(process.cmdline())), times.user + times.system

    def _kind(self, title: str) -> str:
        """`postgres: dothi_writer dothi 127.0.0.1(4711) COPY` → copy."""
        said = title.rpartition("postgres: ")[2].strip()  # before it, how a private runtime is started
        if said.startswith("parallel worker for PID"):
            return self._seen.get(int(said.split()[4]), ("other", 0.0))[0]
        return next((kind for words, kind in KINDS.items() if said.startswith(words)), "other")


class Analyst:
    """The analyst on a database, in a process of its own (`tests.bench.analyst`)."""

    def __init__(self, stack: Embedded) -> None:
        assert stack.database is not None
        self._counts = stack.plan.folder / "run/analyst.json"
        self._log = stack.plan.folder / "log/analyst.log"
        server, clock = str(stack.supervisor.pid("database")), clock_of(stack)
        command = [
            *("setpriv", "--pdeathsig", "TERM", sys.executable),
            "-m",
            "tests.bench.analyst",
            stack.database.analyst,
            server,
            str(clock),
            str(self._counts),
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._own = psutil.Process(self.process.pid)

    def cost(self) -> float:
        """CPU seconds of the process so far. Raises when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the analyst ended:\n{self._log.read_text()[-3000:]}")
        times = self._own.cpu_times()
        return times.user + times.system

    def memory_mib(self) -> float:
        """Resident memory."""
        return self._own.memory_info().rss / 2**20

    def counts(self) -> dict[str, dict[str, float]]:
        """Seconds by follower, of the process and of its server process; and what it counts of itself."""
        found: dict[str, dict[str, float]] = json.loads(self._counts.read_text()) if self._counts.exists() else {}
        return found

    def idle(self) -> bool:
        """Whether it had little to do within the last seconds."""
        before = sum(self.counts().get("wall", {}).values())
        time.sleep(IDLE_S)
        return sum(self.counts().get("wall", {}).values()) - before < 0.1 * IDLE_S

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(60)
