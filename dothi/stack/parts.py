"""One part of the stack as a process: how it is started, known to be ready, and ended."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dothi.stack.leftovers import Trace, birth

KEPT_LOG = 16 * 2**20
SAYS_WHY = re.compile(r"FATAL|PANIC|[Ee]rror: |setpriv:|No space left")


@dataclass(frozen=True)
class Part:
    """What is started. `ready` is asked often and answers at once; `before` runs ahead of every start."""

    name: str
    command: list[str]
    log: Path
    folder: Path
    ready: Callable[[], bool]
    before: Callable[[], None] = lambda: None
    environment: Mapping[str, str] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 15.0  # seconds between the stop signal and SIGKILL


@dataclass
class Running:
    """A part with its process, if it has one now. Times are seconds of the monotonic clock."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    ready_since: float | None = None
    failures: int = 0
    due: float = 0.0
    log_start: int = 0
    was_ready: bool = False
    born: int = 0

    @property
    def pid(self) -> int | None:
        """Number of the process, None while there is none."""
        return self.process.pid if self.process else None

    @property
    def trace(self) -> Trace | None:
        """How to recognise the process later, None while there is none."""
        return Trace(self.part.name, self.process.pid, self.born) if self.process else None

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C at the terminal reaches `up` alone."""
        part = self.part
        part.before()
        with open_log(part.log) as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=part.folder,
                env=part.environment,
                start_new_session=True,
            )
        self.began = time.monotonic()
        self.ready_since = None
        self.born = birth(self.process.pid) or 0

    def last_words(self) -> str:
        """Why it ended, in its own words: the last line of this start's log that says so."""
        with self.part.log.open("rb") as log:
            log.seek(max(self.log_start, log.seek(0, os.SEEK_END) - 65536))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if SAYS_WHY.search(line)]
        return (telling or lines or ["it said nothing"])[-1][:500]


def open_log(path: Path) -> BinaryIO:
    """Open a part's log to append to; a long one is put aside first."""
    if path.exists() and path.stat().st_size > KEPT_LOG:
        path.replace(path.with_suffix(".log.1"))
    file = path.open("ab")
    file.seek(0, os.SEEK_END)
    return file
