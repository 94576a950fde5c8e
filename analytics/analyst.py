"""The process that follows the stream of batches and keeps what is made from it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import psycopg
import structlog

from analytics.alarms.follower import Alarms
from analytics.bulletins.follower import Indices
from analytics.cells import MapCells
from analytics.columns import Columns
from analytics.consume import CONSUMER, Taken, peek, take
from analytics.detectors.engine import Detectors
from analytics.heard import Heard
from analytics.meters import Meters
from analytics.newest import Newest
from analytics.read_ahead import Ahead
from analytics.rollup.follower import Rollups
from analytics.states import States

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger("analytics.analyst")

ROUND_S = 1.0
MOST_ROWS = 500_000  # a round's memory: about 100 bytes a row in numpy, and as much in what the server sends
INDEX_EVERY_S = 2.0
LONGEST_BACKOFF_S = 1.0
ALONE = 0x616E616C797374  # "analyst": the advisory lock of who follows
# Our transactions hold other consumers back, so one whose process was stopped must not last. Each row is looked up in
# the few chunks by itself: choosing the chunk anew for each costs more.
SESSION = "set idle_in_transaction_session_timeout = '60s'; set timescaledb.enable_chunk_append = off"
# A network that is gone without a word is noticed after about 15 s; a server that is only slow is waited for.
NETWORK: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}


class Busy(Exception):
    """Somebody else follows already; two would each miss what the other took."""


class Follower(Protocol):
    """What is kept from the stream. On any error the memory of all followers is thrown away and built anew."""

    name: str  # a word, the label of its metrics

    def reset(self, connection: psycopg.Connection) -> None:
        """Build the memory from the database: at the start and after every failed round.

        All followers share one repeatable-read transaction in which `ops.take_batches` has been called for nothing:
        its snapshot is that of the position.
        """
        ...

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Take in new rows of one family, at least one, inside the transaction that moves the position."""
        ...

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """What time alone brings; after each round, also an empty one, in a transaction of its own."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A follower that counts more of itself than its work."""

    def collect(self) -> "Iterator[Metric]":
        """As prometheus_client asks for it."""
        ...


def followers() -> list[Follower]:
    """All that is kept from the stream, in the order in which it is given each round."""
    return [Newest(beside=2), Rollups(), MapCells(), Heard(), States(), Detectors(), Indices(), Alarms()]


class Analyst(NamedTuple):
    """What the process is told. `ready` is called once, when the first reset is done; `stop` ends it."""

    database: str
    followers: Sequence[Follower]
    meters: Meters
    stop: threading.Event
    ready: Callable[[], None] = lambda: None


def run(analyst: Analyst) -> None:
    """Follow until `stop` is set. A database that is away is waited for; whatever failed is done again."""
    backoff_s = 0.05
    analyst.meters.also = [follower.collect for follower in analyst.followers if isinstance(follower, Counting)]
    while not analyst.stop.is_set():
        try:
            with connected(analyst.database) as connection:
                reset(connection, analyst)
                backoff_s = 0.05
                answers(analyst.meters)
                analyst.ready()
                with session(analyst.database) as other, Ahead(other) as ahead:
                    follow(connection, analyst, ahead)
        except Busy:
            stand_by(analyst)
        except Exception as error:  # a fault of one follower must not end the others: all begin anew and it is said
            lost(analyst.meters, error)
            analyst.stop.wait(backoff_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A connection as the analyst, the only one that follows. Raises Busy."""
    with session(url) as connection:
        if connection.execute("select pg_try_advisory_lock(%s)", (ALONE,)).fetchone() != (True,):
            raise Busy("another analyst follows this database")
        yield connection


@contextmanager
def session(url: str) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode."""
    with psycopg.connect(
        url, autocommit=True, connect_timeout=5, application_name="dothi analyst", **NETWORK
    ) as connection:
        connection.execute(SESSION)
        connection.prepare_threshold = None  # each statement names its batches, so none comes twice
        yield connection


def reset(connection: psycopg.Connection, analyst: Analyst) -> None:
    """Build every follower's memory from what has been taken."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        take(connection, CONSUMER, 0)
        for follower in analyst.followers:
            with analyst.meters.working(follower.name):
                follower.reset(connection)


def follow(connection: psycopg.Connection, analyst: Analyst, ahead: Ahead) -> None:
    """Rounds, one a second; at once where more is waiting than one round takes."""
    indexed = 0.0
    while not analyst.stop.is_set():
        began = time.monotonic()
        taken = one_round(connection, analyst, ahead)
        for follower in analyst.followers:
            with analyst.meters.working(follower.name), connection.transaction():
                follower.tick(connection, datetime.now(UTC))
        if taken and began - indexed > INDEX_EVERY_S:
            indexed = began
            index_batches(connection, taken)
        rows = sum(batches.rows for batches in taken)
        analyst.stop.wait(0.0 if rows > MOST_ROWS // 2 else max(0.0, began + ROUND_S - time.monotonic()))


def one_round(connection: psycopg.Connection, analyst: Analyst, ahead: Ahead) -> list[Taken]:
    """Take the next batches and give their rows to every follower, all in one transaction. `ahead`: reads beside it."""
    meters = analyst.meters
    waiting = peek(connection, CONSUMER, MOST_ROWS)
    meters.waiting(waiting.age_s)
    if not waiting.most:
        return []
    rows = 0
    with connection.transaction():
        taken = take(connection, CONSUMER, waiting.most)
        for waiting_for in ahead.each(taken):
            with meters.working("read"):
                columns = waiting_for.result()
            rows += len(columns.device)
            for follower in analyst.followers if len(columns.device) else ():
                with meters.working(follower.name):
                    follower.take(connection, columns)
    meters.round(rows, sum(batches.rows for batches in taken) - rows)
    meters.waiting(peek(connection, CONSUMER, 1).age_s)
    return taken


def index_batches(connection: psycopg.Connection, taken: Sequence[Taken]) -> None:
    """Let the index on batch catch up with what has just been written; autovacuum would, but late."""
    for batches in taken:
        connection.execute("select ops.index_batches(%s)", (batches.family.name,))


def stand_by(analyst: Analyst) -> None:
    """Two stacks may share a database: one follows, the other is there for when that one ends."""
    if not analyst.meters.standing_by:
        log.info("another analyst follows this database; standing by")
    analyst.meters.standing_by = True
    analyst.meters.away(None)
    analyst.ready()
    analyst.stop.wait(LONGEST_BACKOFF_S)


def lost(meters: Meters, error: Exception) -> None:
    """Say it once."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    if said != meters.trouble_said:
        log.error("round failed, everything is read anew", error=said, kind=type(error).__name__)
    meters.away(said)


def answers(meters: Meters) -> None:
    """All is well again."""
    if meters.trouble_said:
        log.info("database answers again")
    meters.away(None)
    meters.standing_by = False
