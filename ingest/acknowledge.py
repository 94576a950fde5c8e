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
from numpy.typing import NDArray

from devices.profile import PROFILES
from ingest.batch import Ack, Batch
from ingest.columns import NO_BOOT, Columns, Sender
from ingest.parameters import integers

MAX_SEQ = 2**63 - 2  # a range's end must fit too
MOST_RANGES = 64
"""Gaps that are remembered per device and boot, less one; numbers beyond are settled when they are sent again."""

Connection = psycopg.AsyncConnection[Any]
Ints = NDArray[np.int64]


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


class Runs(NamedTuple):
    """Numbers from `low` to `high` of one boot of a device, side by side."""

    device: Ints
    boot: Ints
    low: Ints
    high: Ints

    @property
    def simple(self) -> NDArray[np.bool_]:
        """Which are the only ones of their device and boot, in sorted runs."""
        again = (self.device[1:] == self.device[:-1]) & (self.boot[1:] == self.boot[:-1])
        simple: NDArray[np.bool_] = ~(np.append(again, False) | np.append(False, again))
        return simple

    def only(self, chosen: NDArray[np.bool_]) -> "Runs":
        """Some of them."""
        return Runs(*(column[chosen] for column in self))


class Progress(NamedTuple):
    """Where a device stands in one boot: the lowest number seen and the one behind the highest; `gap`, when there are
    any: the first number that is not settled, the first settled beyond it, and how many ranges there are."""

    device: int
    boot: int
    lowest: int
    upper: int
    gap: tuple[int, int, int] | None


# Gaps are looked for only where there are any: that costs more than all else (measured).
# Of devices that have a line and numbers without a gap, which are all but a few: less CPU and a third less WAL than an
# INSERT that meets a conflict, for that locks the line before it writes it. The line must be looked up by key, whatever
# was known of the table when this was planned: see `writer.SESSION`.
ADVANCE = """
update ops.settled s set seqs = s.seqs + n.seqs, at = now()
from (
    select device::int4, boot, int8multirange(int8range(low, high, '[]')) as seqs
    from unnest(%s, %s, %s, %s) as n (device, boot, low, high) offset 0
) n
where s.device = n.device and s.boot = n.boot
returning s.device, s.boot, lower(s.seqs), upper(s.seqs), case when s.seqs <> int8multirange(range_merge(s.seqs)) then (
    select array[(array_agg(upper(r) order by r))[1], (array_agg(lower(r) order by r))[2], count(*)]
    from unnest(s.seqs) r
) end
"""
WRITE_PROGRESS = """
insert into ops.settled as s (device, boot, seqs)
select device::int4, boot, range_agg(int8range(low, high, '[]'))
from unnest(%s, %s, %s, %s) as n (device, boot, low, high) group by 1, 2 order by 1, 2
on conflict (device, boot) do update set seqs = s.seqs + excluded.seqs, at = now()
returning s.device, s.boot, lower(s.seqs), upper(s.seqs), case when s.seqs <> int8multirange(range_merge(s.seqs)) then (
    select array[(array_agg(upper(r) order by r))[1], (array_agg(lower(r) order by r))[2], count(*)]
    from unnest(s.seqs) r
) end
"""
FORGET_HIGHEST = """
update ops.settled s
set seqs = (select range_agg(low.r) from (select r from unnest(s.seqs) r order by r limit %s) low)
where device = %s and boot = %s
"""


async def write_progress(connection: Connection, settled: Settled) -> list[Progress]:
    """Add to what was settled before; returns where each device stands. Each statement in order of device; two workers
    that have the same devices at once, as when an inbox moves, may still wait crosswise: the database ends one of
    them, and its batch is tried again."""
    runs = runs_of(settled)
    progress = await written(connection, ADVANCE, runs.only(runs.simple))
    if len(progress) < len(runs.device):
        known = {(one.device, one.boot) for one in progress}
        pairs = zip(runs.device.tolist(), runs.boot.tolist(), strict=True)
        rest = np.array([pair not in known for pair in pairs])
        progress += await written(connection, WRITE_PROGRESS, runs.only(rest))
    for one in progress:
        if one.gap and one.gap[2] > MOST_RANGES:
            await connection.execute(FORGET_HIGHEST, (MOST_RANGES, one.device, one.boot))
    return progress


async def written(connection: Connection, statement: str, runs: Runs) -> list[Progress]:
    """Carry out one of the two statements above."""
    cursor = await connection.execute(statement, tuple(map(integers, runs)))
    return list(map(Progress._make, await cursor.fetchall()))


def runs_of(settled: Settled) -> Runs:
    """The numbers of a batch as runs without a gap, in order of device, boot and number.

    >>> [column.tolist() for column in runs_of(Settled([7, 5, 7, 7], [0, 0, 0, 0], [3, 9, 1, 2], {}))]
    [[5, 7], [0, 0], [9, 1], [9, 3]]
    """
    columns = [np.array(column, dtype=np.int64) for column in settled[:3]]
    order = np.lexsort(columns[::-1])
    device, boot, seq = (column[order] for column in columns)
    begins = np.ones(len(seq), dtype=np.bool_)
    begins[1:] = (device[1:] != device[:-1]) | (boot[1:] != boot[:-1]) | (seq[1:] > seq[:-1] + 1)
    first = np.flatnonzero(begins)
    return Runs(device[first], boot[first], seq[first], seq[np.append(first[1:], len(seq)) - 1])


def acknowledgement(settled: Settled, progress: Progress) -> Ack:
    """What one device is told, and where it listens."""
    source, topic = settled.senders[progress.device]
    return Ack(source, topic.removesuffix(b"up") + b"ack", message(progress))


def message(progress: Progress) -> bytes:
    """The acknowledgement of one device and boot."""
    _, boot, lowest, upper, gap = progress
    if gap is None and boot != NO_BOOT:
        return b'{"seq":%d,"first":%d,"boot":%d}' % (upper - 1, lowest, boot)  # nearly all
    beyond = upper if gap is None else gap[0]
    missing = b"" if gap is None else b',"missing":[%d,%d]' % (beyond, gap[1] - 1)
    said = b"" if boot == NO_BOOT else b',"boot":%d' % boot
    return b'{"seq":%d,"first":%d%s%s}' % (beyond - 1, lowest, missing, said)
