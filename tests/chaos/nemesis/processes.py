"""Processes that die, and processes that stand still."""

import asyncio
import os
import random
import signal
import time
from contextlib import suppress

import psutil

from tests.chaos.nemesis.fault import Inject, fault, hold_s, kill, runs, waiting
from tests.chaos.stand import Stand


@fault("kill worker", kills=1)
async def kill_worker(stand: Stand, chance: random.Random) -> float:
    return kill(chance.choice(await stand.process("workers")))


@fault("kill all workers", kills=2)
async def kill_all_workers(stand: Stand, _: random.Random) -> float:
    return max(kill(pid) for pid in await stand.process("workers"))


@fault("kill supervisor", kills=1)
async def kill_supervisor(stand: Stand, _: random.Random) -> float:
    killed = kill(stand.pid)
    await stand.supervisor_gone()
    await stand.up()
    return killed


@fault("kill database", kills=1)
async def kill_database(stand: Stand, _: random.Random) -> float:
    return kill((await stand.process("database"))[0])


@fault("kill backend", kills=1)
async def kill_backend(stand: Stand, chance: random.Random) -> float:
    return kill(chance.choice(await backends(stand)))


@fault("kill broker", kills=1, broker=True)
async def kill_broker(stand: Stand, _: random.Random) -> float:
    return kill((await stand.process("broker"))[0])


@fault("kill broker with a backlog", kills=1, broker=True)
async def kill_broker_with_a_backlog(stand: Stand, chance: random.Random) -> float:
    """The workers stand still while the broker takes more and more: then it dies with all that."""
    workers = await stand.process("workers")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        return kill((await stand.process("broker"))[0])
    finally:
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def crash(point: str) -> Inject:
    """A worker is killed, the one that replaces it dies by itself at the point."""

    async def inject(stand: Stand, chance: random.Random) -> float:
        before = set(await stand.process("workers"))
        (stand.folder / "crash").write_text(f"{point}:every-{chance.randint(1, 12)}")
        kill(chance.choice(sorted(before)))
        deadline = time.monotonic() + 60
        while not (successors := set(stand.processes("workers")) - before):
            await waiting(deadline, "the killed worker has no successor")
        while any(runs(pid) for pid in successors):
            await waiting(deadline, f"the worker did not die at {point}")
        return time.monotonic()

    return inject


for point in ("after_copy", "before_commit", "after_commit_before_puback", "between_batches"):
    fault(f"crash {point}", kills=2)(crash(point))


async def backends(stand: Stand) -> list[int]:
    """The database's processes that serve the workers."""
    for _ in range(100):
        rows = await stand.query("select pid from pg_stat_activity where usename = %s", stand.writer)
        if rows:
            return [pid for (pid,) in rows]
        await asyncio.sleep(0.1)
    raise AssertionError("no worker is connected to the database")


async def suspended(pids: list[int], seconds: float) -> float:
    """SIGSTOP, later SIGCONT."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return time.monotonic()


@fault("suspend worker")
async def suspend_worker(stand: Stand, chance: random.Random) -> float:
    return await suspended([chance.choice(await stand.process("workers"))], hold_s(chance))


@fault("suspend supervisor")
async def suspend_supervisor(stand: Stand, chance: random.Random) -> float:
    return await suspended([stand.pid], hold_s(chance))


@fault("suspend broker")
async def suspend_broker(stand: Stand, chance: random.Random) -> float:
    return await suspended(await stand.process("broker"), hold_s(chance))


@fault("suspend database")
async def suspend_database(stand: Stand, chance: random.Random) -> float:
    postmaster = psutil.Process((await stand.process("database"))[0])
    return await suspended([postmaster.pid, *(child.pid for child in postmaster.children())], hold_s(chance))
