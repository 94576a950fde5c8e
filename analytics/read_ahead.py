"""Readings of the next family while followers work on those of this one: on a connection of its own, by a thread.

Batches that were taken are committed, so any session sees the same rows. The server reads and sends while the followers
reckon; they wait for what is not there yet. One family is read ahead, no more, for the memory's sake.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg

from analytics.columns import Columns
from analytics.consume import Sent, Taken, read


class Ahead:
    """`connection`: for this alone, in autocommit mode; whoever opened it closes it."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._sent = Sent()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_failed: object) -> None:
        self.close()

    def each(self, taken: Sequence[Taken]) -> Iterator["Future[Columns]"]:
        """The rows of what was taken, in its order, each read while the one before is worked on."""
        waiting: deque[Future[Columns]] = deque()
        for batches in taken:
            waiting.append(self._thread.submit(read, self._connection, batches, sent=self._sent))
            if len(waiting) > 1:
                yield waiting.popleft()
        yield from waiting

    def close(self) -> None:
        """Wait for what is under way."""
        self._thread.shutdown(cancel_futures=True)
