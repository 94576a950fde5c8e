"""Runs vendors' codecs: one worker per process of ours, started when it is first needed and again when it was lost."""

import atexit
import os
import threading
from collections.abc import Sequence

from devices.codecs.js.breaker import Breaker
from devices.codecs.js.source import JsCodec
from devices.codecs.js.worker_process import WALL_LIMIT_S, Answer, Frame, Lost, WorkerProcess

CHUNK = 256  # frames a request
STRIKING = "KCMT"
"""Letters of answers that count against a codec."""


class Engine:
    """Answers per frame, in order, for several threads one after the other. Letters as in worker.py, and K (killed),
    C (worker ended), A (put aside: the text is the seconds), U (the worker cannot be started)."""

    def __init__(self, breaker: Breaker | None = None, wall_limit_s: float = WALL_LIMIT_S) -> None:
        self._wall_limit_s = wall_limit_s
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self.breaker = breaker or Breaker()

    @property
    def pid(self) -> int | None:
        """The worker's process id, None when there is none."""
        return self._worker.pid if self._worker else None

    def run(self, codec: JsCodec, frames: Sequence[Frame]) -> list[Answer]:
        """An answer for every frame. A frame that costs too much or takes the worker along costs only its own.

        One that runs out of time is run once more before that is believed: where the machine takes a core away for a
        moment, its time is counted to whoever was at work.
        """
        answers: list[Answer] = []
        again = False
        with self._lock:
            while len(answers) < len(frames):
                aside_s = self.breaker.aside_s(codec.sha256)
                if aside_s:
                    return answers + [Answer("A", b"%.0f" % aside_s)] * (len(frames) - len(answers))
                again = self._run_some(codec, frames[len(answers) : len(answers) + CHUNK], answers, again)
        return answers

    def _run_some(self, codec: JsCodec, frames: Sequence[Frame], answers: list[Answer], again: bool) -> bool:
        """Adds what comes; whether the next frame is to be run `again`, as the first of these is."""
        known, fresh = len(answers), self._worker is None
        try:
            if self._worker is None:
                self._worker = WorkerProcess(wall_limit_s=self._wall_limit_s)
            for answer in self._worker.answers(codec, frames):
                if answer.letter == "T" and not (again and len(answers) == known):
                    return True
                self._take(codec, answer, answers)
        except Lost as lost:
            self._worker = None
            # A worker that ended before its first answer may have ended before the question.
            if fresh or lost.answer.letter != "C" or len(answers) > known:
                self._take(codec, lost.answer, answers)
        except OSError as error:
            answers += [Answer("U", str(error).encode())] * len(frames)
        return False

    def _take(self, codec: JsCodec, answer: Answer, answers: list[Answer]) -> None:
        answers.append(answer)
        if answer.letter in STRIKING:
            self.breaker.strike(codec.sha256)

    def close(self) -> None:
        """End the worker; the next frame starts another."""
        with self._lock:
            if self._worker is not None:
                self._worker.close()
                self._worker = None

    def after_fork(self) -> None:
        """In a forked child: the worker is the parent's."""
        self._lock = threading.Lock()
        if self._worker is not None:
            self._worker.forget()
            self._worker = None


ENGINE = Engine()
atexit.register(ENGINE.close)
os.register_at_fork(after_in_child=ENGINE.after_fork)
