"""The follower that makes what is due, one at a time, beside the stream; what is to know at once waits for no other."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import structlog

from analytics.beside import Beside, Here, Job, Piece
from analytics.bulletins import all_indices
from analytics.bulletins.bulletin import Every, Hearing, Index
from analytics.columns import Columns

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger("analytics.bulletins")

NUMBER, AT_ONCE = 10, 11  # apart from the other hands of an analyst
REST = timedelta(minutes=1)  # after a failure
# While it writes, nobody takes what is committed after its begin: the stream waits for it.
LONGEST = "set local statement_timeout = '20s'"
FORGET_EVERY = timedelta(hours=1)
FORGET = "delete from rollup.remade where bucket < now() - interval '60 days'"
NOTE = """
insert into ops.event (kind, severity, message, detail)
values ('index_failed', 'minor', %s, jsonb_build_object('index', %s::text))
"""


class Indices:
    """Follower `indices`. `beside`: whether further connections do the work, or the caller's in each tick."""

    name = "indices"

    def __init__(self, indices: Sequence[Index] | None = None, beside: bool = True) -> None:
        self.indices = list(indices) if indices is not None else [index() for index in all_indices()]
        self.hands: Beside | Here = Here()
        self.quick: Beside | Here = Here()  # for those that are to know at once
        self.made: dict[str, int] = {index.name: 0 for index in self.indices}
        self.failed: dict[str, int] = {index.name: 0 for index in self.indices}
        self.seconds: dict[str, float] = {index.name: 0.0 for index in self.indices}
        self._beside = beside
        self._forget()

    def _forget(self) -> None:
        self._working: dict[str, Job] = {}
        self._waiting: set[str] = set()
        self._resting: dict[str, datetime] = {}
        self._tidy = Every(FORGET_EVERY)

    def collect(self) -> "Iterator[Metric]":
        """As prometheus_client asks for it."""
        from prometheus_client.core import CounterMetricFamily

        for name, text, counts in (
            ("dothi_index_made", "Times that an index was made", self.made),
            ("dothi_index_failed", "Times that an index could not be made", self.failed),
            ("dothi_index_work_seconds", "Seconds of work, by index", self.seconds),
        ):
            family = CounterMetricFamily(name, text, labels=["index"])
            for index, count in counts.items():
                family.add_metric([index], count)
            yield family

    def reset(self, connection: psycopg.Connection) -> None:
        """Begin anew: what was under way and not committed is made again."""
        self.hands.close()
        self.quick.close()
        self.hands = Beside(connection, NUMBER) if self._beside else Here()
        self.quick = Beside(connection, AT_ONCE) if self._beside else Here()
        self._forget()

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Most go by rollups and newest values; some are to know at once."""
        for index in self.indices:
            if isinstance(index, Hearing) and index.hears == columns.family.name:
                index.hear(columns)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Give out what is due and not under way."""
        for index in self.indices:
            self._look(index, now)
        if self._tidy.passed(now):
            connection.execute(FORGET)
        self.hands.step(connection)
        self.quick.step(connection)

    def _look(self, index: Index, now: datetime) -> None:
        if index.due(now):
            self._waiting.add(index.name)
        job = self._working.get(index.name)
        resting = index.name in self._resting and now < self._resting[index.name]
        if index.name not in self._waiting or resting or (job and not job.done.is_set()):
            return
        self._waiting.discard(index.name)
        hands = self.quick if isinstance(index, Hearing) else self.hands
        self._working[index.name] = hands.give(Job(self._pieces(index, now)))

    def _pieces(self, index: Index, now: datetime) -> Iterator[Piece]:
        yield partial(self._make, index, now)

    def _make(self, index: Index, now: datetime, connection: psycopg.Connection) -> None:
        """One call. What fails in it is said, and waits for a while; a connection that is gone is everybody's."""
        began = time.monotonic()
        try:
            with connection.transaction():
                connection.execute(LONGEST)
                if index.make(connection, now):
                    self._waiting.add(index.name)
            self.made[index.name] += 1
            self._resting.pop(index.name, None)
        except Exception as error:
            if connection.closed or (isinstance(error, psycopg.errors.QueryCanceled) and "timeout" not in str(error)):
                raise  # the analyst leaves
            self._rest(connection, index, error, now)
        finally:
            self.seconds[index.name] += time.monotonic() - began

    def _rest(self, connection: psycopg.Connection, index: Index, error: Exception, now: datetime) -> None:
        said = f"{index.name}: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
        if index.name not in self._resting:
            log.error("an index cannot be made", index=index.name, error=said, kind=type(error).__name__)
            connection.execute(NOTE, (said, index.name))
        self.failed[index.name] += 1
        self._resting[index.name] = now + REST
        self._waiting.add(index.name)
