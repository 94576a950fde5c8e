"""A database that restarts, blocks and refuses."""

import asyncio
import random
import signal
import time
from contextlib import suppress

import psycopg

from tests.chaos.generator import FAMILIES
from tests.chaos.nemesis.fault import fault, hold_s, kill
from tests.chaos.stand import Stand


@fault("restart database")
async def restart_database(stand: Stand, _: random.Random) -> float:
    return kill((await stand.process("database"))[0], signal.SIGINT)


async def locked(stand: Stand, chance: random.Random) -> None:
    """Hold a lock against writers of one table."""
    async with await stand.connect() as connection, connection.transaction():
        family = chance.choice(list(FAMILIES))
        await connection.execute(f"lock table reading.{family} in exclusive mode".encode())
        await asyncio.sleep(hold_s(chance))


@fault("lock table")
async def lock_table(stand: Stand, chance: random.Random) -> float:
    await locked(stand, chance)
    return time.monotonic()


async def disconnect_workers(stand: Stand) -> None:
    """End the workers' database connections."""
    await stand.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", stand.writer)


@fault("refuse connections")
async def refuse_connections(stand: Stand, chance: random.Random) -> float:
    await stand.query(f"alter role {stand.writer} connection limit 0")
    await disconnect_workers(stand)
    await asyncio.sleep(hold_s(chance))
    await stand.query(f"alter role {stand.writer} connection limit -1")
    return time.monotonic()


@fault("use up connections")
async def use_up_connections(stand: Stand, chance: random.Random) -> float:
    taken = []
    with suppress(psycopg.OperationalError):
        for _ in range(200):
            taken.append(await psycopg.AsyncConnection.connect(stand.document["database"], autocommit=True))  # noqa: PERF401
    await taken[0].execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (stand.writer,))
    await asyncio.sleep(hold_s(chance))
    for connection in taken:
        await connection.close()
    return time.monotonic()


@fault("statement timeout")
async def statement_timeout(stand: Stand, chance: random.Random) -> float:
    await stand.query(f"alter role {stand.writer} set statement_timeout = '300ms'")
    await disconnect_workers(stand)
    await locked(stand, chance)
    await stand.query(f"alter role {stand.writer} reset statement_timeout")
    healed = time.monotonic()
    await disconnect_workers(stand)  # sessions keep the setting they began with
    return healed
