"""One transaction per batch: readings, quarantine, presence, ledger. Only after COMMIT is anything acknowledged."""

import asyncio
import copy as copying
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import psycopg
import structlog
from psycopg import pq

from devices.rejected import Reason, Rejected
from ingest.batch import Batch, Columns, Ledger, Quarantined, ledger_key
from ingest.settle import Verdicts, copy, stage_and_settle, timestamp

log = structlog.get_logger("ingest.writer")

KEPT_PAYLOAD = 65_536
LONGEST_BACKOFF_S = 5.0

Connection = psycopg.AsyncConnection[Any]
Connect = Callable[[], Awaitable[Connection]]


class Writer:
    """Stores batches, one at a time. A database that is away is waited for; a batch is never given up."""

    def __init__(self, connect: Connect, worker: int) -> None:
        """`connect` opens a connection as dothi_writer; `worker` names this process in ops.batch."""
        self.trouble: str | None = None
        self._connect = connect
        self._worker = worker
        self._connection: Connection | None = None
        self._xid: str | None = None

    async def store(self, batch: Batch) -> None:
        """Return when the batch is committed, once."""
        taken = False
        backoff_s = 0.05
        while True:
            try:
                if await self._already_committed():
                    break
                await self._transaction(batch, stage_and_settle if taken else copy)
                break
            except psycopg.errors.UniqueViolation:
                taken = True
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                await self._lost(error, backoff_s)
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
        self._xid = None
        if self.trouble:
            log.info("database answers again")
            self.trouble = None

    async def _already_committed(self) -> bool:
        """Whether an attempt whose COMMIT got no answer had been carried out after all."""
        if self._xid is None:
            return False
        connection = await self._connected()
        while True:
            cursor = await connection.execute("select pg_xact_status(%s::xid8)", (self._xid,))
            row = await cursor.fetchone()
            if row != ("in progress",):
                return row == ("committed",)
            await asyncio.sleep(0.05)  # the old server process is still ending that transaction

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
        return self._connection

    async def _lost(self, error: Exception, backoff_s: float) -> None:
        """Say it once, drop the connection, wait."""
        said = str(error).strip() or type(error).__name__
        if said != self.trouble:
            log.error("batch not stored, trying again", error=said)
        self.trouble = said
        if self._connection and self._connection.pgconn.status != pq.ConnStatus.OK:
            await self._connection.close()
        await asyncio.sleep(backoff_s)

    async def _transaction(
        self, batch: Batch, store: Callable[[Connection, Columns, int], Awaitable[Verdicts]]
    ) -> None:
        connection = await self._connected()
        self._xid = None
        async with connection.transaction():
            number, xid = await begin(connection)
            ledger, quarantine = copying.deepcopy(batch.ledger), list(batch.quarantine)
            for columns in batch.columns.values():
                verdicts = await store(connection, columns, number)
                quarantine += count_verdicts(columns, verdicts, ledger)
                await write_batch(connection, columns, verdicts, number, self._worker)
            await write_quarantine(connection, quarantine, number)
            await write_presence(connection, batch.presence)
            await write_ledger(connection, ledger)
            self._xid = xid


async def begin(connection: Connection) -> tuple[int, str]:
    """This transaction's batch number, and the id under which the database can say later how it ended."""
    cursor = await connection.execute("select nextval('ops.batch_id'), pg_current_xact_id()::text")
    row = await cursor.fetchone()
    assert row is not None  # a select of functions always gives a row
    number, xid = row
    return number, xid


def count_verdicts(columns: Columns, verdicts: Verdicts, ledger: Ledger) -> list[Quarantined]:
    """Book the rows that were not stored; conflicts become quarantine."""
    for row in verdicts.duplicates:
        ledger[ledger_key(columns.arrivals[row])].duplicate += 1
    for row in verdicts.conflicts:
        ledger[ledger_key(columns.arrivals[row])].quarantined += 1
    return [
        Quarantined(
            columns.origin(row), columns.devices[row].name, columns.devices[row].profile.name, conflict(columns, row)
        )
        for row in verdicts.conflicts
    ]


def conflict(columns: Columns, row: int) -> Rejected:
    """The same key was stored before with other values."""
    detail = (
        f"a reading of {columns.devices[row].name} with this time and seq is stored with other values; "
        "a device must give each reading its own seq"
    )
    return Rejected("writer", Reason.CONFLICT, "seq", str(columns.seq[row]), detail)


async def write_batch(connection: Connection, columns: Columns, verdicts: Verdicts, number: int, worker: int) -> None:
    """What consumers read to learn of new rows."""
    rows = len(columns) - len(verdicts.duplicates) - len(verdicts.conflicts)
    if rows:
        await connection.execute(
            "insert into ops.batch (batch, family, worker, time_min, time_max, rows) values (%s, %s, %s, %s, %s, %s)",
            (number, columns.family.name, worker, timestamp(min(columns.time)), timestamp(max(columns.time)), rows),
        )


async def write_quarantine(connection: Connection, quarantine: list[Quarantined], number: int) -> None:
    """Keep what could not be stored, with the reason."""
    if not quarantine:
        return
    statement = (
        "copy ops.quarantine (received, batch, inbox, topic, payload, sha256, size, device, profile, "
        "layer, reason, field, value, detail) from stdin (format binary)"
    )
    async with connection.cursor() as cursor, cursor.copy(statement) as stdin:
        stdin.set_types(
            ["timestamptz", "int8", "text", "text", "bytea", "bytea", "int4"] + ["text"] * 7,
        )
        for entry in quarantine:
            await stdin.write_row(quarantine_row(entry, number))


def quarantine_row(entry: Quarantined, number: int) -> tuple[object, ...]:
    """One row of ops.quarantine; text fields without what PostgreSQL cannot hold."""
    origin, device, profile, rejected = entry
    payload = origin.payload
    return (
        timestamp(origin.arrival.received),
        number,
        origin.arrival.source.inbox,
        printable(origin.topic.decode(errors="backslashreplace")),
        payload[:KEPT_PAYLOAD],
        sha256(payload).digest(),
        len(payload),
        printable(device),
        profile,
        rejected.layer,
        rejected.reason.value,
        printable(rejected.field),
        printable(rejected.value),
        printable(rejected.detail),
    )


def printable(text: str | None) -> str | None:
    """Without NUL and lone surrogates, which are not text to PostgreSQL."""
    if text is None:
        return None
    return text.replace("\0", "␀").encode(errors="replace").decode()


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
            "insert into ops.ledger as l (minute, inbox, received, stored, duplicate, quarantined, partial) "
            "values (%s, %s, %s, %s, %s, %s, %s) on conflict (minute, inbox) do update set "
            "received = l.received + excluded.received, stored = l.stored + excluded.stored, "
            "duplicate = l.duplicate + excluded.duplicate, quarantined = l.quarantined + excluded.quarantined, "
            "partial = l.partial + excluded.partial",
            [
                (timestamp(minute), inbox, c.received, c.stored, c.duplicate, c.quarantined, c.partial)
                for (minute, inbox), c in sorted(ledger.items())
            ],
        )
