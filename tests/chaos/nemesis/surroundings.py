"""Disk and clock: only for stands that were made for them."""

import asyncio
import random
import shutil
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.nemesis.fault import Inject, fault, hold_s
from tests.chaos.stand import Stand


@fault("disk full")
async def disk_full(stand: Stand, chance: random.Random) -> float:
    """Every byte of the stack's small disk is taken, and given back."""
    ballast = stand.stack_folder.parent / "ballast"
    await asyncio.to_thread(fill, ballast)
    await asyncio.sleep(hold_s(chance) + 1)
    ballast.unlink()
    return time.monotonic()


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with suppress(OSError), file.open("wb", buffering=0) as taken:
        while True:
            taken.write(bytes(1 << 20))
    if (free := shutil.disk_usage(file.parent).free) > 1 << 20:
        raise AssertionError(f"the disk is not full, {free} bytes are left")


def jump(part: str, seconds: str) -> Inject:
    """The clock of a part jumps and comes back."""

    async def inject(stand: Stand, _: random.Random) -> float:
        clock = stand.folder / f"clock-{part}"
        clock.write_text(seconds)
        await asyncio.sleep(4)
        clock.write_text("+0")
        await asyncio.sleep(1.1)  # the clock's file is read once a second
        return time.monotonic()

    return inject


for part in ("worker", "broker"):
    for words, offset in (("ahead", "+7200"), ("back", "-7200"), ("a year ahead", "+31536000")):
        fault(f"clock of {part} {words}")(jump(part, offset))
