"""PostgreSQL's programs, run with progress on stderr and ended together with us."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.stack.account import ourselves, starter
from dothi.stack.cluster import ENVIRONMENT

SPARE = 256 * 2**20
"""Bytes that stay free on a disk that a backup or a restore is written to."""
WHOLE = ("timeout", "0")
"""coreutils' timeout, which hands the signal of our death on to every process of the program, and sets no limit:
pg_basebackup's second process would go on alone, and the server keep WAL for it."""
PROGRESS = re.compile(r"(\d+)/(\d+) kB \((\d+)%\)")
TELL_EVERY = 2.0  # seconds
NOISE = ("HINT:", "DETAIL:", "removing", "changes to", "WARNING")


class Progress:
    """Lines on stderr that say how far something is, not more often than every two seconds."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.told = time.monotonic()

    def say(self, text: str) -> None:
        """A line now."""
        sys.stderr.write(f"{self.what}: {text}\n")
        sys.stderr.flush()

    def at(self, done: float, total: float, doing: str) -> None:
        """Bytes done of a total."""
        self.tell(f"{doing}, {done / 1e6:,.0f} of {total / 1e6:,.0f} MB")

    def tell(self, text: str) -> None:
        """A line, unless there was one a moment ago."""
        if time.monotonic() - self.told >= TELL_EVERY:
            self.told = time.monotonic()
            self.say(text)


def run(
    runtime: Runtime,
    program: str,
    arguments: list[str],
    progress: Progress,
    doing: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program of the runtime; it ends when we do. Raises Refused with its own words when it fails."""
    words = attempt(runtime, program, arguments, progress, doing, environment)
    if words is not None:
        raise Refused(f"{program}: {words}")


def attempt(
    runtime: Runtime,
    program: str,
    arguments: list[str],
    progress: Progress,
    doing: str,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Like run, but what it says when it fails is returned; None: it succeeded."""
    path = runtime.postgres_bin / program
    if not path.exists():
        raise Refused(f"{program} is missing in {runtime.postgres_bin}; install PostgreSQL's client programs")
    process = subprocess.Popen(
        [*starter(ourselves(), [], signal.SIGTERM), *WHOLE, str(path), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**ENVIRONMENT, **(environment or {})},
    )
    assert process.stderr is not None  # asked for above
    said = ["no reason given"]
    try:
        for line in lines(process.stderr):
            if found := PROGRESS.search(line):
                progress.at(int(found[1]) * 1024, int(found[2]) * 1024, doing)
            elif line and not any(noise in line for noise in NOISE):
                said.append(line)
        code = process.wait()
    finally:
        process.stderr.close()
        if process.poll() is None:
            process.terminate()
            process.wait()
    return telling(said, program) if code else None


def lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines of a program that also ends them with a carriage return, as progress is written."""
    for raw in stream:
        yield from (line.strip() for line in raw.decode(errors="replace").split("\r"))


def telling(said: list[str], program: str) -> str:
    """The first line that names an error, else the last one, without the program's name.

    >>> telling(["x", "pg_basebackup: error: could not write", "pg_basebackup: gone"], "pg_basebackup")
    'could not write'
    """
    errors = [line for line in said if "error:" in line or "ERROR:" in line or "FATAL:" in line]
    line = (errors or said[-1:])[0]
    return re.sub(rf"^({program}: )?(error: |fatal: )?", "", line)[:500]


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse before anything is written that would not fit."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise Refused(
            f"{folder} has {free // 2**20} MB free, {what} needs {(needed + SPARE) // 2**20} MB; nothing was written"
        )


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
