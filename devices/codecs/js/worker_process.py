"""The parent's end of a worker: starts it, sends frames, reads answers, kills it at its deadline."""

import marshal
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple

from devices.codecs.js.source import JsCodec

CPU_LIMIT_S = 0.5
"""Of the worker without an answer. Processor time, so that a busy machine does not cost a good message."""
WALL_LIMIT_S = 10.0
START_LIMIT_S = 30.0
LOOK_S = 0.02
PAUSE_S, FEW = 0.001, 32
"""Between two reads while more than a few answers are to come: being woken for each would cost more than it."""
LONGEST_ANSWER = 512 * 1024
_HERE = Path(__file__).parent
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Frame(NamedTuple):
    """What a codec decodes: the bytes, the LoRaWAN port, and when they were received (ms since 1970)."""

    payload: bytes
    port: int | None
    received_ms: float


class Answer(NamedTuple):
    """A letter as in worker.py (and K: killed at its deadline, C: the worker ended), and the UTF-8 text with it."""

    letter: str
    text: bytes


class Lost(Exception):
    """The worker is gone; `answer` is for the frame that it was at."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text.decode())
        self.answer = answer


class WorkerProcess:
    """One worker. Not for several threads at once. Raises OSError when it cannot be started, Lost when it is gone."""

    def __init__(self, cpu_limit_s: float = CPU_LIMIT_S, wall_limit_s: float = WALL_LIMIT_S) -> None:
        self._limits = (cpu_limit_s, wall_limit_s)
        engine = find_spec("_quickjs")
        if engine is None or engine.origin is None:
            raise OSError("the package quickjs-ng is not installed")
        arguments = [str(_HERE / "worker.py"), engine.origin, str(_HERE / "harness.js"), str(_HERE / "buffer.js")]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={"TZ": "UTC0", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        for end in (self._stdin, self._stdout):
            os.set_blocking(end.fileno(), False)
        self._unread = bytearray()
        try:
            self._within(START_LIMIT_S, START_LIMIT_S)
        except Lost as lost:
            raise OSError(f"the worker for vendors' codecs did not start: {lost.answer.text.decode()}") from None

    def answers(self, codec: JsCodec, frames: Sequence[Frame]) -> Iterator[Answer]:
        """An answer per frame, each as it comes; ends early after one that the worker stops at."""
        self._ask(codec.sha256, None, frames)
        came = self._some()
        if came[0].letter == "?":
            self._ask(codec.sha256, codec.source, frames)
            came = self._some()
        left = len(frames)
        while True:
            yield from came
            left -= len(came)
            if left <= 0 or came[-1].letter in "MTL":
                return
            if left > FEW:
                time.sleep(PAUSE_S)
            came = self._some()

    def _ask(self, sha256: str, source: str | None, frames: Sequence[Frame]) -> None:
        request = marshal.dumps((sha256, source, [tuple(frame) for frame in frames]))
        left = memoryview(len(request).to_bytes(4, "big") + request)
        try:
            while left:
                self._wait(self._stdin, select.POLLOUT, *self._limits)
                left = left[os.write(self._stdin.fileno(), left) :]
        except OSError:
            raise Lost(self._ended()) from None

    def _some(self) -> list[Answer]:
        return self._within(*self._limits)

    def _within(self, cpu_s: float, wall_s: float) -> list[Answer]:
        """The answers that have come, at least one."""
        while not (complete := self._complete()):
            self._wait(self._stdout, select.POLLIN, cpu_s, wall_s)
            part = os.read(self._stdout.fileno(), 1 << 18)
            if not part:
                raise Lost(self._ended())
            self._unread += part
        return complete

    def _complete(self) -> list[Answer]:
        """Takes the answers that are there in full out of what was read."""
        unread, at, complete = self._unread, 0, []
        while len(unread) >= at + 5:
            end = at + 5 + int.from_bytes(unread[at + 1 : at + 5], "big")
            if end - at > LONGEST_ANSWER:
                self.close()
                raise Lost(Answer("C", b"it no longer keeps to the protocol"))
            if len(unread) < end:
                break
            complete.append(Answer(chr(unread[at]), bytes(unread[at + 5 : end])))
            at = end
        del unread[:at]
        return complete

    def _wait(self, end: IO[bytes], event: int, cpu_s: float, wall_s: float) -> None:
        poll = select.poll()
        poll.register(end, event)
        if poll.poll(LOOK_S * 1000):
            return
        began, spent = time.monotonic(), cpu_seconds(self.pid)
        while not poll.poll(LOOK_S * 1000):
            if cpu_seconds(self.pid) - spent > cpu_s or time.monotonic() - began > wall_s:
                self.close()
                raise Lost(Answer("K", b"no answer within %g s of processor time or %g s in all" % (cpu_s, wall_s)))

    def _ended(self) -> Answer:
        """How the worker came to its end."""
        self._hang_up()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.close()
        code = self._process.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Answer("C", f"it ended with {how}".encode())

    def close(self) -> None:
        """Kill it, whatever it does."""
        self._hang_up()
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """In a forked child, whose worker this is not: let go of it without touching it."""
        self._hang_up()
        self._process.returncode = 0

    def _hang_up(self) -> None:
        self._stdin.close()
        self._stdout.close()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S
