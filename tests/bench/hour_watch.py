"""CPU and memory of every process of a stack, one line of JSON for each look, and how memory went."""

import contextlib
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg

from analytics.consume import BOARDS, CONSUMER
from dothi.errors import Refused
from dothi.load.sampler import MIB, slope
from dothi.settings import stack_at
from tests.bench.spending import KINDS

LEAST_SHARE = 0.9
"""Of the looks of a stretch: who was there in fewer of them has no slope."""
WAITS = """
coalesce((select extract(epoch from clock_timestamp() - b.committed)::float8 from ops.batch b where b.xid > (
    select c.xid from ops.consumer c where c.consumer = '{}') order by b.xid limit 1), 0)
"""
COUNTED = f"""
select coalesce(sum(received), 0)::int8, coalesce(sum(stored), 0)::int8,
       (select coalesce(max(lag_s), 0)::float8 from city.worker where at > now() - interval '5 seconds'),
       {WAITS.format(CONSUMER)}, {WAITS.format(BOARDS)}
from city.ledger
"""
FIGURES = ("received", "stored", "lag_s", "rings_waits_s", "shown_waits_s")
ANSWER = "-c statement_timeout=5s"
Look = dict[str, Any]


class Watch:
    """Looks at the stack in `folder` and at a process beside it that sends; each look is a line of `to`."""

    def __init__(self, folder: Path, sender: int, to: Path) -> None:
        self._folder, self._sender, self._to = folder, sender, to
        self.looks: list[Look] = []

    def look(self) -> None:
        """Take one, and write it down at once: what was seen stays if the run is cut short."""
        one = {
            "at": round(time.time(), 2),
            "load": os.getloadavg()[0],
            "disk_free_gb": round(shutil.disk_usage(self._folder).free / 1e9, 1),
            "memory_free_gb": round(psutil.virtual_memory().available / 1e9, 1),
            **self._counted(),
            "processes": dict(self._processes()),
        }
        self.looks.append(one)
        with self._to.open("a") as file:
            file.write(json.dumps(one) + "\n")

    def _counted(self) -> Look:
        """Readings dealt with and stored so far; age of the oldest message that is not, and of the oldest batch that
        a strand of the analyst has not taken. Nothing while the database does not answer."""
        with contextlib.suppress(Refused, psycopg.Error):
            url = stack_at(self._folder).database
            with psycopg.connect(url, autocommit=True, connect_timeout=2, options=ANSWER) as connection:
                row = connection.execute(COUNTED.encode()).fetchone()
            return dict(zip(FIGURES, row or (), strict=False))
        return {}

    def _processes(self) -> Iterator[tuple[str, Look]]:
        with contextlib.suppress(Refused, psutil.Error):
            document = stack_at(self._folder).document
            known = named(document["processes"])
            up = psutil.Process(document["pid"])
            sender = psutil.Process(self._sender)
            for process in (up, *up.children(recursive=True), sender, *sender.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times, memory = process.cpu_times(), process.memory_info()
                    name = known.get(process.pid) or name_of(process.cmdline(), process.name())
                    yield (
                        f"{name} [{process.pid}]",
                        {
                            "kind": name,
                            "cpu_s": round(times.user + times.system, 2),
                            "rss_mib": round(memory.rss / MIB, 1),
                            "own_mib": round((memory.rss - memory.shared) / MIB, 1),
                        },
                    )


def named(processes: dict[str, Any]) -> dict[int, str]:
    """Names by process number."""
    found: dict[int, str] = {}
    for name, pids in processes.items():
        if isinstance(pids, list):
            found |= {pid: f"{name} {place}" for place, pid in enumerate(pids)}
        elif pids:
            found[pids] = name
    return found


def name_of(command: list[str], program: str) -> str:
    """What a process does, by its command line.

    >>> name_of(["postgres: dothi_writer dothi 127.0.0.1(4711) COPY"], "postgres")
    'database: copy'
    >>> name_of(["/usr/bin/python", "-m", "dothi", "storage", "keep", "--dir", "x"], "python")
    'storage keep'
    """
    line = " ".join(command)
    if "postgres: " in line:
        said = line.rpartition("postgres: ")[2].strip()
        return "database: " + next((kind for words, kind in KINDS.items() if said.startswith(words)), "other")
    if "dothi" in command:
        return " ".join(command[command.index("dothi") + 1 :][:2])
    return next((word for word in command if word.startswith("simulators.")), program)


def spent(looks: list[Look]) -> dict[str, float]:
    """CPU seconds by kind of process between the first look and the last: of each process, from the first look that
    saw it (nothing before, if it was not there at first) to the last."""
    first = looks[0]["processes"]
    newest: dict[str, Look] = {}
    for one in looks:
        newest |= one["processes"]
    total: dict[str, float] = defaultdict(float)
    for name, process in newest.items():
        total[process["kind"]] += process["cpu_s"] - first.get(name, {"cpu_s": 0.0})["cpu_s"]
    return dict(total)


def slopes(looks: list[Look]) -> dict[str, dict[str, float]]:
    """How the memory of each process went, its own pages without shared ones; and of all of the database together."""
    if len(looks) < 3:
        return {}
    minutes = np.array([one["at"] for one in looks]) / 60
    names = {name for one in looks for name in one["processes"]}
    found = {}
    for name in sorted(names):
        mib = np.array([one["processes"].get(name, {"own_mib": np.nan})["own_mib"] for one in looks])
        there = ~np.isnan(mib)
        if there.mean() >= LEAST_SHARE and mib[there].any():
            found[name] = slope(minutes[there], mib[there])
    whole = np.array([database_mib(one) for one in looks])
    return found | ({"database, all together": slope(minutes, whole)} if whole.any() else {})


def database_mib(look: Look) -> float:
    """What the server's processes have of their own."""
    return float(sum(one["own_mib"] for one in look["processes"].values() if one["kind"].startswith("database")))


def during(looks: list[Look], begin: float, end: float) -> list[Look]:
    """The looks of a stretch, s since 1970."""
    return [one for one in looks if begin <= one["at"] <= end]
