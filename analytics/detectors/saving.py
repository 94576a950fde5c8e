"""What detectors remember is stored range by range, some of it in each tick: what has changed, round and round."""

import time
from collections import deque

import numpy as np
import psycopg

from analytics.detectors import store
from analytics.detectors.pack import SPAN, pack
from analytics.detectors.rows import Fleet, Ints
from analytics.detectors.watch import Watch

SHARE_OF_TIME = 0.03
MOST_S = 0.1  # in one tick


class Saving:
    """Rounds of at least `every_s`; with many devices they take longer, so that storing takes a small share of time."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.saved = 0
        self.bytes = 0
        self._touched: dict[str, set[int]] = {}
        self._queue: deque[tuple[str, int]] = deque()
        self._begun: dict[str, int] = {}  # the position of each family when this round began
        self._next_round = time.monotonic() + every_s
        self._next = 0.0

    def touch(self, family: str, slots: Ints) -> None:
        """Rows of these slots came."""
        ranges = np.flatnonzero(np.bincount(slots[slots >= 0] // SPAN))
        self._touched.setdefault(family, set()).update(ranges.tolist())

    def step(
        self,
        connection: psycopg.Connection,
        watches: dict[str, Watch],
        fleets: dict[str, Fleet],
        positions: dict[str, int],
    ) -> None:
        """Store some of it. `positions`: of the families that go along with the stream."""
        began = time.monotonic()
        if began < self._next:
            return
        if not self._queue:
            if began < self._next_round:
                return
            self._begin(positions, began)
        while self._queue and time.monotonic() < began + MOST_S:
            family, number = self._queue.popleft()
            first = number * SPAN
            content = pack(watches[family], fleets[family].device[first : first + SPAN], first)
            store.save(connection, family, first, positions[family], content)
            self.saved += 1
            self.bytes += len(content)
        if not self._queue:
            for family, position in self._begun.items():
                store.rest_at(connection, family, position)
        self._next = began + (time.monotonic() - began) / SHARE_OF_TIME

    def _begin(self, positions: dict[str, int], now: float) -> None:
        self._next_round = now + self.every_s
        self._begun = dict(positions)
        for family in positions:
            self._queue.extend((family, number) for number in sorted(self._touched.pop(family, ())))
