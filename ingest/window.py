"""What has been received and not yet acknowledged, bounded in messages and in bytes.

Memory of a worker is bounded by this: when the window is full the sessions stop reading, the broker keeps the rest.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ingest.mqtt import Messages


class Source(Protocol):
    """A connection that messages came from and that their acknowledgements go back to."""

    inbox: str

    def acknowledge(self, pids: Sequence[int]) -> None:
        """Send the acknowledgements, or drop them when the connection has gone: its messages come again."""

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Send messages (topic, payload) at QoS 0, or drop them when the connection has gone."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read on."""


class Arrival(NamedTuple):
    """Messages that one read of one connection brought. `received` in microseconds since 1970 UTC."""

    source: Source
    received: int
    messages: Messages
    size: int


class Window:
    """Arrivals on their way from the sessions to the batches."""

    def __init__(self, most_messages: int = 50_000, most_bytes: int = 128 << 20) -> None:
        """Bounds of what is unacknowledged; one read (at most 256 KiB) may go over them."""
        self.messages = 0
        self.bytes = 0
        self.taken = 0  # messages since the start
        self.full_since: float | None = None  # seconds since 1970
        self.most_messages = most_messages
        self.most_bytes = most_bytes
        self._arrivals: deque[Arrival] = deque()
        self._oldest: deque[tuple[int, int]] = deque()
        self._arrived = asyncio.Event()
        self._sources: set[Source] = set()

    @property
    def full(self) -> bool:
        """Whether reading must wait."""
        return self.messages >= self.most_messages or self.bytes >= self.most_bytes

    @property
    def settled(self) -> int:
        """Messages settled since the start; they are settled in the order in which they came."""
        return self.taken - self.messages

    @property
    def oldest(self) -> int | None:
        """When the oldest unacknowledged message was received, microseconds since 1970 UTC."""
        return self._oldest[0][0] if self._oldest else None

    def join(self, source: Source) -> None:
        """From now on the window tells this source when to read."""
        self._sources.add(source)

    def leave(self, source: Source) -> None:
        """The source is gone; what it brought still counts until it is released."""
        self._sources.discard(source)

    def put(self, arrival: Arrival) -> None:
        """Take in what a source read."""
        self.messages += len(arrival.messages)
        self.taken += len(arrival.messages)
        self.bytes += arrival.size
        self._oldest.append((arrival.received, len(arrival.messages)))
        self._arrivals.append(arrival)
        self._arrived.set()
        if self.full:
            self.full_since = self.full_since or time.time()
            for source in self._sources:
                source.pause()

    async def take(self, timeout_s: float | None) -> Arrival | None:
        """The next arrival, or None when the time is over."""
        while not self._arrivals:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), timeout_s)
            except TimeoutError:
                return None
        return self._arrivals.popleft()

    def release(self, arrivals: Sequence[Arrival]) -> None:
        """These are settled, in the order in which they came."""
        was_full = self.full
        for arrival in arrivals:
            self.messages -= len(arrival.messages)
            self.bytes -= arrival.size
            self._oldest.popleft()
        if was_full and not self.full:
            self.full_since = None
            for source in self._sources:
                source.resume()
