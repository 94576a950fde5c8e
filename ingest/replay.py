"""Send quarantined messages through again, after a fix: the same route, profile and writer, the time of receipt kept.

How it is booked: a replayed message moves, in its own minute and inbox, from quarantined to what its readings became;
if it now holds several readings, they are added to received. What is refused again stays in quarantine. The marks and
the readings are one transaction, and the readings have the keys they would have had: a replay that is broken off, or
done twice, stores nothing twice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from ingest.batch import Batch, Limits, ledger_key
from ingest.metrics import Meters
from ingest.mqtt import Messages, Publish
from ingest.parameters import timestamp
from ingest.route import Outcome, Router
from ingest.window import Arrival
from ingest.writer import Connect, Connection, Writer

WORKER = -1
"""What replays are called in ops.batch."""
AT_ONCE = 1_000
LOCK = 0x7265706C6179  # "replay": one at a time, or two would book the same message


class Wanted(NamedTuple):
    """Which messages; None: all. Times in microseconds since 1970 UTC, of receipt, `until` itself not included.

    `devices`: ids, or what devices that nobody enrolled call themselves.
    """

    reason: str | None = None
    profile: str | None = None
    devices: list[str] | None = None
    since: int | None = None
    until: int | None = None


class Kept(NamedTuple):
    """A row of quarantine."""

    id: int
    received: int
    inbox: str
    topic: bytes
    payload: bytes
    size: int


class Replayed(msgspec.Struct):
    """What became of the messages: `replayed` went through, `refused` are refused as before (by reason), `incomplete`
    were longer than what is kept of a payload. Readings of those that went through: the last four."""

    messages: int = 0
    replayed: int = 0
    refused: int = 0
    incomplete: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = msgspec.field(default_factory=dict)

    def counts(self) -> list[tuple[str, int]]:
        """What to show, in order; the reasons of those refused at the end."""
        named = [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "reasons"]
        return named + [(f"refused: {reason}", count) for reason, count in sorted(self.reasons.items())]


class Busy(Exception):
    """Another replay runs on this database."""


class Archive:
    """Stands where a connection to the broker would: nothing is acknowledged."""

    def __init__(self, inbox: str) -> None:
        self.inbox = inbox

    def acknowledge(self, pids: Sequence[int]) -> None:
        """Nobody waits."""

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Nobody listens."""

    def pause(self) -> None:
        """Nothing is read."""

    def resume(self) -> None:
        """Nothing is read."""


async def replay(connect: Connect, router: Router, limits: Limits, wanted: Wanted, dry_run: bool = False) -> Replayed:
    """Send the wanted messages through. `dry_run`: read them only. Raises Busy."""
    tally, meters = Replayed(), Meters()
    writer = Writer(connect, WORKER, meters)
    async with await connect() as connection:
        cursor = await connection.execute("select pg_try_advisory_lock(%s)", (LOCK,))
        if await cursor.fetchone() != (True,):
            raise Busy
        await router.refresh(connection)
        after = (0, 0)
        while rows := await kept_rows(connection, wanted, after):
            after = (rows[-1].received, rows[-1].id)
            batch = batch_of(rows, router, limits, tally)
            if batch.replayed and not dry_run:
                await writer.store(batch)
    await writer.close()
    if not dry_run:
        tally.stored, tally.duplicate = meters.stored, meters.duplicate
        tally.quarantined = meters.quarantined + tally.replayed  # each was booked as one quarantined less
    return tally


async def kept_rows(connection: Connection, wanted: Wanted, after: tuple[int, int]) -> list[Kept]:
    """The next rows in order of receipt, after (received, id)."""
    since, until = (None if edge is None else timestamp(edge) for edge in (wanted.since, wanted.until))
    cursor = await connection.execute(
        NEXT_ROWS,
        wanted._asdict() | {"since": since, "until": until, "at": timestamp(after[0]), "id": after[1], "most": AT_ONCE},
    )
    return [Kept(*row) for row in await cursor.fetchall()]


# A conflict stays one unless somebody removed the stored reading, and then they ask for it by name.
NEXT_ROWS = """
select q.id, (extract(epoch from q.received) * 1000000)::int8, q.inbox, convert_to(q.topic, 'UTF8'), q.payload, q.size
from ops.quarantine q
where q.replayed is null and (q.received, q.id) > (%(at)s, %(id)s)
  and coalesce(q.reason = %(reason)s::text, q.reason <> 'conflict')
  and (%(profile)s::text is null or q.profile = %(profile)s)
  and (%(devices)s::text[] is null or q.device = any(%(devices)s))
  and (%(since)s::timestamptz is null or q.received >= %(since)s)
  and (%(until)s::timestamptz is null or q.received < %(until)s)
order by q.received, q.id limit %(most)s
"""


def batch_of(rows: list[Kept], router: Router, limits: Limits, tally: Replayed) -> Batch:
    """A batch of those that become readings now."""
    batch = Batch(limits)
    for row in rows:
        tally.messages += 1
        if row.size > len(row.payload):
            tally.incomplete += 1
            continue
        outcomes = router.read(row.inbox, row.topic, row.payload)
        trial = through(row, outcomes, Batch(limits))
        if trial.quarantine and len(trial.quarantine) == sum(count.received for count in trial.ledger.values()):
            tally.refused += 1
            reason = trial.quarantine[0].rejected.reason.value
            tally.reasons[reason] = tally.reasons.get(reason, 0) + 1
            continue
        tally.replayed += 1
        through(row, outcomes, batch)
        batch.replayed.append((row.id, row.received))
        booked = batch.ledger[ledger_key(batch.arrivals[-1])]
        booked.received -= 1  # it is in the ledger already, as one received and quarantined
        booked.quarantined -= 1
    return batch


def through(row: Kept, outcomes: list[Outcome], batch: Batch) -> Batch:
    """Take what a message became into the batch. One that turns out to carry no reading leaves the ledger."""
    arrival = Arrival(
        Archive(row.inbox), row.received, Messages.of([Publish(row.topic, row.payload, 0, False)]), row.size
    )
    count = batch.arrived(arrival)
    for outcome in outcomes:
        batch.add(outcome, arrival, row.topic, count)
    return batch
