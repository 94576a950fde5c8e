"""Runs a city in real time: what is due is offered, what is acknowledged is noted, until told to stop."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from simulators.city import City, Message
from simulators.publish import Publisher, Tally

TICK_S = 0.02
AHEAD_S = 1.0
"""Messages are written this long before they are due: many at once cost far less than a few at a time."""

Progress = Callable[[float, Tally], None]
"""Called every few seconds with the seconds since the start and the tally so far."""


def drive(
    city: City,
    publisher: Publisher,
    *,
    start: float,
    seconds: float | None,
    stop: threading.Event,
    progress: Progress | None = None,
    progress_s: float = 2.0,
) -> dict[str, Any]:
    """Let the city speak for `seconds` (None: until `stop` is set) and return the summary.

    `start`: s since 1970, the city's own. The clock is monotonic from there: a step of the wall clock moves nothing.
    """
    offset = start - time.monotonic()
    end = start + seconds if seconds is not None else float("inf")
    told, written = start, start
    upcoming: deque[Message] = deque()
    while not stop.is_set() and (now := time.monotonic() + offset) < end:
        if now + TICK_S >= written:
            written = now + AHEAD_S
            upcoming.extend(city.each(city.until(written)))
        while upcoming and upcoming[0].due <= now:
            publisher.offer(upcoming.popleft())
        publisher.turn(now)
        if progress and now - told >= progress_s:
            told = now
            progress(now - start, publisher.tally)
        stop.wait(max(TICK_S - (time.monotonic() + offset - now), 0.001))
    took = time.monotonic() + offset - start
    publisher.drain()
    publisher.stop()
    return summary(publisher.tally, took)


def summary(tally: Tally, seconds: float) -> dict[str, Any]:
    """The tally as a document, with what was still in flight at the end and the mean rate."""
    return {
        "seconds": round(seconds, 1),
        **tally.document(),
        "in_flight": tally.in_flight,
        "rate_per_s": round(tally.sent / seconds, 1) if seconds else 0.0,
    }
