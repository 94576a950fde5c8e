"""Stands for faults that need more than a stack: clocks that can be set, a disk that can be filled."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dothi.settings import cache
from tests.chaos.stand import Stand

LIBRARY = "libfaketimeMT.so.1"
PLACES = "usr/lib/*/faketime"
DISK_MB = 1100


class Impossible(Exception):
    """This machine does not permit the fault; says why."""


@asynccontextmanager
async def ordinary(folder: Path) -> AsyncIterator[Stand]:
    """A stack as `dothi up` starts it."""
    async with Stand(folder) as stand:
        yield stand


@asynccontextmanager
async def with_clocks(folder: Path) -> AsyncIterator[Stand]:
    """A stack whose workers and broker take the time from `clock-worker` and `clock-broker`. Raises Impossible."""
    library = await asyncio.to_thread(faketime)
    variables = {}
    for part in ("worker", "broker"):
        clock = folder / f"clock-{part}"
        clock.write_text("+0")
        variables[part] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
    (folder / "environment.json").write_text(json.dumps(variables))
    async with Stand(folder) as stand:
        yield stand


def faketime() -> Path:
    """libfaketime: the machine's, or Debian's package unpacked into the cache."""
    for root in (Path("/"), cache() / "faketime"):
        if found := sorted(root.glob(f"{PLACES}/{LIBRARY}")):
            return found[0]
    folder = cache() / "faketime"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        ran(["apt-get", "download", "libfaketime"], folder)
        package = next(folder.glob("libfaketime_*.deb"))
        ran(["dpkg-deb", "-x", str(package), str(folder)], folder)
        return next(folder.glob(f"{PLACES}/{LIBRARY}"))
    except (OSError, StopIteration, subprocess.SubprocessError) as error:
        raise Impossible(f"libfaketime cannot be had: {error}") from None


def ran(command: list[str], folder: Path) -> None:
    """Run a command in a folder; its failure is an exception."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


@asynccontextmanager
async def small_disk(folder: Path) -> AsyncIterator[Stand]:
    """A stack on a file system of its own that is soon full. Raises Impossible."""
    if os.geteuid() != 0:
        raise Impossible("only root may mount a small disk")
    disk = folder / "disk"
    disk.mkdir(mode=0o755)
    try:
        await asyncio.to_thread(
            ran, ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(disk)], folder
        )
    except subprocess.SubprocessError:
        raise Impossible("this machine does not let root mount a small disk") from None
    try:
        async with Stand(folder, stack_folder=disk / "dothi") as stand:
            yield stand
    finally:
        await asyncio.to_thread(ran, ["umount", "--lazy", str(disk)], folder)
