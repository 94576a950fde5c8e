"""Keeps the parts running: starts, watches, restarts with back-off, ends in order. Single-threaded.

Everything happens in the thread that called `add` first: the kernel ends the parts when that thread dies.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from dothi.errors import Refused
from dothi.stack.leftovers import Trace, record
from dothi.stack.parts import Part, Running

TICK = 0.05
FIRST_DELAY = 0.2
LONGEST_DELAY = 3.2
SAID_EVERY = 15.0  # seconds between two words about a part that takes long to start
HEALTHY = 5.0  # seconds of being ready after which earlier failures are forgotten
GIVE_UP = 3  # failed starts of a part that was never ready

log = structlog.get_logger("dothi.stack")


def delay(failures: int) -> float:
    """Seconds before the next start after so many failures in a row.

    >>> [delay(n) for n in range(7)]
    [0.2, 0.4, 0.8, 1.6, 3.2, 3.2, 3.2]
    """
    return min(FIRST_DELAY * 2.0 ** min(failures, 10), LONGEST_DELAY)


class Supervisor:
    """The running parts of one stack folder, by name."""

    def __init__(self, folder: Path, changed: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.changed = changed
        self.running: dict[str, Running] = {}
        self.restarts: dict[str, int] = {}
        self._retiring: list[tuple[Running, float]] = []

    def add(self, part: Part) -> None:
        """Start a part and keep it running from now on."""
        self.running[part.name] = Running(part)
        self.start(self.running[part.name])

    def pid(self, name: str) -> int | None:
        """Process number of a part, None while it is down or unknown."""
        found = self.running.get(name)
        return found.pid if found else None

    def pids(self) -> dict[str, int]:
        """Process numbers of the parts that run; may be asked from another thread."""
        return {name: pid for name, one in list(self.running.items()) if (pid := one.pid) is not None}

    def start(self, running: Running) -> None:
        """Start a part now and note its process."""
        try:
            running.start()
        except OSError as error:
            raise Refused(f"{running.part.name} cannot be started: {error.strerror} ({error.filename})") from None
        self.note()

    def note(self) -> None:
        """Keep the processes on disk for the next start, and tell who wants to know; a full disk ends nothing."""
        try:
            record(self.folder, self.traces())
            self.changed()
        except OSError as error:
            log.error("processes cannot be noted", folder=str(self.folder), reason=error.strerror or str(error))

    def traces(self) -> list[Trace]:
        """Processes that run now."""
        retiring = [running for running, _ in self._retiring]
        return [trace for running in [*self.running.values(), *retiring] if (trace := running.trace)]

    def step(self) -> None:
        """Look at every part once."""
        now = time.monotonic()
        for running in self.running.values():
            if running.process is None:
                if now >= running.due:
                    self.start(running)
            elif running.process.poll() is not None:
                self.bury(running, now)
            elif running.ready_since is None and running.part.ready():
                self.welcome(running)
        self._retiring = [(running, until) for running, until in self._retiring if not ended(running, until, now)]

    def retire(self, name: str) -> None:
        """End a part without waiting for it; it is not started again."""
        running = self.running.pop(name, None)
        if running and running.process and running.process.poll() is None:
            running.process.send_signal(running.part.stop_signal)
            self._retiring.append((running, time.monotonic() + running.part.patience))
        self.note()

    def bury(self, running: Running, now: float) -> None:
        """A part has ended by itself: say so and plan its next start."""
        code = running.process.returncode if running.process else None
        if running.ready_since is not None and now - running.ready_since >= HEALTHY:
            running.failures = 0
        wait = delay(running.failures)
        log.error(
            "part ended, starting it again",
            part=running.part.name,
            ended=said_exit(code, running.last_words()),
            again_in_s=wait,
        )
        running.process, running.ready_since = None, None
        running.failures += 1
        self.restarts[running.part.name] = self.restarts.get(running.part.name, 0) + 1
        running.due = now + wait
        self.note()

    def welcome(self, running: Running) -> None:
        """A part has become ready."""
        running.ready_since = time.monotonic()
        running.was_ready = True
        seconds = round(running.ready_since - running.began, 2)
        log.info("part ready", part=running.part.name, pid=running.pid, after_s=seconds)

    def wait_ready(self, names: Iterable[str], seconds: float, stop: threading.Event) -> None:
        """Wait until the named parts are ready, or until `stop` is set.

        Raises Refused with the part's own words when one keeps failing or takes too long.
        """
        waiting = [self.running[name] for name in names]
        began = said = time.monotonic()
        until = began + seconds
        while not stop.is_set() and any(running.ready_since is None for running in waiting):
            self.step()
            for running in waiting:
                if not running.was_ready and (running.failures >= GIVE_UP or time.monotonic() > until):
                    raise Refused(
                        f"{running.part.name} does not start: {running.last_words()} (see {running.part.log})"
                    )
            if time.monotonic() > said + SAID_EVERY:
                said = time.monotonic()
                starting = [running.part.name for running in waiting if running.ready_since is None]
                log.info("still starting", parts=starting, after_s=round(said - began), at_most_s=round(seconds))
            stop.wait(TICK)

    def stop(self, names: Iterable[str]) -> None:
        """End the named parts together, cleanly, and wait for them."""
        ending = [self.running.pop(name) for name in list(names) if name in self.running]
        ending += [running for running, _ in self._retiring]
        self._retiring = []
        for running in ending:
            if running.process and running.process.poll() is None:
                running.process.send_signal(running.part.stop_signal)
        for running in ending:
            if running.process:
                end(running.process, running.part)
        self.note()


def ended(running: Running, until: float, now: float) -> bool:
    """Whether a part that was asked to end has ended; killed when its time is over."""
    if running.process is None or running.process.poll() is not None:
        return True
    if now > until:
        log.error("part does not end, killing it", part=running.part.name, pid=running.pid)
        running.process.kill()
    return False


def end(process: subprocess.Popen[bytes], part: Part) -> None:
    """Wait for a process that was asked to end; kill it when it takes too long."""
    try:
        process.wait(part.patience)
    except subprocess.TimeoutExpired:
        log.error("part does not end, killing it", part=part.name, pid=process.pid)
        process.kill()
        process.wait()


def said_exit(code: int | None, last_words: str) -> str:
    """How a process ended, in words: its own, unless it was killed from outside.

    >>> said_exit(-9, "all is well"), said_exit(2, "FATAL: no")
    ('killed by SIGKILL', 'exit code 2: FATAL: no')
    """
    if code is not None and code < 0 and -code != signal.SIGABRT:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}: {last_words}"
