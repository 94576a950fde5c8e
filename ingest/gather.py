"""Arrivals → the batch that is being filled; it closes by age, and goes on filling while the one before is committed.

The rule: a batch is handed over when the writer is free and its first message is as old as `AGE_PER_COMMIT` times what
the last commit took, at least `Limits.age_s` and at most `Limits.longest_s`. So the writer is busy for a fifth of the
time, whatever a commit costs. A batch that is full (rows or bytes) waits for nothing but the writer, and what comes
then stays in the window, which bounds the memory of the worker.
"""

import asyncio
from contextlib import suppress

from ingest.batch import Batch, Limits
from ingest.intake import BYTES_AT_ONCE, Intake
from ingest.window import Window

AGE_PER_COMMIT = 4.0


class Gathering:
    """One batch after the other."""

    def __init__(self, window: Window, limits: Limits, intake: Intake) -> None:
        self._window, self._limits, self._intake = window, limits, intake
        self._age_s = limits.age_s
        self._next()

    def _next(self) -> None:
        self._batch = Batch(self._limits, self._age_s)
        self._begun, self._filled, self._taken = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def fill(self) -> None:
        """Read arrivals until cancelled."""
        since_turn = 0
        while True:
            arrival = await self._window.take(None)
            if arrival is None:
                continue
            if self._batch.full:
                await self._taken.wait()
            self._intake.take(arrival, self._batch)
            self._begun.set()
            if self._batch.full:
                self._filled.set()
            since_turn += arrival.size
            if since_turn >= BYTES_AT_ONCE:
                since_turn = 0
                await asyncio.sleep(0)  # while messages are read, nobody hands the server the rows it waits for

    async def get(self) -> Batch:
        """The batch, when it is time."""
        await self._begun.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._filled.wait(), self._batch.time_left_s)
        batch, taken = self._batch, self._taken
        self._next()
        taken.set()
        self._intake.finish(batch)
        return batch

    def took(self, commit_s: float) -> None:
        """The last commit took so many seconds."""
        self._age_s = min(max(self._limits.age_s, AGE_PER_COMMIT * commit_s), self._limits.longest_s)
