"""One transaction per batch: readings, quarantine, presence, ledger. Only after COMMIT is anything acknowledged."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import psycopg
import structlog
from psycopg import pq

from ingest.batch import Batch, Ledger
from ingest.books import book, copied, sum_up, write_refused, write_rest
from ingest.copies import Copy
from ingest.metrics import Meters
from ingest.pack import Prepared
from ingest.points import reached
from ingest.recent import Recent
from ingest.settle import Clash, Verdicts, copy_families, copy_statement, judge, settle
from ingest.sight import Sight

log = structlog.get_logger("ingest.writer")

LONGEST_BACKOFF_S = 1.0
LONGEST_TRANSACTION_S = 60.0  # then the connection is cut, because a network that has died says nothing
LONGEST_CAREFUL_S = 600.0  # finding thousands of refused rows takes its time
# A table that somebody has locked is waited for in pieces, so that the trouble is seen; and a worker that was stopped
# in the middle of a transaction must not hold its rows against the others for good. Looking a key up in each of a few
# chunks costs a third of what ChunkAppend takes to choose the one chunk anew for every key (measured). All that is
# asked here is asked by key: a plan made while a table was empty must not read it whole when it has millions of lines.
SESSION = (
    "set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '60s'; "
    "set timescaledb.enable_chunk_append = off; "
    "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off"
)

Connection = psycopg.AsyncConnection[Any]
Connect = Callable[[], Awaitable[Connection]]


class Writer:
    """Stores batches, one at a time. A database that is away is waited for; a batch is never given up."""

    def __init__(self, connect: Connect, worker: int, meters: Meters | None = None) -> None:
        """`connect` opens a connection as dothi_writer; `worker` names this process in the database."""
        self.trouble: str | None = None
        self._connect = connect
        self._worker = worker
        self._meters = meters
        self._connection: Connection | None = None
        self._unanswered: int | None = None  # the batch whose COMMIT was sent and not answered
        self._careful: set[str] = set()  # families whose last batch held refused rows, or duplicates nobody foresaw
        self._recent = Recent()
        self._booked: Ledger = {}

    async def store(self, batch: Batch) -> None:
        """Return when the batch is committed, once."""
        backoff_s, began, clashes = 0.05, time.monotonic(), 0
        while True:
            try:
                if not await self._already_committed():
                    began = time.monotonic()
                    await self._transaction(batch)
                break
            except Clash as clash:
                # One clash is an accident; two in one batch mean that others will follow, as after a restart.
                clashes += 1
                self._careful |= {clash.family} if clashes == 1 else batch.columns.keys()
            except psycopg.Error as error:
                await self._lost(error, backoff_s)
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
        self._unanswered = None
        self._count(time.monotonic() - began)
        if self.trouble:
            log.info("database answers again")
            self.trouble = None

    async def close(self) -> None:
        """Leave the database."""
        if self._connection:
            await self._connection.close()

    async def _already_committed(self) -> bool:
        """Whether an attempt whose COMMIT got no answer was carried out after all. The row is locked for the question,
        so that a server process which is still ending that transaction is waited for."""
        if self._unanswered is None:
            return False
        connection = await self._connected()
        cursor = await connection.execute(
            "insert into ops.committed as c (worker, batch) values (%s, 0) "
            "on conflict (worker) do update set batch = c.batch returning batch",
            (self._worker,),
        )
        return await cursor.fetchone() == (self._unanswered,)

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
            await self._connection.execute(SESSION)
        return self._connection

    async def _lost(self, error: psycopg.Error, backoff_s: float) -> None:
        """Say it once, drop a connection that is of no use any more, wait."""
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        if said != self.trouble:
            log.error("batch not stored, trying again", error=said)
        self.trouble = said
        if self._connection and self._connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            await self._connection.close()
        await asyncio.sleep(backoff_s)

    async def _transaction(self, batch: Batch) -> None:
        connection = await self._connected()
        self._unanswered = None
        sights = {family: Sight(columns, self._recent) for family, columns in sorted(batch.columns.items())}
        with cut_after(connection, LONGEST_CAREFUL_S if self._careful else LONGEST_TRANSACTION_S):
            async with connection.transaction():
                number = await begin(connection, self._worker, [s for f, s in sights.items() if f not in self._careful])
                ledger, refused = copied(batch.ledger), list(batch.quarantine)
                stored = await store_readings(connection, sights, self._careful, number)
                for family, verdicts in stored.items():
                    refused += book(batch.columns[family], verdicts, ledger)
                reached("after_copy")
                await write_refused(connection, batch, refused, ledger, number)
                rows = {family: len(batch.columns[family]) - one.unstored for family, one in stored.items()}
                await write_rest(connection, batch, ledger, rows, (number, self._worker))
                reached("before_commit")
                careful = {family for family, verdicts in stored.items() if not sights[family].foreseen(verdicts)}
                self._careful, self._booked, self._unanswered = careful, ledger, number
        for sight in sights.values():
            self._recent.keep(sight.marks)

    def _count(self, commit_s: float) -> None:
        if self._meters:
            total = sum_up(self._booked)
            self._meters.batch(total.stored, total.duplicate, total.quarantined, total.partial, commit_s)


@contextmanager
def cut_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Shut the connection's socket when the block takes longer: what waits on it fails then, as on any loss."""

    def cut() -> None:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as shared:
            shared.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(seconds, cut)
    try:
        yield
    finally:
        timer.cancel()


async def begin(connection: Connection, worker: int, sights: list[Sight]) -> int:
    """This transaction's batch number, written down as the worker's newest: it is there if and only if all is. Also
    looks up, on the same way, what may be stored already."""
    async with connection.pipeline():
        cursor = await connection.execute(
            "insert into ops.committed as c (worker, batch) values (%s, nextval('ops.batch_id')) "
            "on conflict (worker) do update set batch = excluded.batch returning batch",
            (worker,),
        )
        asked = [(sight, found) for sight in sights if (found := await sight.ask(connection))]
    row = await cursor.fetchone()
    assert row is not None  # the row is inserted or updated
    for sight, found in asked:
        sight.hear(await found.fetchall())
    return int(row[0])


async def store_readings(
    connection: Connection, sights: dict[str, Sight], careful: set[str], number: int
) -> dict[str, Verdicts]:
    """All families in one order: a new chunk locks its table until COMMIT, and two workers would wait crosswise."""
    stored: dict[str, Verdicts] = {}
    for closely, families in groupby(sights, careful.__contains__):
        if closely:
            for family in families:
                stored[family] = await settle(connection, sights[family].columns, number)
        else:
            stored |= await store_plainly(connection, {family: sights[family] for family in families}, number)
    return stored


async def store_plainly(connection: Connection, sights: dict[str, Sight], number: int) -> dict[str, Verdicts]:
    """Families whose rows are taken for new, but for those that were found."""
    copies = {family: copy for family, sight in sights.items() if (copy := copy_of(sight, number))}
    await copy_families(connection, copies)
    stored = {}
    for family, sight in sights.items():
        verdicts, unsure = sight.judge()
        duplicates, conflicts = await judge(connection, sight.columns, number, unsure)
        stored[family] = Verdicts(verdicts.duplicates + duplicates, verdicts.conflicts + conflicts, {})
    return stored


def copy_of(sight: Sight, number: int) -> Copy | None:
    """The COPY of the rows that are free; None: no row is."""
    free = sight.free
    if free is not None and not len(free):
        return None
    prepared = Prepared(sight.columns, number)
    return Copy(copy_statement(sight.columns.family, prepared.names), prepared.pieces(free))
