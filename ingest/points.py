"""Named points at which a worker dies when the fault harness asks for it; otherwise passing one costs nothing."""

import os
import random
import signal
from typing import NamedTuple

POINTS = ("after_copy", "before_commit", "after_commit_before_puback", "between_batches")


class Crash(NamedTuple):
    """Where to die: each time the point is passed with this probability, or the `every`-th time (0: not counted)."""

    point: str
    probability: float = 1.0
    every: int = 0


_crash: Crash | None = None
_passed = 0


def crash_at(crash: Crash | None) -> None:
    """From now on this process dies at the point by SIGKILL: no handler runs, nothing is flushed."""
    global _crash, _passed
    _crash, _passed = crash, 0


def reached(point: str) -> None:
    """Passed by the pipeline and the writer."""
    if _crash is not None and point == _crash.point:
        _die_if_due(_crash)


def _die_if_due(crash: Crash) -> None:
    global _passed
    _passed += 1
    due = _passed == crash.every if crash.every else random.random() < crash.probability  # noqa: S311 - no secret
    if due:
        os.kill(os.getpid(), signal.SIGKILL)


def parse(text: str) -> Crash:
    """`before_commit`, `before_commit:0.01` (a probability) or `before_commit:every-50`. Raises ValueError.

    >>> parse("after_copy:every-3")
    Crash(point='after_copy', probability=1.0, every=3)
    """
    point, _, often = text.partition(":")
    if point not in POINTS:
        raise ValueError(f"unknown point {point!r}")
    if often.startswith("every-"):
        every = int(often.removeprefix("every-"))
        if every < 1:
            raise ValueError("every- takes a count from 1")
        return Crash(point, every=every)
    probability = float(often or 1)
    if not 0 < probability <= 1:
        raise ValueError("a probability lies above 0 and is at most 1")
    return Crash(point, probability)
