"""What a fault is, and those there are, by name."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import psutil

from tests.chaos.stand import Stand

Inject = Callable[[Stand, random.Random], Awaitable[float]]
"""Does the fault; returns the moment (monotonic clock) from which recovery is counted: its beginning for a kill, else
its end."""


class Fault(NamedTuple):
    """`kills`: processes that die by SIGKILL of ours; `broker`: the broker's memory may go with it."""

    inject: Inject
    kills: int = 0
    broker: bool = False


FAULTS: dict[str, Fault] = {}


def fault(name: str, kills: int = 0, broker: bool = False) -> Callable[[Inject], Inject]:
    """Give a fault its name."""

    def register(inject: Inject) -> Inject:
        FAULTS[name] = Fault(inject, kills, broker)
        return inject

    return register


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> float:
    """Signal a process of the stack; now."""
    os.kill(pid, number)
    return time.monotonic()


def hold_s(chance: random.Random) -> float:
    """How long a fault lasts that ends by itself."""
    return chance.uniform(1.0, 4.0)


async def waiting(deadline: float, complaint: str) -> None:
    """A moment, unless it has taken too long."""
    if time.monotonic() > deadline:
        raise AssertionError(complaint)
    await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
