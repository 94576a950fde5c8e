"""One `dothi up` per folder, and nothing left behind by one that was killed."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog

from dothi.errors import Refused
from dothi.stack.passwords import write_private

PATIENCE = 10.0  # seconds a leftover has to end by itself; its parent's death has told it to

log = structlog.get_logger("dothi.stack")


class Trace(NamedTuple):
    """A process as it can be recognised later: `born` is its start in clock ticks since boot, as numbers are reused."""

    name: str
    pid: int
    born: int


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for this process.

    Raises Refused when another `up` has it, naming that process, or when it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run").mkdir(exist_ok=True)
        (folder / "log").mkdir(exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise Refused(f"--dir {folder} cannot be written: {error.strerror}; choose another") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise Refused(
                f"{folder} is held by another dothi up, process {holder}; stop it or use another --dir"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
        lock.truncate(0)


def record(folder: Path, traces: list[Trace]) -> None:
    """Keep which processes are ours."""
    write_private(folder / "run/processes.json", json.dumps([trace._asdict() for trace in traces], indent=2) + "\n")


def end_leftovers(folder: Path) -> list[str]:
    """End what a killed `up` left running in this folder; returns the names. Only call while the folder is held."""
    alive = [trace for trace in recorded(folder) if is_alive(trace)]
    for trace in alive:
        log.warning("left over from a killed start, ending it", part=trace.name, pid=trace.pid)
        ask_to_end(trace)
    wait_for_end(alive, PATIENCE)
    for trace in alive:
        if is_alive(trace):
            log.warning("does not end, killing it", part=trace.name, pid=trace.pid)
            send(trace, signal.SIGKILL)
    wait_for_end(alive, 5.0)
    free_cluster(folder / "database")
    return [trace.name for trace in alive]


def recorded(folder: Path) -> list[Trace]:
    """What the last `up` noted; nothing when there is no note, or half a one."""
    try:
        return [Trace(**row) for row in json.loads((folder / "run/processes.json").read_text())]
    except (OSError, ValueError, TypeError):
        return []


def is_alive(trace: Trace) -> bool:
    """Whether this very process still runs."""
    return birth(trace.pid) == trace.born


def birth(pid: int) -> int | None:
    """Start of a process in clock ticks since boot, None when it does not run (a zombie does not)."""
    try:
        # The second field, the name in parentheses, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def ask_to_end(trace: Trace) -> None:
    """Ask in the way the part understands as: soon, but cleanly. A suspended one is woken to hear it.

    A worker would wait for the database to settle what it has read; unsettled, the broker sends it again.
    """
    if trace.name.startswith("worker"):
        return send(trace, signal.SIGKILL)
    send(trace, signal.SIGINT if trace.name == "database" else signal.SIGTERM)
    send(trace, signal.SIGCONT)


def send(trace: Trace, number: signal.Signals) -> None:
    """Signal a process that may just have ended."""
    if is_alive(trace):
        try:
            os.kill(trace.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            raise Refused(
                f"{trace.name} (process {trace.pid}) still runs and belongs to another user; "
                "stop it, or run as the user who started it"
            ) from None


def wait_for_end(traces: list[Trace], seconds: float) -> None:
    """Wait until all have ended, at most some seconds."""
    until = time.monotonic() + seconds
    while any(is_alive(trace) for trace in traces) and time.monotonic() < until:
        time.sleep(0.05)


def free_cluster(data: Path) -> None:
    """Make sure that nobody works in the data folder, then remove postmaster.pid.

    PostgreSQL takes any process under the number in that file for another postmaster and refuses to start: also one
    that got the number later, and a zombie that nobody buries, as happens in containers.
    """
    wait_for_end(working_in(data), 5.0)
    end_orphans(data)
    if not working_in(data):
        (data / "postmaster.pid").unlink(missing_ok=True)


def end_orphans(data: Path) -> None:
    """End at once what a killed postmaster left behind; call only while none runs.

    Its death tells them to end, but who computes hears it late, and no other starts before all have gone. What they had
    under way is undone by the recovery.
    """
    orphans = working_in(data)
    if orphans:
        log.warning("left over from a killed database, killing them", pids=[trace.pid for trace in orphans])
    for trace in orphans:
        send(trace, signal.SIGKILL)
    wait_for_end(orphans, 5.0)


def working_in(data: Path) -> list[Trace]:
    """Processes whose current folder is the data folder: the postmaster and all of its children."""
    place = str(data.resolve())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            works = str((process / "cwd").readlink()) == place
        except OSError:  # gone meanwhile, a zombie, or somebody else's
            continue
        pid = int(process.name)
        if works and (born := birth(pid)) is not None:
            found.append(Trace("database", pid, born))
    return found
