"""Fills a stack of its own with a province and its last day, through ingest's writer, and goes on where it stopped."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import sys
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from devices.enroll_columns import enroll_columns
from devices.family import FAMILIES
from dothi.load.fleet import Asked, fleet_of
from ingest.batch import Batch, Count, Limits, ledger_key
from ingest.chunk_length import ROOM, SHARE, lengths
from ingest.columns import Columns
from ingest.mqtt import Messages
from ingest.replay import Archive
from ingest.window import Arrival
from ingest.writer import Writer
from simulators.fleet import Fleet, native_profile, pieces
from tests.bench.day_rows import DAY_S, MINUTE_US, Ints, Pace, minute, often_share, paces

CITY = Asked("bac-giang", people=1_870_000, density=150.0)
"""2.8 million devices."""
INDEX_BYTES = 67
LIVE_RATE = 20_000.0
"""Chunks are as long as they would be where so many come in each second."""
TOLD_EVERY_S = 10.0
SPAN = "select extract(epoch from min(minute))::bigint, extract(epoch from max(minute))::bigint from ops.ledger"
OWN = "select extract(epoch from max(minute))::bigint from ops.ledger where inbox = %s"


class Share(NamedTuple):
    """What one process loads: every `of`-th device, the minutes from `start` to before `until` (s since 1970). It waits
    while `pause` exists and ends when the disk has less than `free` bytes left."""

    database: str
    place: int
    of: int
    start: int
    until: int
    readings: int
    pause: Path | None
    folder: Path
    free: int


def enroll(connection: psycopg.Connection, fleet: Fleet) -> None:
    """The whole fleet by columns, unless it is there. Device number n of the fleet gets id n + 1."""
    row = connection.execute("select count(*) from registry.device").fetchone()
    if row != (len(fleet),):
        began, done = time.monotonic(), 0

        def told(further: int) -> None:
            nonlocal done
            done += further
            say(f"{done:,} of {len(fleet):,} devices enrolled")

        enroll_columns(connection, lambda: pieces(fleet), told)
        connection.execute("vacuum analyze registry.device")
        say(f"{len(fleet):,} devices enrolled in {time.monotonic() - began:.0f} s")
    some = np.linspace(0, len(fleet) - 1, 2_000).astype(np.int64)
    found = connection.execute(
        "select device from registry.device where id = any(%s) order by id", ((some + 1).tolist(),)
    ).fetchall()
    if [name for (name,) in found] != fleet.ids(some):
        raise RuntimeError("the registry is not this fleet's alone: use a folder of its own")


def set_lengths(connection: psycopg.Connection, fleet: Fleet) -> None:
    """Chunks as long as the keeper makes them at the rate that is asked beside."""
    own = {name: count / native_profile(name).interval_s for name, count in fleet.count_by_family().items()}
    row = connection.execute(ROOM, (SHARE,)).fetchone()
    assert row is not None
    scale = LIVE_RATE * INDEX_BYTES / sum(own.values())
    for family, length in lengths({name: rate * scale for name, rate in own.items()}, row[0]).items():
        table = sql.Identifier("reading", family).as_string()
        connection.execute("select set_chunk_time_interval(%s::regclass, %s)", (table, length))


def load(database: tuple[str, str], folder: Path, readings: int, ahead_s: float, pause: Path | None, free: int) -> bool:
    """Fill up to a day, or what is missing of it; whether all of it is there. `database`: owner's and writer's URL."""
    owner, writer = database
    fleet = fleet_of(CITY)
    with psycopg.connect(owner, autocommit=True) as connection:
        enroll(connection, fleet)
        span = connection.execute(SPAN).fetchone()
        assert span is not None
        if span[0] is None:
            set_lengths(connection, fleet)
    start = span[0] or int(time.time() + ahead_s) // 60 * 60 - DAY_S
    say(f"{often_share(fleet, readings):.1%} of the devices send at their own pace")
    context = multiprocessing.get_context("spawn")
    of = 2
    told = [context.Value("q", 0) for _ in range(of)]
    shares = [Share(writer, place, of, start, start + DAY_S, readings, pause, folder, free) for place in range(of)]
    processes = [context.Process(target=run, args=(share, one)) for share, one in zip(shares, told, strict=True)]
    for process in processes:
        process.start()
    began = time.monotonic()
    try:
        while alive := [process for process in processes if process.is_alive()]:
            alive[0].join(TOLD_EVERY_S)
            rows = sum(one.value for one in told)
            say(f"{rows:,} rows, {rows / (time.monotonic() - began):,.0f}/s; {free_gb(folder):.1f} GB free")
    finally:
        for process in processes:
            process.terminate()  # a transaction that is under way is rolled back, and its minute comes again
    return all(process.exitcode == 0 for process in processes)


def run(share: Share, told: "Synchronized[int]") -> None:
    """One process; exit code 3 when there is no room left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the one that started it, between two batches
    sys.exit(asyncio.run(store_all(share, told)))


async def store_all(share: Share, told: "Synchronized[int]") -> int:
    """Minute after minute, a transaction each."""

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(share.database, autocommit=True)

    fleet = fleet_of(CITY)
    inbox, writer = f"day-{share.place}", Writer(connect, 50 + share.place)
    async with await connect() as connection:
        codes = dict(await (await connection.execute("select code, id from registry.area")).fetchall())
        newest = await (await connection.execute(OWN, (inbox,))).fetchone()
    areas: Ints = np.array([codes[code] for code in fleet.areas])
    some = paces(fleet, often_share(fleet, share.readings), areas, share.place, share.of)
    first = share.start if newest is None or newest[0] is None else newest[0] + 60
    for second in range(first, share.until, 60):
        wait_until(second + 60, share.pause)
        if os.getppid() == 1 or free_gb(share.folder) * 1e9 < share.free:
            return 3
        batch = batch_of(some, second * 1_000_000, inbox)
        rows = sum(map(len, batch.columns.values()))
        await writer.store(batch)  # which takes them out
        told.value += rows
    await writer.close()
    return 0


def wait_until(second: float, pause: Path | None) -> None:
    """Until that time (s since 1970) has come, and nobody asks for silence."""
    while (pause and pause.exists()) or time.time() < second:
        time.sleep(1.0)


def batch_of(some: list[Pace], minute_us: int, inbox: str) -> Batch:
    """A minute as one batch, booked as received in it."""
    batch = Batch(Limits())
    for name, block in minute(some, minute_us).items():
        columns = Columns(FAMILIES[name])
        columns.extend(block)
        batch.columns[name] = columns
    arrival = Arrival(Archive(inbox), minute_us + MINUTE_US - 1, Messages(), 0)
    batch.ledger[ledger_key(arrival)] = Count(received=sum(map(len, batch.columns.values())))
    return batch


def free_gb(folder: Path) -> float:
    """Room on the disk."""
    return shutil.disk_usage(folder).free / 1e9


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()
