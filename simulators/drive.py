"""Runs a city in real time: its messages are written ahead here, and sent by a process that does nothing else.

What is due is sent, whatever became of what was sent before (open loop): how late each message was, when its PUBACK
came and with what reason code is noted, and what could not be sent is counted.
"""

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from simulators.ahead import Routes, written
from simulators.city import City
from simulators.letters import receive, send
from simulators.line import WINDOW
from simulators.messages import Messages
from simulators.publish import Broker, BrokerError
from simulators.sender import Order, Told
from simulators.sender_child import OVER, STOP
from simulators.spool import Rows, Spool, never_sent
from simulators.tally import Tally

LEAD_S = 1.5
"""A city that starts so long after it is made is never behind: connections stand and the first messages are written."""
AHEAD_S = 1.5
"""Messages are written this long before they are due."""
AT_ONCE = 100_000
"""Messages that are written at once: many cost less than a few at a time, in bounded memory."""
LONGEST_STEP_S = 1.0
LOOK_S = 0.1
OVER_S = 10.0

Progress = Callable[[float, Tally], None]
"""Called every few seconds with the seconds since the start and the tally so far."""


def drive(
    city: City,
    brokers: Sequence[Broker],
    *,
    start: float,
    seconds: float | None,
    stop: threading.Event,
    spool: Spool | None = None,
    progress: Progress | None = None,
    progress_s: float = 2.0,
    tally: Tally | None = None,
    name: str = "",
    per_broker: int = 2,
    window: int = WINDOW,
    patience_s: float = 15.0,
    drain_s: float = 5.0,
) -> dict[str, Any]:
    """Let the city speak for `seconds` (None: until `stop` is set) and return the summary.

    `start`: s since 1970, the city's own; best `LEAD_S` from now. The clock is monotonic: a step of the wall clock
    moves nothing. `tally`: counts into this one, which another thread may read. `name`: begins the client ids. Raises
    BrokerError when a broker refuses, or does not answer within `patience_s`. `drain_s`: how long to wait for PUBACKs
    after the end.
    """
    offset = time.time() - time.monotonic()
    end = start + seconds if seconds is not None else float("inf")
    called = name or f"simulate-{city.fleet.seed}-{city.boot}-{city.shard[0]}"
    order = Order(tuple(brokers), called, per_broker, window, offset, end, patience_s, drain_s)
    counted = Tally() if tally is None else tally
    counted.lines = len(brokers) * per_broker
    process, line = started(order)
    listener = Listener(line, counted, spool)
    try:
        writer = Writing(city, Routes(city.fleet, brokers, per_broker), line, start, end)
        show = Showing(progress, progress_s, start, counted)
        while not stop.is_set() and not listener.is_over:
            now = time.monotonic() + offset
            writer.forget(listener.until)
            if not writer.step(now):
                stop.wait(LOOK_S)
            show.at(now)
        writer.finish(STOP if stop.is_set() else OVER)
        ended = max(listener.wait(), start)
    finally:
        line.close()
        over(process)
    behind_s = max(0.0, ended - listener.until)
    listener.keep(writer.left(listener.until, ended))
    return summary(counted, ended - start, behind_s)


class Writing:
    """The city's messages, written and handed to the sender a little before they are due."""

    def __init__(self, city: City, routes: Routes, line: Connection, start: float, end: float) -> None:
        self.until = start
        self._handed = deque[tuple[float, list[Messages]]]()
        self._city, self._routes, self._line, self._end = city, routes, line, end
        self._step = min(LONGEST_STEP_S, AT_ONCE / max(city.rate_per_s, 1e-9))

    def step(self, now: float) -> bool:
        """Write the next piece, unless it is too early (s since 1970) or all is written."""
        if self.until >= self._end or self.until > now + AHEAD_S:
            return False
        self.until = min(self.until + self._step, self._end)
        batch = written(self._city, self._routes, self.until)
        self._handed.append((self.until, [messages for _, messages, _ in batch.parts]))
        self._send(batch)
        return True

    def forget(self, until: float) -> None:
        """The sender has taken all up to there."""
        while self._handed and self._handed[0][0] <= until:
            self._handed.popleft()

    def left(self, until: float, ended: float) -> Rows:
        """What became due before the end and reached the sender too late, or was not even written."""
        self.forget(until)
        parts = [messages for _, some in self._handed for messages in some]
        if self.until < ended:
            parts.append(self._city.until(ended))
        whole = Messages.joined(Messages.none(), *parts)
        return never_sent(whole.take(whole.due < ended))

    def finish(self, word: str) -> None:
        """Nothing more is written."""
        self._send(word)

    def _send(self, said: object) -> None:
        try:
            send(self._line, said)
        except OSError:
            return  # the sender is gone, and the listener knows why


class Listener:
    """Hears from the sender, on a thread: counts, and rows for the spool."""

    def __init__(self, line: Connection, tally: Tally, spool: Spool | None) -> None:
        self._line, self._tally, self._spool = line, tally, spool
        self.until = 0.0
        self._last: Told | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._hear, name="simulated city", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the sender has said its last word."""
        return not self._thread.is_alive()

    def wait(self) -> float:
        """Until the sender has ended; when it stopped sending, s since 1970. Raises BrokerError."""
        self._thread.join()
        if self._error:
            raise self._error
        if self._last is None or self._last.refused:
            raise BrokerError(self._last.refused if self._last and self._last.refused else "the sender ended too soon")
        assert self._last.ended is not None
        return self._last.ended

    def keep(self, never_sent: Rows) -> None:
        """Take messages that the sender never had."""
        self._tally.unsent += len(never_sent)
        self._note_rows(never_sent)

    def _hear(self) -> None:
        try:
            while not self._last:
                told: Told = receive(self._line)
                self._note(told)
        except EOFError:
            return
        except Exception as error:
            self._error = error

    def _note(self, told: Told) -> None:
        self._tally.follow(told.tally)
        self.until = told.until
        for rows in told.rows:
            self._note_rows(rows)
        if told.refused or told.ended is not None:
            self._last = told

    def _note_rows(self, rows: Rows) -> None:
        self._tally.settle(rows)
        if self._spool:
            self._spool.append(rows)


class Showing:
    """Calls `progress` every so often."""

    def __init__(self, progress: Progress | None, every_s: float, start: float, tally: Tally) -> None:
        self._progress, self._every_s, self._start, self._told, self._tally = progress, every_s, start, start, tally

    def at(self, now: float) -> None:
        """`now`: s since 1970."""
        if self._progress and now - self._told >= self._every_s:
            self._told = now
            self._progress(now - self._start, self._tally)


def started(order: Order) -> tuple["subprocess.Popen[bytes]", Connection]:
    """The sending process, in a group of its own, so that Ctrl-C is ours alone; and the connection to it."""
    ours, theirs = Pipe()
    with theirs:
        command = [sys.executable, "-m", "simulators.sender_child", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], process_group=0)
    send(ours, order)
    return process, ours


def over(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the process, whose connection is closed; one that does not end is killed."""
    try:
        process.wait(OVER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def summary(tally: Tally, seconds: float, behind_s: float) -> dict[str, Any]:
    """The tally as a document, with the mean rate. `behind_s`: the last seconds of the run reached no sender."""
    rate = round(tally.sent / seconds, 1) if seconds else 0.0
    return {"seconds": round(seconds, 1), **tally.document(), "rate_per_s": rate, "behind_s": round(behind_s, 3)}
