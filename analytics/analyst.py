"""The process that follows the stream of batches and keeps what is made from it.

It has two strands, each with a place of its own in the stream: what rings (detectors, indices, alarms) and what boards
show (newest values, rollups, counts). So an alarm waits for nothing that is not on its way, and each strand is exact by
itself: what a round took and what it wrote are one transaction.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import psycopg
import structlog

from analytics.alarms.days import AlarmDays
from analytics.alarms.follower import Alarms
from analytics.bulletins.follower import Indices
from analytics.cells import MapCells
from analytics.columns import Columns
from analytics.consume import BOARDS, CONSUMER, Taken, peek, take
from analytics.detectors.engine import Detectors
from analytics.heard import Heard
from analytics.meters import Meters
from analytics.newest import Newest
from analytics.precedence import SHOWN, step_back_with
from analytics.read_ahead import Ahead
from analytics.rollup.follower import Rollups
from analytics.states import States
from analytics.strand import Strand

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = structlog.get_logger("analytics.analyst")

ROUND_S = 1.0
SOON_S = 0.5  # of what rings
BUSY = 2 / 3  # of a core at most, unless more waits than a round takes: each has its price whatever it takes
# A round takes what it can work off within so many seconds, by the pace of the last one: where much waits, as after a
# restart, what comes of the first batches need not wait for the last.
LONGEST_S, LONGEST_SOON_S = 5.0, 1.0
LEAST_ROWS = 50_000  # what a round costs beside its rows makes small ones dear
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
class Settling(Protocol):
    """A follower that works beside the stream on what it was given."""

    def settle(self, connection: psycopg.Connection) -> None:
        """Wait until all of a round is done, before the position is committed. Raises what failed."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A follower that counts more of itself than its work."""

    def collect(self) -> "Iterator[Metric]":
        """As prometheus_client asks for it."""
        ...


def ringing() -> list[Follower]:
    """What alarms come from, in the order in which it is given each round."""
    detectors = Detectors()
    return [Indices(), detectors, Alarms(heard=detectors.heard)]


def shown(consumer: str = BOARDS) -> list[Follower]:
    """What boards ask for. `consumer`: the name under which batches are taken."""
    return [
        Newest(beside=2, consumer=consumer),
        Rollups(consumer),
        MapCells(),
        Heard(beside=True),
        States(),
        AlarmDays(),
    ]


class Analyst(NamedTuple):
    """What the process is told. `ready` is called when the first reset is done; `stop` ends it. `shown`: followers of
    the second strand, if any; `consumer`: whose place in the stream the first has; `round_s`: between the begins of its
    rounds; `longest_s`: that one is to take at most."""

    database: str
    followers: Sequence[Follower]
    meters: Meters
    stop: threading.Event
    ready: Callable[[], None] = lambda: None
    shown: Sequence[Follower] = ()
    consumer: str = CONSUMER
    round_s: float = ROUND_S
    longest_s: float = LONGEST_S


def run(analyst: Analyst) -> None:
    """Follow until `stop` is set. A database that is away is waited for; whatever failed is done again."""
    backoff_s = 0.05
    everybody = [*analyst.followers, *analyst.shown]
    analyst.meters.also = [follower.collect for follower in everybody if isinstance(follower, Counting)]
    while not analyst.stop.is_set():
        try:
            with connected(analyst.database) as connection, second(analyst) as strand:
                reset(connection, analyst)
                strand.wait(analyst.stop)
                backoff_s = 0.05
                answers(analyst.meters)
                analyst.ready()
                with session(analyst.database) as other, Ahead(other) as ahead:
                    follow(connection, analyst, ahead, strand.check)
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


def second(analyst: Analyst) -> Strand:
    """The strand of what is shown; of nothing it is over at once."""

    def work(stop: threading.Event, ready: Callable[[], None], told: Callable[[psycopg.Connection], None]) -> None:
        own = analyst._replace(followers=analyst.shown, shown=(), consumer=BOARDS, stop=stop)
        own = own._replace(round_s=ROUND_S, longest_s=LONGEST_S)
        with session(own.database, SHOWN) as connection, session(own.database, SHOWN) as other:
            told(connection)
            connection.execute("select pg_advisory_lock(%s)", (ALONE + 1,))  # that of a predecessor ends first
            reset(connection, own)
            ready()
            with Ahead(other) as ahead:
                follow(connection, own, ahead)

    return Strand(work if analyst.shown else lambda _stop, ready, _told: ready())


@contextmanager
def session(url: str, back: int = 0) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode; `back`: how far its server process steps back."""
    with psycopg.connect(
        url, autocommit=True, connect_timeout=5, application_name="dothi analyst", **NETWORK
    ) as connection:
        if back:
            step_back_with(connection, back)
        connection.execute(SESSION)
        connection.prepare_threshold = None  # each statement names its batches, so none comes twice
        yield connection


def reset(connection: psycopg.Connection, analyst: Analyst) -> None:
    """Build every follower's memory from what has been taken."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        take(connection, analyst.consumer, 0)
        for follower in analyst.followers:
            with analyst.meters.working(follower.name):
                follower.reset(connection)


def follow(
    connection: psycopg.Connection, analyst: Analyst, ahead: Ahead, check: Callable[[], None] = lambda: None
) -> None:
    """Rounds, at their pace; at once where more is waiting than one round takes. `check` raises what ends them."""
    working, indexed, most_rows = analyst.meters.working, 0.0, LEAST_ROWS
    while not analyst.stop.is_set():
        began, spent_s = time.monotonic(), time.thread_time()
        check()
        with working(f"{analyst.consumer}: round"):
            taken = one_round(connection, analyst, ahead, most_rows)
            for follower in analyst.followers:
                with working(f"{follower.name}: tick"), connection.transaction():
                    follower.tick(connection, datetime.now(UTC))
            if taken and analyst.consumer == CONSUMER and began - indexed > INDEX_EVERY_S:  # once for both strands
                indexed = began
                with working(f"{analyst.consumer}: index"):
                    index_batches(connection, taken)
        rows, took_s = sum(batches.rows for batches in taken), time.monotonic() - began
        full = rows >= most_rows
        most_rows = bound(most_rows, rows, took_s, analyst.longest_s)
        least_s = max(analyst.round_s, (time.thread_time() - spent_s) / BUSY)
        analyst.stop.wait(0.0 if full else max(0.0, least_s - took_s))


def bound(most_rows: int, rows: int, took_s: float, longest_s: float) -> int:
    """How many rows the next round may take: as many as this one would have taken within `longest_s`, at most twice as
    many as it might; a small one, which tells of other costs, changes nothing.

    >>> bound(100_000, 100_000, 1.0, 0.5), bound(100_000, 100_000, 0.1, 0.5), bound(100_000, 500, 0.1, 0.5)
    (50000, 200000, 100000)
    """
    if rows < most_rows // 2:
        return most_rows
    return int(min(max(rows * longest_s / took_s, LEAST_ROWS), 2 * most_rows, MOST_ROWS))


def one_round(
    connection: psycopg.Connection, analyst: Analyst, ahead: Ahead, most_rows: int = MOST_ROWS
) -> list[Taken]:
    """Take the next batches, about so many rows, and give them to every follower, all in one transaction. `ahead`:
    reads beside it."""
    meters, consumer = analyst.meters, analyst.consumer
    with meters.working(f"{consumer}: peek"):
        waiting = peek(connection, consumer, most_rows)
    meters.waiting(consumer, waiting.age_s)
    if not waiting.most:
        return []
    rows = 0
    with connection.transaction():
        with meters.working(f"{consumer}: take"):
            taken = take(connection, consumer, waiting.most)
        for waiting_for in ahead.each(taken):
            with meters.working(f"{consumer}: read"):
                columns = waiting_for.result()
            rows += len(columns.device)
            for follower in analyst.followers if len(columns.device) else ():
                with meters.working(follower.name):
                    follower.take(connection, columns)
        for follower in analyst.followers:
            if isinstance(follower, Settling):
                with meters.working(f"{follower.name}: settle"):
                    follower.settle(connection)
        done = time.monotonic()
    meters.took(f"{consumer}: commit", time.monotonic() - done)
    if consumer == CONSUMER:  # each reading is counted once
        meters.round(rows, sum(batches.rows for batches in taken) - rows)
    meters.waiting(consumer, peek(connection, consumer, 1).age_s)
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
