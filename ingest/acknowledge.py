"""The application acknowledgement: a device that asks is told up to which number everything is settled.

`{"seq": n, "boot": b, "first": f}` on `dothi/v1/{area}/{device}/ack`: every reading from `f` up to `n` of this boot is
settled, that is stored, duplicate or quarantined, and committed. `first` is the lowest number ever seen: a device keeps
what lies below it. `"missing": [from, to]` names the first gap. Progress is written in the transaction of the batch.
A message that cannot be read as far as its number is quarantined, but settles none.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray

from devices.profile import PROFILES
from ingest.batch import Acks, Batch
from ingest.columns import NO_BOOT, Columns, Sender
from ingest.parameters import integers, unpacked

MAX_SEQ = 2**63 - 2  # a range's end must fit too
MOST_RANGES = 64
"""Gaps that are remembered per device and boot, less one; numbers beyond are settled when they are sent again."""

Connection = psycopg.AsyncConnection[Any]
Ints = NDArray[np.int64]


@cache
def asking_families() -> frozenset[str]:
    """Families with a profile whose devices ask; not at import, for reading all profiles takes a third of a second."""
    return frozenset(profile.family.name for profile in PROFILES.values() if profile.acknowledge)


class Settled:
    """Numbers that a batch settles, side by side, in pieces; and the way back to each device."""

    def __init__(self) -> None:
        self.device, self.boot, self.seq = list[Ints](), list[Ints](), list[Ints]()
        self._ways: list[Callable[[Ints], list[Sender]]] = []

    def add(self, numbers: Sequence[NDArray[np.integer]], ways: Callable[[Ints], list[Sender]]) -> None:
        """A piece: devices, boots, numbers. `ways`: how those at some of its places came."""
        if len(numbers[0]):
            for column, piece in zip((self.device, self.boot, self.seq), numbers, strict=True):
                column.append(piece.astype(np.int64, copy=False))
            self._ways.append(ways)

    def last(self, devices: Ints) -> Ints:
        """Of each device, the place of what came last among all numbers."""
        spoke = np.concatenate(self.device)
        order = np.argsort(spoke, kind="stable")
        last: Ints = order[np.searchsorted(spoke[order], devices, side="right") - 1]
        return last

    def senders(self, places: Ints) -> list[Sender]:
        """How the numbers at some places came; places ascending."""
        ends = np.cumsum([len(piece) for piece in self.device])
        found: list[Sender] = []
        for end, piece, mine, ways in zip(
            ends.tolist(), self.device, np.split(places, np.searchsorted(places, ends)), self._ways, strict=False
        ):
            found += ways(mine - (end - len(piece)))
        return found


async def acknowledgements(connection: Connection, batch: Batch) -> Acks:
    """Write down what the batch settles, for the devices that ask; returns what to tell them after COMMIT."""
    settled, told = Settled(), Acks(list)
    for name in sorted(asking_families() & batch.columns.keys()):
        settled_rows(settled, batch.columns[name])
    settled_refusals(settled, batch)
    if settled.seq:
        progress = await write_progress(connection, settled)
        last = settled.last(progress.device)
        order = np.argsort(last)
        for (source, topic), said in zip(settled.senders(last[order]), messages(progress.at(order)), strict=True):
            told[source].append((topic.removesuffix(b"up") + b"ack", said))
    return told


def settled_rows(settled: Settled, columns: Columns) -> None:
    """Add what is stored, found again, or refused later than by its reader."""
    table = columns.table
    rows = np.flatnonzero(columns.asks() & (table.seq >= 0) & (table.seq <= MAX_SEQ))
    settled.add((table.device[rows], table.boot[rows], table.seq[rows]), lambda places: columns.senders(rows[places]))


def settled_refusals(settled: Settled, batch: Batch) -> None:
    """Add what its reader refused, as far as the number can be read all the same."""
    found, ways = [], list[Sender]()
    for device, arrival, payload in batch.asked:
        document = device.profile.decode(payload)
        if isinstance(document, dict):
            seq, boot = document.get("seq"), document.get("boot", NO_BOOT)
            if type(seq) is int and 0 <= seq <= MAX_SEQ and type(boot) is int and NO_BOOT <= boot <= MAX_SEQ:
                found.append((device.id, boot, seq))
                ways.append((arrival.source, b"dothi/v1/%s/%s/up" % (device.area, device.name.encode())))
    numbers = np.array(found, dtype=np.int64).reshape(-1, 3)
    settled.add(tuple(numbers.T), lambda places: [ways[place] for place in places.tolist()])


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

    def among(self, progress: "Progress") -> NDArray[np.bool_]:
        """Which are of a device and boot that stand there."""
        boots, boot = np.unique(self.boot, return_inverse=True)
        told = progress.device * len(boots) + np.searchsorted(boots, progress.boot)
        among: NDArray[np.bool_] = np.isin(self.device * len(boots) + boot, told)
        return among

    def only(self, chosen: NDArray[np.bool_]) -> "Runs":
        """Some of them."""
        return Runs(*(column[chosen] for column in self))


class Progress(NamedTuple):
    """Where devices stand in a boot, side by side: the lowest number seen, the first that is not settled, the first
    settled beyond it (the same where none is), and how many ranges there are."""

    device: Ints
    boot: Ints
    lowest: Ints
    missing: Ints
    beyond: Ints
    ranges: Ints

    def at(self, places: Ints) -> "Progress":
        """Some of them."""
        return Progress(*(column[places] for column in self))


# Whole columns come back, not a row for each device. Gaps are looked for only where there are any: that costs more than
# all else (measured).
TOLD = """
with written as (
    {}
    returning s.device, s.boot, lower(s.seqs) as lowest, upper(s.seqs),
        case when s.seqs <> int8multirange(range_merge(s.seqs)) then (
            select array[(array_agg(upper(r) order by r))[1], (array_agg(lower(r) order by r))[2], count(*)]
            from unnest(s.seqs) r
        ) end as gap
)
select array_agg(device::int8), array_agg(boot), array_agg(lowest), array_agg(coalesce(gap[1], upper)),
    array_agg(coalesce(gap[2], upper)), array_agg(coalesce(gap[3], 1))
from written
"""
# Of devices that have a line and numbers without a gap, which are all but a few: less CPU and a third less WAL than an
# INSERT that meets a conflict, for that locks the line before it writes it. The line must be looked up by key, whatever
# was known of the table when this was planned: see `writer.SESSION`.
ADVANCE = TOLD.format("""
    update ops.settled s set seqs = s.seqs + n.seqs, at = now()
    from (
        select device::int4, boot, int8multirange(int8range(low, high, '[]')) as seqs
        from unnest(%s, %s, %s, %s) as n (device, boot, low, high) offset 0
    ) n
    where s.device = n.device and s.boot = n.boot
""")
WRITE_PROGRESS = TOLD.format("""
    insert into ops.settled as s (device, boot, seqs)
    select device::int4, boot, range_agg(int8range(low, high, '[]'))
    from unnest(%s, %s, %s, %s) as n (device, boot, low, high) group by 1, 2 order by 1, 2
    on conflict (device, boot) do update set seqs = s.seqs + excluded.seqs, at = now()
""")
FORGET_HIGHEST = """
update ops.settled s
set seqs = (select range_agg(low.r) from (select r from unnest(s.seqs) r order by r limit %s) low)
where device = %s and boot = %s
"""


async def write_progress(connection: Connection, settled: Settled) -> Progress:
    """Add to what was settled before; returns where each device stands. Each statement in order of device; two workers
    that have the same devices at once, as when an inbox moves, may still wait crosswise: the database ends one of
    them, and its batch is tried again."""
    runs = runs_of(settled)
    progress = await written(connection, ADVANCE, runs.only(runs.simple))
    if len(progress.device) < len(runs.device):
        rest = await written(connection, WRITE_PROGRESS, runs.only(~runs.among(progress)))
        progress = Progress(*map(np.concatenate, zip(progress, rest, strict=True)))
    for place in np.flatnonzero(progress.ranges > MOST_RANGES).tolist():
        device, boot = int(progress.device[place]), int(progress.boot[place])
        await connection.execute(FORGET_HIGHEST, (MOST_RANGES, device, boot))
    return progress


async def written(connection: Connection, statement: str, runs: Runs) -> Progress:
    """Carry out one of the two statements above."""
    cursor = await connection.cursor(binary=True).execute(statement, tuple(map(integers, runs)))
    result = cursor.pgresult
    assert result is not None  # it was carried out, or raised
    return Progress(*(unpacked(result.get_value(0, place)) for place in range(len(Progress._fields))))


def runs_of(settled: Settled) -> Runs:
    """The numbers of a batch as runs without a gap, in order of device, boot and number.

    >>> settled = Settled()
    >>> settled.add(np.array([[7, 5, 7, 7], [0, 0, 0, 0], [3, 9, 1, 2]]), lambda places: [])
    >>> [column.tolist() for column in runs_of(settled)]
    [[5, 7], [0, 0], [9, 1], [9, 3]]
    """
    columns = [np.concatenate(pieces) for pieces in (settled.device, settled.boot, settled.seq)]
    order = np.lexsort(columns[::-1])
    device, boot, seq = (column[order] for column in columns)
    begins = np.ones(len(seq), dtype=np.bool_)
    begins[1:] = (device[1:] != device[:-1]) | (boot[1:] != boot[:-1]) | (seq[1:] > seq[:-1] + 1)
    first = np.flatnonzero(begins)
    return Runs(device[first], boot[first], seq[first], seq[np.append(first[1:], len(seq)) - 1])


def messages(progress: Progress) -> list[bytes]:
    """The acknowledgement of each device and boot."""
    numbers = ((progress.missing - 1).tolist(), progress.lowest.tolist(), progress.boot.tolist())
    said = [b'{"seq":%d,"first":%d,"boot":%d}' % one for one in zip(*numbers, strict=True)]  # right for nearly all
    for place in np.flatnonzero((progress.ranges > 1) | (progress.boot == NO_BOOT)).tolist():
        said[place] = message(*(int(column[place]) for column in progress[1:]))
    return said


def message(boot: int, lowest: int, missing: int, beyond: int, ranges: int) -> bytes:
    """One of them, whatever there is to say."""
    gap = b',"missing":[%d,%d]' % (missing, beyond - 1) if ranges > 1 else b""
    said = b"" if boot == NO_BOOT else b',"boot":%d' % boot
    return b'{"seq":%d,"first":%d%s%s}' % (missing - 1, lowest, gap, said)
