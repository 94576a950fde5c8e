"""A network that fails, by way of the proxies."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from tests.chaos.nemesis.fault import Inject, fault, hold_s, waiting
from tests.chaos.proxy import BROKEN, Proxy
from tests.chaos.stand import Stand


async def cut(proxy: Proxy, chance: random.Random) -> float:
    """Connections are reset and refused for a while."""
    proxy.refusing = True
    proxy.reset()
    await asyncio.sleep(hold_s(chance))
    proxy.refusing = False
    return time.monotonic()


async def half_open(proxy: Proxy, chance: random.Random) -> float:
    """Nothing passes, nobody is told; at the end the connections turn out to be dead."""
    proxy.freeze()
    await asyncio.sleep(hold_s(chance))
    proxy.reset()
    proxy.thaw()
    return time.monotonic()


async def stall(proxy: Proxy, chance: random.Random) -> float:
    """Nothing passes for a while, then all of it."""
    proxy.freeze()
    await asyncio.sleep(hold_s(chance))
    proxy.thaw()
    return time.monotonic()


async def deaf(proxy: Proxy, chance: random.Random) -> float:
    """Requests arrive, answers are swallowed: nobody knows how the last COMMIT ended."""
    proxy.deaf = True
    await asyncio.sleep(hold_s(chance) / 2)
    proxy.reset()
    proxy.deaf = False
    return time.monotonic()


async def delay(proxy: Proxy, chance: random.Random) -> float:
    """Every answer takes long."""
    proxy.delay_s = 0.2
    await asyncio.sleep(hold_s(chance))
    proxy.delay_s = 0.0
    return time.monotonic()


async def slow(proxy: Proxy, chance: random.Random) -> float:
    """Bytes trickle."""
    proxy.bytes_per_s = 20_000
    await asyncio.sleep(hold_s(chance))
    proxy.bytes_per_s = 0
    return time.monotonic()


async def truncate(proxy: Proxy, _: random.Random) -> float:
    """A connection ends in the middle of a packet."""
    proxy.cut_within = True
    deadline = time.monotonic() + 60
    while proxy.cut_within:
        await waiting(deadline, "nothing passed the proxy that could be cut")
    return time.monotonic()


@fault("corrupt broker packets")
async def corrupt(stand: Stand, chance: random.Random) -> float:
    """A packet that breaks the protocol, between two whole ones."""
    proxy = stand.broker_proxy
    proxy.break_next = chance.choice(BROKEN)
    deadline = time.monotonic() + 60
    while proxy.break_next is not None:
        await waiting(deadline, "no packet passed the proxy that could be broken")
    return time.monotonic()


def to(which: str, how: Callable[[Proxy, random.Random], Awaitable[float]]) -> Inject:
    """A network fault on the way to broker or database."""

    async def inject(stand: Stand, chance: random.Random) -> float:
        return await how(stand.broker_proxy if which == "broker" else stand.database_proxy, chance)

    return inject


for which in ("broker", "database"):
    for how, words in (
        (cut, "cut"),
        (half_open, "half-open"),
        (stall, "stall"),
        (deaf, "answers swallowed"),
        (delay, "delay"),
        (slow, "slow drain"),
        (truncate, "truncated packet"),
    ):
        fault(f"{which} network: {words}")(to(which, how))
