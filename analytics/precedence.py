"""Who comes first where there is not enough CPU: what is stored and what rings, then what is shown.

The server processes of the strand of what is shown step back by SHOWN: a nice value of 5 weighs a third of 0. Where
cores are idle they are no slower, and where none is they still go on, so that whoever holds a lock lets go of it.

Its thread does not step back: it shares an interpreter with that of what rings, which would wait for it. Nor do server
processes of what rings: a nice value counts against all else that the machine does, and where that was much, alarms
took up to a minute in place of four seconds, though ingest had all it wanted. A server process can be told if it runs
on this machine as a user whose processes are ours to tell, as that of `dothi up` does; any other database goes on as
before.
"""

import contextlib
import os
import socket
from pathlib import Path

import psycopg

SHOWN = 5
MOST = 19
PROC = Path("/proc")


def step_back_with(connection: psycopg.Connection, by: int) -> None:
    """The server process of a connection."""
    if served_here(connection):
        lower(connection.info.backend_pid, by)


def step_of(connection: psycopg.Connection) -> int:
    """The nice value of a connection's server process; 0 where it is not on this machine."""
    with contextlib.suppress(OSError):
        if served_here(connection):
            return os.getpriority(os.PRIO_PROCESS, connection.info.backend_pid)
    return 0


def served_here(connection: psycopg.Connection) -> bool:
    """Whether the server process is one of this machine: its title names our end of the connection. The number alone
    could be that of any process."""
    try:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as shared:
            ours = shared.getsockname()
        title = (PROC / str(connection.info.backend_pid) / "cmdline").read_text(errors="replace")
    except OSError:
        return False
    said = title.rpartition("postgres: ")[2]
    return isinstance(ours, tuple) and f" {ours[0]}({ours[1]})" in said


def lower(pid: int, by: int) -> None:
    """Add to the nice value of a process, and of its session if it leads one: where the kernel shares out cores to
    sessions (`sched_autogroup_enabled`), a process's own value counts only among those of its session."""
    with contextlib.suppress(OSError):  # not ours to tell
        os.setpriority(os.PRIO_PROCESS, pid, min(os.getpriority(os.PRIO_PROCESS, pid) + by, MOST))
        session = PROC / str(pid) / "autogroup"
        if os.getsid(pid) == pid and session.exists():
            session.write_text(str(min(int(session.read_text().split()[-1]) + by, MOST)))
