"""What goes with the readings of a batch: verdicts booked, the line for consumers, quarantine, presence, ledger."""

import copy
from typing import Any

import psycopg

from devices.rejected import Reason, Rejected
from ingest.acknowledge import acknowledgements
from ingest.batch import Batch, Columns, Count, Ledger, Quarantined, ledger_key
from ingest.parameters import integers, timestamp
from ingest.quarantine import keep, quarantine
from ingest.settle import Verdicts

Connection = psycopg.AsyncConnection[Any]


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


async def write_refused(
    connection: Connection, batch: Batch, refused: list[Quarantined], ledger: Ledger, number: int
) -> None:
    """Quarantine, and the progress of devices that ask; `ledger` takes in what the quota cut."""
    if batch.replayed:
        await keep(connection, refused, number)  # it was within the quota when it first came
        await mark_replayed(connection, batch.replayed)
    else:
        await quarantine(connection, refused, number, ledger)
        batch.acks = await acknowledgements(connection, batch)


async def write_rest(
    connection: Connection, batch: Batch, ledger: Ledger, rows: dict[str, int], by: tuple[int, int]
) -> None:
    """What nobody waits for an answer of. `rows`: stored, by family; `by`: number of the batch, and the worker."""
    async with connection.pipeline():
        await write_batch(connection, batch, rows, by)
        await write_presence(connection, batch.presence)
        await write_ledger(connection, ledger)


WRITE_BATCH = """
insert into ops.batch (batch, worker, family, time_min, time_max, rows)
select %s, %s, family, timestamptz 'epoch' + first * interval '1 microsecond',
    timestamptz 'epoch' + last * interval '1 microsecond', rows
from unnest(%s::text[], %s, %s, %s) as b (family, first, last, rows)
"""


async def write_batch(connection: Connection, batch: Batch, rows: dict[str, int], by: tuple[int, int]) -> None:
    """What consumers read to learn of new rows."""
    families = [family for family, count in rows.items() if count]
    if families:
        times = [batch.columns[family].time for family in families]
        await connection.execute(
            WRITE_BATCH,
            (
                *by,
                families,
                integers([some.min() for some in times]),
                integers([some.max() for some in times]),
                integers([rows[family] for family in families]),
            ),
        )


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
        devices = sorted(presence)
        await connection.execute(
            "insert into ops.presence (device, online, since) select device, online,"
            " timestamptz 'epoch' + since * interval '1 microsecond'"
            " from unnest(%s, %s::bool[], %s) as p (device, online, since) on conflict (device) do update "
            "set online = excluded.online, since = excluded.since where ops.presence.online <> excluded.online",
            (
                integers(devices),
                [presence[device][0] for device in devices],
                integers([presence[device][1] for device in devices]),
            ),
        )


WRITE_LEDGER = """
insert into ops.ledger as l (minute, inbox, received, stored, duplicate, quarantined, partial, cut)
select timestamptz 'epoch' + minute * interval '1 microsecond', inbox, received, stored, duplicate, quarantined,
    partial, cut
from unnest(%s, %s::text[], %s, %s, %s, %s, %s, %s) as b
    (minute, inbox, received, stored, duplicate, quarantined, partial, cut)
on conflict (minute, inbox) do update set
    received = l.received + excluded.received, stored = l.stored + excluded.stored,
    duplicate = l.duplicate + excluded.duplicate, quarantined = l.quarantined + excluded.quarantined,
    partial = l.partial + excluded.partial, cut = l.cut + excluded.cut
"""


async def write_ledger(connection: Connection, ledger: Ledger) -> None:
    """Add to the minutes and inboxes of this batch."""
    if ledger:
        keys = sorted(ledger)
        counts = [ledger[key] for key in keys]
        await connection.execute(
            WRITE_LEDGER,
            (
                integers([minute for minute, _ in keys]),
                [inbox for _, inbox in keys],
                integers([count.received for count in counts]),
                integers([count.stored for count in counts]),
                integers([count.duplicate for count in counts]),
                integers([count.quarantined for count in counts]),
                integers([count.partial for count in counts]),
                integers([count.cut for count in counts]),
            ),
        )


def copied(ledger: Ledger) -> Ledger:
    """The same counts, to be added to."""
    return {line: copy.copy(count) for line, count in ledger.items()}


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
