"""What each part of a stack costs while a run goes on, and how far behind the platform says it is: once a second."""

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import psutil
import psycopg
from numpy.typing import NDArray

from dothi.errors import Refused
from dothi.settings import Stack, stack_at

EVERY_S = 1.0
MIB = 2**20
FLOW = """
select coalesce(sum(in_flight), 0)::bigint, coalesce(max(lag_s), 0), coalesce(sum(rate_per_s), 0)
from city.worker where at > now() - interval '5 seconds'
"""
FIGURES = ("in_flight", "lag_s", "rate_per_s")


class Part:
    """Processes that count as one: CPU seconds also of children that have ended, memory with shared pages once."""

    def __init__(self, pids: Callable[[], list[int]], alone: bool = False) -> None:
        """`alone`: without the processes that these have started."""
        self._pids = pids
        self._alone = alone
        self._spent: dict[int, float] = {}

    def cpu_s(self) -> float:
        """CPU seconds since the first look; what a process had used before counts too."""
        return sum(self._spent.values())

    def look(self) -> float:
        """Take note of what each process has used; returns memory in MiB."""
        own, shared = 0, 0
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                times, memory = process.cpu_times(), process.memory_info()
                self._spent[process.pid] = times.user + times.system
                own += memory.rss - memory.shared
                shared = max(shared, memory.shared)
        return (own + shared) / MIB

    def _processes(self) -> Iterator[psutil.Process]:
        for pid in self._pids():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                yield process
                yield from () if self._alone else process.children(recursive=True)


class Sampler:
    """Samples on a thread of its own while the block runs. `samples`: one document per look."""

    def __init__(self, stack: Stack, begun: float) -> None:
        """`begun`: the moment from which seconds are counted, s since 1970."""
        self._stack, self._begun = stack, begun
        self._document, self._read = stack.document, time.monotonic()
        self._parts = {name: Part(partial(self._pids, name)) for name in part_names(stack.document)}
        self._each = {name: Part(partial(self._pids, *at)) for name, at in process_names(stack.document).items()}
        self._others = beside(stack.document)
        self._each |= {name: Part(partial(self._beside, name), alone=True) for name in self._others}
        self._before: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._connection: psycopg.Connection[Any] | None = None
        self.samples: list[dict[str, Any]] = []

    def __enter__(self) -> "Sampler":
        for part in self._parts.values():
            part.look()
        self._before = {name: part.cpu_s() for name, part in self._parts.items()}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)
        if self._connection:
            self._connection.close()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each part since the block began."""
        return {name: round(part.cpu_s() - self._before[name], 2) for name, part in self._parts.items()}

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.samples.append(self._look())

    def _look(self) -> dict[str, Any]:
        moment = time.time()
        memory = {name: round(part.look(), 1) for name, part in self._parts.items()}
        each = {name: round(part.look(), 1) for name, part in self._each.items()}
        return {
            "at": round(moment - self._begun, 2),
            "cpu_s": self.cpu_s(),
            "memory_mib": memory,
            "each_mib": each,
            **self._flow(),
        }

    def _flow(self) -> dict[str, float | None]:
        """What the workers say of themselves; nothing while the database does not answer."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._stack.reader, autocommit=True, connect_timeout=2)
                self._connection.execute("set statement_timeout = '2s'")
            row = self._connection.execute(FLOW).fetchone()
        except psycopg.Error:
            if self._connection:
                self._connection.close()
            self._connection, row = None, None
        return dict(zip(FIGURES, row or (None,) * len(FIGURES), strict=True))

    def _beside(self, name: str) -> list[int]:
        """A process of the stack that belongs to no part."""
        return [self._others[name]] if name in self._others else []

    def _pids(self, name: str, place: int | None = None) -> list[int]:
        """The processes of a part, or one of them; parts that were restarted have others."""
        if time.monotonic() - self._read > 5.0 and self._stack.folder:
            self._read = time.monotonic()
            with contextlib.suppress(Refused):
                self._document = stack_at(self._stack.folder).document
                self._others = beside(self._document)
        found = pids_of(self._document, name)
        return found if place is None else found[place : place + 1]


def part_names(document: dict[str, Any]) -> list[str]:
    """The parts of a stack whose processes are known, and the simulator itself."""
    return ["simulator", *document.get("processes", {})]


def process_names(document: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Of the parts that are several alike: a name for each process, and which of its part it is."""
    several = {name: found for name, found in document.get("processes", {}).items() if isinstance(found, list)}
    return {f"{name} {place}": (name, place) for name, found in several.items() for place in range(len(found))}


def beside(document: dict[str, Any]) -> dict[str, int]:
    """The process that watches over the stack, and those it has started that belong to no part, by what they do."""
    pid = document.get("pid")
    if not isinstance(pid, int):
        return {}
    known = {one for name in document.get("processes", {}) for one in pids_of(document, name)}
    found = {"up": pid}
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.Error, ValueError):
                words = child.cmdline()
                first = words.index("dothi") + 1
                if child.pid not in known:
                    found[" ".join(words[first : first + 2])] = child.pid
    return found


def pids_of(document: dict[str, Any], name: str) -> list[int]:
    """Process ids of a part."""
    if name == "simulator":
        return [os.getpid()]
    found = document.get("processes", {}).get(name) or []
    return [pid for pid in (found if isinstance(found, list) else [found]) if pid]


def memory_slopes(samples: list[dict[str, Any]], seconds: float) -> dict[str, dict[str, float]]:
    """What memory did in the second half of a run that sent for so many seconds: by process, MiB at its beginning and
    end and percent a minute, on the line of least squares through all samples. Parts of one process, and each process
    of the others; of the database all of them together."""
    half = [one for one in samples if seconds / 2 <= one["at"] <= seconds]
    if len(half) < 3:
        return {}
    minutes = np.array([one["at"] for one in half]) / 60
    names = {name for one in half for name in one["memory_mib"]} - {
        name.rpartition(" ")[0] for name in half[0]["each_mib"]
    }
    series = {name: np.array([one["memory_mib"].get(name, 0.0) for one in half]) for name in sorted(names)}
    series |= {name: np.array([one["each_mib"].get(name, 0.0) for one in half]) for name in sorted(half[0]["each_mib"])}
    return {name: slope(minutes, mib) for name, mib in series.items() if mib.any()}


def slope(minutes: NDArray[np.float64], mib: NDArray[np.float64]) -> dict[str, float]:
    """The line of least squares: its ends, and by how much it rises, of the mean."""
    rise, start = np.polyfit(minutes - minutes[0], mib, 1).tolist()
    last = start + rise * float(minutes[-1] - minutes[0])
    return {
        "from_mib": round(start, 1),
        "to_mib": round(last, 1),
        "percent_a_minute": round(rise / float(mib.mean()) * 100, 3),
    }


def over_time(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Samples as columns: CPU as cores in use between two looks, memory in MiB."""
    cores: dict[str, list[float]] = defaultdict(list)
    for before, after in pairwise(samples):
        for name, spent in after["cpu_s"].items():
            took = max(after["at"] - before["at"], 0.001)
            cores[name].append(round((spent - before["cpu_s"][name]) / took, 3))
    later = samples[1:]
    return {
        "at_s": [one["at"] for one in later],
        "cores": dict(cores),
        "memory_mib": {name: [one["memory_mib"][name] for one in later] for name in cores},
        "each_mib": {
            name: [one["each_mib"].get(name) for one in later] for name in (later[0]["each_mib"] if later else ())
        },
        "platform": {name: [one[name] for one in later] for name in FIGURES},
    }
