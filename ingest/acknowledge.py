"""The application acknowledgement: a device that asks is told up to which number everything is settled.

`{"seq": n, "boot": b, "first": f}` on `dothi/v1/{area}/{device}/ack`: every reading from `f` up to `n` of this boot is
settled, that is stored, duplicate or quarantined, and committed. `first` is the lowest number ever seen: a device keeps
what lies below it. `"missing": [from, to]` names the first gap. Progress is written in the transaction of the batch.
A message that cannot be read as far as its number is quarantined, but settles none.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
import psycopg

from devices.profile import PROFILES
from ingest.batch import Ack, Batch
from ingest.known import Device
from ingest.settle import integers
from ingest.window import Source

NO_BOOT = -1
MAX_SEQ = 2**63 - 2  # a range's end must fit too
MOST_RANGES = 64
"""Gaps that are remembered per device and boot, less one; numbers beyond are settled when they are sent again."""

Connection = psycopg.AsyncConnection[Any]


@cache
def asking_families() -> frozenset[str]:
    """Families with a profile whose devices ask; not at import, for reading all profiles takes a third of a second."""
    return frozenset(profile.family.name for profile in PROFILES.values() if profile.acknowledge)


class Told(NamedTuple):
    """Who is told, and on which connection."""

    device: Device
    source: Source


class Settled(NamedTuple):
    """A number that this batch settles."""

    told: Told
    boot: int
    seq: int


async def acknowledgements(connection: Connection, batch: Batch) -> list[Ack]:
    """Write down what the batch settles, for the devices that ask; returns what to tell them after COMMIT."""
    settled = [*settled_rows(batch), *settled_refusals(batch)]
    if not settled:
        return []
    told = {one.told.device.id: one.told for one in settled}
    return [
        Ack(told[one.device].source, topic(told[one.device].device), message(one))
        for one in await write_progress(connection, settled)
    ]


def settled_rows(batch: Batch) -> Iterator[Settled]:
    """What is stored, found again, or refused later than by its reader."""
    for name in asking_families() & batch.columns.keys():
        columns = batch.columns[name]
        for device, seq, boot, arrival in zip(
            columns.devices, columns.seq, columns.boot, columns.arrivals, strict=True
        ):
            if device.profile.acknowledge and 0 <= seq <= MAX_SEQ:
                yield Settled(Told(device, arrival.source), NO_BOOT if boot is None else boot, seq)


def settled_refusals(batch: Batch) -> Iterator[Settled]:
    """What its reader refused, as far as the number can be read all the same."""
    for device, arrival, payload in batch.asked:
        document = device.profile.decode(payload)
        if isinstance(document, dict):
            seq, boot = document.get("seq"), document.get("boot", NO_BOOT)
            if type(seq) is int and 0 <= seq <= MAX_SEQ and type(boot) is int and NO_BOOT <= boot <= MAX_SEQ:
                yield Settled(Told(device, arrival.source), boot, seq)


class Progress(NamedTuple):
    """Where a device stands in one boot: the lowest number seen, the first that is not settled above it, and, when
    there are gaps, the first settled beyond the first gap; `ranges` without a gap."""

    device: int
    boot: int
    lowest: int
    beyond: int
    resumes: int | None
    ranges: int


WRITE_PROGRESS = """
with written as (
    insert into ops.settled as s (device, boot, seqs)
    select device::int4, boot, range_agg(int8range(seq, seq, '[]'))
    from unnest(%s, %s, %s) as n (device, boot, seq) group by 1, 2 order by 1, 2
    on conflict (device, boot) do update set seqs = s.seqs + excluded.seqs, at = now()
    returning device, boot, seqs
)
select w.device, w.boot, lower(w.seqs), g.beyond, g.resumes, g.ranges
from written w cross join lateral (
    select (array_agg(upper(r) order by r))[1] as beyond, (array_agg(lower(r) order by r))[2] as resumes,
           count(*)::int as ranges
    from unnest(w.seqs) r
) g
"""
FORGET_HIGHEST = """
update ops.settled s
set seqs = (select range_agg(low.r) from (select r from unnest(s.seqs) r order by r limit %s) low)
where device = %s and boot = %s
"""


async def write_progress(connection: Connection, settled: list[Settled]) -> list[Progress]:
    """Add to what was settled before; returns where each device stands. In order of device, so that two workers never
    wait for each other crosswise."""
    cursor = await connection.execute(
        WRITE_PROGRESS,
        (
            integers([one.told.device.id for one in settled]),
            integers([one.boot for one in settled]),
            integers([one.seq for one in settled]),
        ),
    )
    progress = [Progress(*row) for row in await cursor.fetchall()]
    for one in progress:
        if one.ranges > MOST_RANGES:
            await connection.execute(FORGET_HIGHEST, (MOST_RANGES, one.device, one.boot))
    return progress


def topic(device: Device) -> bytes:
    """Where a device listens."""
    return b"dothi/v1/%s/%s/ack" % (device.area, device.name.encode())


def message(progress: Progress) -> bytes:
    """The acknowledgement of one device and boot."""
    said: dict[str, object] = {"seq": progress.beyond - 1, "first": progress.lowest}
    if progress.resumes is not None:
        said["missing"] = [progress.beyond, progress.resumes - 1]
    if progress.boot != NO_BOOT:
        said["boot"] = progress.boot
    return msgspec.json.encode(said)
