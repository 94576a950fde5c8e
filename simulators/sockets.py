"""Real sockets: one MQTT connection per device, with its own credentials, keep-alive, will and session.

The devices are dealt to processes, each of which has one thread and as many connections as it may have open files.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NamedTuple, Self

from simulators.scenario import Outage
from simulators.sockets_count import Totals
from simulators.sockets_guests import Guests
from simulators.sockets_part import Begin, Rehearsal, Told
from simulators.sockets_probe import SocketsError
from simulators.spool import Spool
from simulators.tally import Tally

LEAD_S = 1.5
"""A city that starts so long after its devices have come is never behind: its first messages are written by then."""
LOOK_S, OVER_S = 0.1, 20.0
"""How often is looked whether to stop; how long processes may take to end after they were told so."""
STOP = "stop"

Progress = Callable[[float, Tally], None]
"""Called every few seconds with the seconds since the start, less than 0 before it, and the tally so far."""


class Child(NamedTuple):
    """A process and the line to it."""

    process: "subprocess.Popen[bytes]"
    line: Connection


class Showing:
    """Calls `progress` every so often."""

    def __init__(self, progress: Progress | None, every_s: float) -> None:
        self._progress, self._every_s, self._told = progress, every_s, time.monotonic()

    def look(self, start: float, tally: Tally) -> None:
        """Show the tally, unless it was shown just now. `start`: s since 1970."""
        if self._progress and time.monotonic() - self._told >= self._every_s:
            self._told = time.monotonic()
            self._progress(time.time() - start, tally)


class Crowd:
    """Devices in processes of their own. They begin to come when the block begins, and have left when it ends.

    All that waits raises SocketsError when a process ends too soon.
    """

    def __init__(
        self,
        guests: Guests,
        *,
        processes: int = 1,
        tally: Tally | None = None,
        progress: Progress | None = None,
        progress_s: float = 2.0,
    ) -> None:
        """`tally`: counts into this one, which another thread may read."""
        self.totals = Totals(processes, Tally() if tally is None else tally)
        self._guests, self._processes, self._showing = guests, processes, Showing(progress, progress_s)
        self._children: list[Child] = []
        self._lines: dict[Any, int] = {}
        self._spool: Spool | None = None

    def __enter__(self) -> Self:
        try:
            for place, order in enumerate(self._guests.orders(self._processes)):
                self._children.append(started())
                self._lines[self._children[-1].line] = place
                with suppress(OSError):
                    self._children[-1].line.send(order)
        except BaseException:
            ended(self._children)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        ended(self._children)

    def come(self, stop: threading.Event, patience_s: float, enough: int | None = None) -> int:
        """Wait until `enough` devices (None: all) stand, at most `patience_s`; how many do."""
        wanted = len(self._guests.members) if enough is None else enough
        deadline = time.monotonic() + patience_s
        while self.totals.tally.up < wanted and time.monotonic() < deadline and not stop.is_set():
            self._turn(time.time() + deadline - time.monotonic())
        return self.totals.tally.up

    def speak(
        self,
        rehearsal: Rehearsal,
        *,
        seconds: float | None,
        stop: threading.Event,
        spool: Spool | None = None,
        outages: Sequence[Outage] | None = None,
    ) -> dict[str, Any]:
        """Let the city speak for `seconds` (None: until `stop` is set), then all leave; the summary.

        `rehearsal.start` should lie `LEAD_S` in the future. `spool`: what became of every message. `outages`: others
        than the scenario's. Once.
        """
        told = of_scenario(rehearsal, self._guests) if outages is None else outages
        end = float("inf") if seconds is None else rehearsal.start + seconds
        self._spool = spool
        self._say(Begin(rehearsal, tuple(told), end))
        asked = False
        while self._lines:
            if stop.is_set() and not asked:
                asked = True
                self._say(STOP)
            self._turn(rehearsal.start)
        took = max(min(time.time(), end) - rehearsal.start, 0.0)
        return self.totals.document(took, len(self._guests.members))

    def _say(self, word: object) -> None:
        for line in self._lines:
            with suppress(OSError):  # of one that is gone the line itself tells
                line.send(word)

    def _turn(self, start: float) -> None:
        for line in wait(list(self._lines), LOOK_S):
            self._hear(line)
        self._showing.look(start, self.totals.tally)

    def _hear(self, line: Any) -> None:
        place = self._lines[line]
        try:
            told: Told = line.recv()
        except (EOFError, ConnectionResetError):
            code = self._children[place].process.wait(OVER_S)
            raise SocketsError(f"process {place + 1} of the simulator ended too soon (exit {code})") from None
        if told.trouble:
            raise SocketsError(f"process {place + 1} of the simulator cannot go on: {told.trouble}")
        self.totals.note(place, told.counts, told.times)
        for rows in told.rows:
            self.totals.tally.settle(rows)
            if self._spool:
                self._spool.append(rows)
        if told.over:
            del self._lines[line]


def of_scenario(rehearsal: Rehearsal, guests: Guests) -> list[Outage]:
    """The outages of a rehearsal's scenario."""
    return [outage for effect in rehearsal.scenario for outage in effect.outages(guests.fleet)]


def started() -> Child:
    """A process that waits for its order; in a group of its own, so that Ctrl-C is ours alone."""
    ours, theirs = Pipe()
    with theirs:
        number = theirs.fileno()
        command = [sys.executable, "-m", "simulators.sockets_child", str(number)]
        return Child(subprocess.Popen(command, pass_fds=[number], process_group=0), ours)


def ended(children: Sequence[Child]) -> None:
    """Let go of all processes, which ends them, and wait; one that does not end is killed."""
    deadline = time.monotonic() + OVER_S
    for child in children:
        child.line.close()
    for child in children:
        try:
            child.process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
