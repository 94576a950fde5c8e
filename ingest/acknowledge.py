"""The application acknowledgement: a device that asks is told up to which number everything is settled.

`{"seq": n, "boot": b, "first": f}` on `dothi/v1/{area}/{device}/ack`: every reading from `f` up to `n` of this boot is
settled, that is stored, duplicate or quarantined, and committed. `first` is the lowest number ever seen: a device keeps
what lies below it. `"missing": [from, to]` names the first gap. Progress is written in the transaction of the batch.
A message that cannot be read as far as its number is quarantined, but settles none.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import psycopg

from devices.profile import PROFILES
from ingest.batch import Ack, Batch
from ingest.columns import NO_BOOT, Columns, Sender
from ingest.parameters import integers

MAX_SEQ = 2**63 - 2  # a range's end must fit too
MOST_RANGES = 64
"""Gaps that are remembered per device and boot, less one; numbers beyond are settled when they are sent again."""

Connection = psycopg.AsyncConnection[Any]


@cache
def asking_families() -> frozenset[str]:
    """Families with a profile whose devices ask; not at import, for reading all profiles takes a third of a second."""
    return frozenset(profile.family.name for profile in PROFILES.values() if profile.acknowledge)


class Settled(NamedTuple):
    """Numbers that a batch settles, side by side; and the way back to each device."""

    device: list[int]
    boot: list[int]
    seq: list[int]
    senders: dict[int, Sender]


async def acknowledgements(connection: Connection, batch: Batch) -> list[Ack]:
    """Write down what the batch settles, for the devices that ask; returns what to tell them after COMMIT."""
    settled = Settled([], [], [], {})
    for name in sorted(asking_families() & batch.columns.keys()):
        settled_rows(settled, batch.columns[name])
    settled_refusals(settled, batch)
    return [acknowledgement(settled, one) for one in await write_progress(connection, settled)] if settled.seq else []


def settled_rows(settled: Settled, columns: Columns) -> None:
    """Add what is stored, found again, or refused later than by its reader."""
    table = columns.table
    rows = np.flatnonzero(columns.asks() & (table.seq >= 0) & (table.seq <= MAX_SEQ))
    devices = table.device[rows].tolist()
    settled.device.extend(devices)
    settled.boot.extend(table.boot[rows].tolist())
    settled.seq.extend(table.seq[rows].tolist())
    newest = dict(zip(devices, rows.tolist(), strict=True))
    senders = columns.senders(np.array(list(newest.values()), dtype=np.int64))
    settled.senders.update(zip(newest, senders, strict=True))


def settled_refusals(settled: Settled, batch: Batch) -> None:
    """Add what its reader refused, as far as the number can be read all the same."""
    for device, arrival, payload in batch.asked:
        document = device.profile.decode(payload)
        if isinstance(document, dict):
            seq, boot = document.get("seq"), document.get("boot", NO_BOOT)
            if type(seq) is int and 0 <= seq <= MAX_SEQ and type(boot) is int and NO_BOOT <= boot <= MAX_SEQ:
                settled.device.append(device.id)
                settled.boot.append(boot)
                settled.seq.append(seq)
                topic = b"dothi/v1/%s/%s/up" % (device.area, device.name.encode())
                settled.senders[device.id] = Sender(arrival.source, topic)


class Progress(NamedTuple):
    """Where a device stands in one boot: the lowest number seen, the first that is not settled above it, and, when
    there are gaps, the first settled beyond the first gap; `ranges` without a gap."""

    device: int
    boot: int
    lowest: int
    beyond: int
    resumes: int | None
    ranges: int


# Most have no gap, and looking for one costs more than all else (measured).
WRITE_PROGRESS = """
with written as (
    insert into ops.settled as s (device, boot, seqs)
    select device::int4, boot, range_agg(int8range(seq, seq, '[]'))
    from unnest(%s, %s, %s) as n (device, boot, seq) group by 1, 2 order by 1, 2
    on conflict (device, boot) do update set seqs = s.seqs + excluded.seqs, at = now()
    returning device, boot, seqs
)
select device, boot, lower(seqs), coalesce(gap[1], upper(seqs)), gap[2], coalesce(gap[3], 1)
from (select *, case when seqs <> int8multirange(range_merge(seqs)) then (
    select array[(array_agg(upper(r) order by r))[1], (array_agg(lower(r) order by r))[2], count(*)]
    from unnest(seqs) r
) end as gap from written) w
"""
FORGET_HIGHEST = """
update ops.settled s
set seqs = (select range_agg(low.r) from (select r from unnest(s.seqs) r order by r limit %s) low)
where device = %s and boot = %s
"""


async def write_progress(connection: Connection, settled: Settled) -> list[Progress]:
    """Add to what was settled before; returns where each device stands. In order of device, so that two workers never
    wait for each other crosswise."""
    cursor = await connection.execute(
        WRITE_PROGRESS,
        (integers(settled.device), integers(settled.boot), integers(settled.seq)),
    )
    progress = [Progress(*row) for row in await cursor.fetchall()]
    for one in progress:
        if one.ranges > MOST_RANGES:
            await connection.execute(FORGET_HIGHEST, (MOST_RANGES, one.device, one.boot))
    return progress


def acknowledgement(settled: Settled, progress: Progress) -> Ack:
    """What one device is told, and where it listens."""
    source, topic = settled.senders[progress.device]
    return Ack(source, topic.removesuffix(b"up") + b"ack", message(progress))


def message(progress: Progress) -> bytes:
    """The acknowledgement of one device and boot."""
    missing = b"" if progress.resumes is None else b',"missing":[%d,%d]' % (progress.beyond, progress.resumes - 1)
    boot = b"" if progress.boot == NO_BOOT else b',"boot":%d' % progress.boot
    return b'{"seq":%d,"first":%d%s%s}' % (progress.beyond - 1, progress.lowest, missing, boot)
