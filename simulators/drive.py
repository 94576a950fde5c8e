"""Runs a city in real time: what is due is sent, what is acknowledged is noted, until told to stop."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from simulators.ahead import Ahead, Routes
from simulators.city import City
from simulators.line import WINDOW
from simulators.publish import Broker
from simulators.sender import Sender
from simulators.spool import Spool
from simulators.tally import Tally

LEAD_S = 1.0
"""A city that starts so long after it is made is never behind: connections stand and the first messages are written."""

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
    name: str = "simulate",
    per_broker: int = 2,
    window: int = WINDOW,
    patience_s: float = 15.0,
) -> dict[str, Any]:
    """Let the city speak for `seconds` (None: until `stop` is set) and return the summary.

    `start`: s since 1970, the city's own; best `LEAD_S` from now. The clock is monotonic: a step of the wall clock moves
    nothing. `tally`: counts into this one, which another thread may read. `name`: begins the client ids. Raises
    BrokerError when a broker refuses, or does not answer within `patience_s`.
    """
    offset, told = time.time() - time.monotonic(), start
    counted = Tally() if tally is None else tally
    end = start + seconds if seconds is not None else float("inf")
    ahead = Ahead(city, Routes(city.fleet, brokers, per_broker), start, end)
    sender = Sender(brokers, counted, ahead, spool, lambda: time.monotonic() + offset, name, per_broker, window)

    def tell(now: float) -> None:
        nonlocal told
        if progress and now - told >= progress_s:
            told = now
            progress(now - start, counted)

    took = asyncio.run(sender.run(stop, start, seconds, patience_s, tell))
    return summary(counted, took, max(0.0, start + took - ahead.taken_until))


def summary(tally: Tally, seconds: float, behind_s: float) -> dict[str, Any]:
    """The tally as a document, with the mean rate. `behind_s`: the last seconds of the run were not even written."""
    rate = round(tally.sent / seconds, 1) if seconds else 0.0
    return {"seconds": round(seconds, 1), **tally.document(), "rate_per_s": rate, "behind_s": round(behind_s, 3)}
