"""What each part of the stack uses, written down every 15 seconds for the boards: CPU, memory, disk, the stream."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.types.json import Jsonb

from dothi.stack.queues import Queues

EVERY_S = 15.0
NOTE = "select ops.note_sample(%s, %s, %s, %s, %s)"


class Samples:
    """Looks at processes from another thread: it only reads. `processes`: the number of each part that runs."""

    def __init__(self, processes: Callable[[], Mapping[str, int]], folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._due = 0.0

    async def follow(self, connection: psycopg.AsyncConnection[Any], queues: Sequence[Queues]) -> None:
        """Write a sample when it is time for one."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY_S
        parts = [{"process": name, **used} for name, pid in self._processes().items() if (used := usage(pid))]
        disk = shutil.disk_usage(self._folder)
        held = sum(one.now.get("messages", 0) for one in queues)
        dropped = sum(one.now.get("dropped", 0) for one in queues)
        await connection.execute(NOTE, (Jsonb(parts), disk.free, disk.total, held, dropped))


def usage(pid: int) -> dict[str, float] | None:
    """CPU seconds and bytes of memory of a process and those it started, shared pages once; None: it is gone."""
    cpu_s, own, shared = 0.0, 0, 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            times, memory = one.cpu_times(), one.memory_info()
            # Children that have ended count with their parent: a session that closes takes nothing away.
            cpu_s += times.user + times.system + times.children_user + times.children_system
            own += memory.rss - memory.shared
            shared = max(shared, memory.shared)
    except psutil.Error:
        return None
    return {"cpu_s": round(cpu_s, 3), "memory_bytes": own + shared}
