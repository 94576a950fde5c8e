"""How long until readings are stored again, and until they are stored within a second."""

import asyncio
import contextlib
import time
from bisect import bisect_right
from typing import NamedTuple

import psycopg

from tests.chaos.publisher import Line
from tests.chaos.stand import Stand

POLL_S = 0.05
LIMIT_S = 60.0


class Recovery(NamedTuple):
    """Seconds since the fault (a kill) or since its end (all else); None: not within the limit."""

    first_commit_s: float | None
    lag_below_1_s: float | None


class Watch:
    """Looks at the probes' newest stored readings all the time."""

    def __init__(self, stand: Stand, lines: list[Line], numbers: dict[str, int]) -> None:
        self.stored: dict[str, int] = {line.area: -1 for line in lines}
        self._stand = stand
        self._lines = lines
        self._area_of = {numbers[line.probe.device.name]: line.area for line in lines}

    async def run(self) -> None:
        """Poll until cancelled; a database that is away is no news."""
        while True:
            with contextlib.suppress(psycopg.Error, AssertionError):
                async with await self._stand.connect() as connection:
                    while True:
                        await self._look(connection)
                        await asyncio.sleep(POLL_S)
            await asyncio.sleep(POLL_S)

    async def _look(self, connection: psycopg.AsyncConnection) -> None:
        cursor = await connection.execute(
            "select device, max(seq) from reading.air_quality where device = any(%s) group by device",
            (list(self._area_of),),
        )
        for device, seq in await cursor.fetchall():
            self.stored[self._area_of[device]] = seq // 4  # the probe's message, see generator.seqs

    def lag_s(self) -> float:
        """Age of the newest stored probe, the worst area's."""
        now = time.monotonic()
        return max(
            now - line.sent[self.stored[line.area]] if 0 <= self.stored[line.area] < len(line.sent) else now
            for line in self._lines
        )

    async def recovered(self, since: float, limit_s: float = LIMIT_S) -> Recovery:
        """Wait until every area has stored what was sent after `since`, and then until the lag is below a second."""
        marks = {line.area: bisect_right(line.sent, since) for line in self._lines}
        first: float | None = None
        while (now := time.monotonic()) < since + limit_s:
            if first is None and all(self.stored[area] >= mark for area, mark in marks.items()):
                first = now - since
            if first is not None and self.lag_s() < 1:
                return Recovery(round(first, 2), round(now - since, 2))
            await asyncio.sleep(POLL_S / 2)
        return Recovery(first, None)
