"""Readings straight into the database, through ingest's own writer: millions of devices at a steady rate, no broker.

Device ids are 1 … n. Each round every device sends once, in an order drawn by lot: neighbours in the registry do not
send together. Several processes share the devices.
"""

import asyncio
import math
import multiprocessing
import time
from multiprocessing.queues import Queue
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg

from devices.family import FAMILIES
from devices.profile import PROFILES
from ingest.batch import Batch, Count, Limits, ledger_key
from ingest.columns import NO_BOOT, Block, Columns, Table
from ingest.mqtt import Messages
from ingest.replay import Archive
from ingest.window import Arrival
from ingest.writer import Writer

FAMILY = FAMILIES["air_quality"]
METRICS = ("pm25", "temperature", "relative_humidity")
PROFILE = PROFILES["native-air-quality"]
LATE_US = 1_000_000

Ints = npt.NDArray[np.integer]


class Share(NamedTuple):
    """What one process feeds. `areas`: registry.area id by device id; it takes every `of`-th device of the order, from
    its `position`-th row on; `start`, `until`: seconds since 1970; `rate`: rows/s of this
    process. `ahead_s`: by how much the devices' clocks are ahead of ours."""

    database: str
    areas: Ints
    place: int
    of: int
    position: int
    rate: float
    rows: int
    start: float
    until: float
    ahead_s: float


class Fed(NamedTuple):
    """What one process did. `late_s`: how far behind its pace it was at the end; `commit_s`: seconds of each batch."""

    place: int
    position: int
    rows: int
    late_s: float
    cpu_s: float
    commit_s: list[float]


def feed(
    database: str, areas: Ints, positions: list[int], rate: float, rows: int, seconds: float, ahead_s: float
) -> list[Fed]:
    """Feed with as many processes as there are positions; in order of place. Raises when one of them failed."""
    context = multiprocessing.get_context("spawn")
    queue: Queue[Fed] = context.Queue()
    start, of = time.time() + 3, len(positions)
    shares = [
        Share(database, areas, place, of, position, rate / of, rows, start, start + seconds, ahead_s)
        for place, position in enumerate(positions)
    ]
    processes = [context.Process(target=run, args=(share, queue)) for share in shares]
    for process in processes:
        process.start()
    try:
        return sorted(queue.get(timeout=seconds + 120) for _ in processes)
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def run(share: Share, queue: "Queue[Fed]") -> None:
    """One process."""
    queue.put(asyncio.run(feed_share(share)))


async def feed_share(share: Share) -> Fed:
    """Store batches at the pace of the share until its time is over."""

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(share.database, autocommit=True)

    writer = Writer(connect, 50 + share.place)
    order = sending_order(len(share.areas) - 1)[share.place :: share.of]
    position, cpu, commit_s = share.position, time.process_time(), []
    await asyncio.sleep(max(0.0, share.start - time.time()))
    while time.time() < share.until:
        due = share.start + (position - share.position + share.rows) / share.rate
        await asyncio.sleep(max(0.0, due - time.time()))
        began = time.perf_counter()
        await writer.store(batch_of(order, share.areas, position, share.rows, share.ahead_s))
        commit_s.append(time.perf_counter() - began)
        position += share.rows
    await writer.close()
    rows = position - share.position
    late_s = time.time() - share.start - rows / share.rate
    return Fed(share.place, position, rows, late_s, time.process_time() - cpu, commit_s)


def sending_order(devices: int) -> Ints:
    """Ids 1 … n, shuffled, always in the same way."""
    return np.random.default_rng(1).permutation(devices).astype(np.int32) + 1


def batch_of(order: Ints, areas: Ints, position: int, rows: int, ahead_s: float) -> Batch:
    """The rows from a position on, as the pipeline would have filled a batch with them."""
    numbers = np.arange(position, position + rows)
    return filled(order[numbers % len(order)], areas, numbers // len(order) + 1, ahead_s)


def filled(devices: Ints, areas: Ints, seq: Ints, ahead_s: float) -> Batch:
    """A batch of one row for each device, sent within the last second by clocks that are so much ahead."""
    now, chance = time.time_ns() // 1000 + int(ahead_s * 1e6), np.random.default_rng(int(seq[0]))
    batch, columns, rows = Batch(Limits()), Columns(FAMILY), len(devices)
    values = np.full((rows, len(FAMILY.metrics)), math.nan)
    names = [metric.name for metric in FAMILY.metrics]
    for name, most, digits in zip(METRICS, (300, 40, 1), (1, 1, 2), strict=True):
        values[:, names.index(name)] = (chance.random(rows) * most).round(digits)
    arrival = Arrival(Archive("213"), now, Messages(), 0)
    table = Table(
        time=now - chance.integers(0, LATE_US, rows) // 1000 * 1000,
        seq=seq.astype(np.int64),
        boot=np.full(rows, NO_BOOT),
        received=np.full(rows, now),
        device=devices,
        area=areas[devices],
        values=values,
        extra=None,
    )
    columns.extend(Block(np.arange(rows), table))
    batch.columns[FAMILY.name] = columns
    batch.ledger[ledger_key(arrival)] = Count(received=rows)
    return batch
