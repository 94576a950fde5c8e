"""One transaction per batch: readings, quarantine, presence, ledger. Only after COMMIT is anything acknowledged."""

import asyncio
import copy as copying
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import structlog
from psycopg import pq

from devices.rejected import Reason, Rejected
from ingest.acknowledge import acknowledgements
from ingest.batch import Batch, Columns, Count, Ledger, Quarantined, ledger_key
from ingest.metrics import Meters
from ingest.points import reached
from ingest.quarantine import keep, quarantine
from ingest.settle import Clash, Verdicts, copy, settle, timestamp

log = structlog.get_logger("ingest.writer")

LONGEST_BACKOFF_S = 1.0
LONGEST_TRANSACTION_S = 60.0  # then the connection is cut, because a network that has died says nothing
LONGEST_CAREFUL_S = 600.0  # finding thousands of refused rows takes its time
# A table that somebody has locked is waited for in pieces, so that the trouble is seen; and a worker that was stopped
# in the middle of a transaction must not hold its rows against the others for good. Looking a key up in each of a few
# chunks costs a third of what ChunkAppend takes to choose the one chunk anew for every key (measured).
SESSION = (
    "set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '60s'; "
    "set timescaledb.enable_chunk_append = off"
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
        self._careful: set[str] = set()  # families whose last batch held duplicates or refused rows
        self._booked: Ledger = {}

    async def store(self, batch: Batch) -> None:
        """Return when the batch is committed, once."""
        backoff_s, began = 0.05, time.monotonic()
        while True:
            try:
                if not await self._already_committed():
                    began = time.monotonic()
                    await self._transaction(batch)
                break
            except Clash as clash:
                self._careful.add(clash.family)
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
        with cut_after(connection, LONGEST_CAREFUL_S if self._careful else LONGEST_TRANSACTION_S):
            async with connection.transaction():
                number = await begin(connection, self._worker)
                ledger, refused = copying.deepcopy(batch.ledger), list(batch.quarantine)
                troubled = set()
                # In one order: a new chunk locks its table until COMMIT, and two workers would wait crosswise.
                for family, columns in sorted(batch.columns.items()):
                    verdicts = await (settle if family in self._careful else copy)(connection, columns, number)
                    refused += book(columns, verdicts, ledger)
                    await write_batch(connection, columns, verdicts, number, self._worker)
                    if verdicts.unstored:
                        troubled.add(family)
                reached("after_copy")
                await write_rest(connection, batch, refused, ledger, number)
                reached("before_commit")
                self._careful, self._booked, self._unanswered = troubled, ledger, number

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


async def begin(connection: Connection, worker: int) -> int:
    """This transaction's batch number, written down as the worker's newest: it is there if and only if all is."""
    cursor = await connection.execute(
        "insert into ops.committed as c (worker, batch) values (%s, nextval('ops.batch_id')) "
        "on conflict (worker) do update set batch = excluded.batch returning batch",
        (worker,),
    )
    row = await cursor.fetchone()
    assert row is not None  # the row is inserted or updated
    return int(row[0])


def book(columns: Columns, verdicts: Verdicts, ledger: Ledger) -> list[Quarantined]:
    """Book the rows that were not stored; conflicts and refused rows become quarantine."""
    for row in verdicts.duplicates:
        ledger[ledger_key(columns.arrivals[row])].duplicate += 1
    rejected = {row: conflict(columns, row) for row in verdicts.conflicts}
    rejected |= {row: refusal(words) for row, words in verdicts.refused.items()}
    for row in rejected:
        ledger[ledger_key(columns.arrivals[row])].quarantined += 1
    return [
        Quarantined(columns.origin(row), columns.devices[row].name, columns.devices[row].profile.name, why)
        for row, why in sorted(rejected.items())
    ]


def conflict(columns: Columns, row: int) -> Rejected:
    """The same key was stored before with other values."""
    detail = (
        f"a reading of {columns.devices[row].name} with this time and seq is stored with other values; "
        "a device must give each reading its own seq"
    )
    return Rejected("writer", Reason.CONFLICT, "seq", str(columns.seq[row]), detail)


def refusal(words: str) -> Rejected:
    """The database did not take the row."""
    return Rejected("writer", Reason.REFUSED_BY_DATABASE, None, None, f"the database refused the row: {words}")


async def write_batch(connection: Connection, columns: Columns, verdicts: Verdicts, number: int, worker: int) -> None:
    """What consumers read to learn of new rows."""
    rows = len(columns) - verdicts.unstored
    if rows:
        await connection.execute(
            "insert into ops.batch (batch, family, worker, time_min, time_max, rows) values (%s, %s, %s, %s, %s, %s)",
            (number, columns.family.name, worker, timestamp(min(columns.time)), timestamp(max(columns.time)), rows),
        )


async def write_rest(
    connection: Connection, batch: Batch, refused: list[Quarantined], ledger: Ledger, number: int
) -> None:
    """All that goes with the readings of a batch; `ledger` takes in what the quota cut."""
    if batch.replayed:
        await keep(connection, refused, number)  # it was within the quota when it first came
        await mark_replayed(connection, batch.replayed)
    else:
        await quarantine(connection, refused, number, ledger)
        batch.acks = await acknowledgements(connection, batch)
    await write_presence(connection, batch.presence)
    await write_ledger(connection, ledger)


async def mark_replayed(connection: Connection, rows: list[tuple[int, int]]) -> None:
    """Rows of quarantine by id and time of receipt: they have been sent through again."""
    times = [received for _, received in rows]
    await connection.execute(
        "update ops.quarantine q set replayed = now() where q.id = any(%s) and q.received between %s and %s",
        ([number for number, _ in rows], timestamp(min(times)), timestamp(max(times))),
    )


async def write_presence(connection: Connection, presence: dict[int, tuple[bool, int]]) -> None:
    """What devices said of themselves; in order of device, so that two workers never wait for each other crosswise."""
    if presence:
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "insert into ops.presence (device, online, since) values (%s, %s, %s) on conflict (device) do update "
                "set online = excluded.online, since = excluded.since where ops.presence.online <> excluded.online",
                [(device, online, timestamp(since)) for device, (online, since) in sorted(presence.items())],
            )


async def write_ledger(connection: Connection, ledger: Ledger) -> None:
    """Add to the minutes and inboxes of this batch."""
    if not ledger:
        return
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "insert into ops.ledger as l (minute, inbox, received, stored, duplicate, quarantined, partial, cut) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (minute, inbox) do update set "
            "received = l.received + excluded.received, stored = l.stored + excluded.stored, "
            "duplicate = l.duplicate + excluded.duplicate, quarantined = l.quarantined + excluded.quarantined, "
            "partial = l.partial + excluded.partial, cut = l.cut + excluded.cut",
            [
                (timestamp(minute), inbox, c.received, c.stored, c.duplicate, c.quarantined, c.partial, c.cut)
                for (minute, inbox), c in sorted(ledger.items())
            ],
        )


def sum_up(ledger: Ledger) -> Count:
    """All lines of the ledger in one."""
    lines = ledger.values()
    return Count(
        sum(line.received for line in lines),
        sum(line.duplicate for line in lines),
        sum(line.quarantined for line in lines),
        sum(line.partial for line in lines),
        sum(line.cut for line in lines),
    )
