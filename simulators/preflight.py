"""What a run needs of the machine and of the brokers, asked before anything is sent: one line for each thing too small.

Files, ports, source addresses, memory and cores are those of the machine that simulates; a broker's open files are
known when its process runs on the same machine.
"""

import os
import resource
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

import psutil

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
SPARE_FILES = 64
"""Files that a process of the simulator has open besides its connections."""
BROKER_SPARE_FILES = 64
"""Files that a broker has open besides devices: ingest, gateways, its log and database."""
PROCESS_BYTES = 60 * 2**20
"""A process of the simulator without its devices."""
PLAIN_BYTES, TLS_BYTES = 12 * 2**10, 64 * 2**10
"""A connection in simulator, broker and kernel together, both ends on this machine (measured, rounded up)."""
PER_CORE = 8
"""Processes of the simulator per core beyond which they are in each other's way."""


class Machine(NamedTuple):
    """What there is. `ports`: of one source address. `memory`: bytes that are free. `sources`: addresses to come from,
    None: as many as one likes, as on the loopback interface."""

    files: int
    ports: tuple[int, int]
    sources: int | None
    memory: int
    cores: int


class Listener(NamedTuple):
    """A broker as the run meets it. `files`: that its process may have open, None: not known."""

    name: str
    devices: int
    files: int | None = None
    most: int | None = None


class Shortfall(NamedTuple):
    """Something that is too small: a line that names the limit, its value, what is needed and what to raise."""

    line: str
    grave: bool = True


def machine(is_local: bool = True) -> Machine:
    """This machine. `is_local`: whether the brokers are on its loopback interface."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(hard, port_range(), None if is_local else 1, free_memory(), os.cpu_count() or 1)


def port_range() -> tuple[int, int]:
    """The ports that the machine gives away by itself, first and last."""
    try:
        first, last = PORTS.read_text().split()
    except (OSError, ValueError):
        return 32768, 60999
    return int(first), int(last)


def free_memory() -> int:
    """Bytes that are available, of a container's share where there is one."""
    free = [psutil.virtual_memory().available]
    for path in CGROUP_LIMITS:
        try:
            free.append(int(path.read_text()))
        except (OSError, ValueError):  # no such kind of limit here, or "max"
            continue
    return min(free)


def open_files_of(pid: int) -> int | None:
    """How many files a process of this machine may have open; None: not to be seen."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Max open files")).split()[3])
    except (OSError, ValueError, StopIteration):
        return None


def processes_for(connections: int, here: Machine) -> int:
    """Processes that bear so many connections: as many as open files ask for, more while there are cores for them."""
    worth = max(1, min(here.cores - 1, ceil(connections / 2_000)))
    return max(worth, ceil(connections / max(here.files - SPARE_FILES, 1)))


def check_sockets(
    connections: int, listeners: Sequence[Listener], here: Machine, *, processes: int | None = None, tls: bool = False
) -> list[Shortfall]:
    """What is too small for one connection per device."""
    many = processes or processes_for(connections, here)
    found = [
        files(ceil(connections / many) + SPARE_FILES, here.files, f"{connections:,} connections in {many} processes")
    ]
    found += [
        ports(listeners, here),
        memory(many * PROCESS_BYTES + connections * (TLS_BYTES if tls else PLAIN_BYTES), here),
    ]
    found += [door(listener) for listener in listeners]
    found += [cores(many, here)]
    return [one for one in found if one]


def check_gateways(connections: int, devices: int, here: Machine) -> list[Shortfall]:
    """What is too small for a few connections that carry the messages of many devices."""
    need = PROCESS_BYTES + devices * FLEET_BYTES
    found = [files(connections + SPARE_FILES, here.files, f"{connections:,} gateway connections"), memory(need, here)]
    return [one for one in found if one]


FLEET_BYTES = 250
"""A device of a fleet, with its clock."""


def refusal(shortfalls: Sequence[Shortfall]) -> str | None:
    """Why nothing may be sent, a line each; None: nothing is in the way."""
    return "\n".join(one.line for one in shortfalls if one.grave) or None


def files(needed: int, allowed: int, why: str) -> Shortfall | None:
    """Open files of a process."""
    if needed <= allowed:
        return None
    return Shortfall(
        f"open files of a process: {allowed:,} allowed (hard limit of `ulimit -n`), {needed:,} needed for {why}; "
        f"raise it with `ulimit -Hn {needed}` as root, or simulate fewer devices here (--shard)"
    )


def ports(listeners: Sequence[Listener], here: Machine) -> Shortfall | None:
    """A connection takes a port of its source address; the same port may lead to several brokers."""
    first, last = here.ports
    count = max(last - first + 1, 0)
    if here.sources is None or not listeners:
        return None if count else Shortfall(f"ports: none in net.ipv4.ip_local_port_range = {first} {last}")
    most = max(listeners, key=lambda listener: listener.devices)
    if most.devices <= count * here.sources:
        return None
    return Shortfall(
        f"ports: {count * here.sources:,} to one broker (net.ipv4.ip_local_port_range = {first} {last}, "
        f"{here.sources} source address{'es' if here.sources > 1 else ''}), {most.devices:,} needed for {most.name}; "
        "widen it with `sysctl -w net.ipv4.ip_local_port_range='1024 65535'`, or add brokers or source addresses"
    )


def memory(needed: int, here: Machine) -> Shortfall | None:
    """Memory, as estimated from measurements."""
    if needed <= here.memory:
        return None
    return Shortfall(
        f"memory: {here.memory // 2**20:,} MB free, about {needed // 2**20:,} MB needed; "
        "free some, or simulate fewer devices here (--shard)"
    )


def door(listener: Listener) -> Shortfall | None:
    """What a broker bears."""
    limits = [
        (listener.files and listener.files - BROKER_SPARE_FILES, "the open files of its process"),
        (listener.most, "max_connections of its listener"),
    ]
    least, name = min(((limit, name) for limit, name in limits if limit is not None), default=(None, ""))
    if least is None or listener.devices <= least:
        return None
    return Shortfall(
        f"{listener.name}: takes {least:,} devices ({name}), {listener.devices:,} needed; "
        "raise `ulimit -n` where `dothi up` starts, or take more --broker-shards"
    )


def cores(processes: int, here: Machine) -> Shortfall | None:
    """Processes against cores."""
    if processes <= here.cores * PER_CORE:
        return None
    return Shortfall(
        f"cores: {here.cores}, {processes} processes needed because each may have {here.files:,} open files; "
        f"raise `ulimit -n`, or simulate fewer devices here (--shard)"
    )


def listeners_of(
    names: Sequence[str], devices: Sequence[int], pids: Sequence[int] = (), most: int | None = None
) -> list[Listener]:
    """Brokers with the devices that come to each. `pids`: of all of them in their order, where they run here. `most`:
    max_connections of each listener."""
    limits = [open_files_of(pid) for pid in pids] if len(pids) == len(names) else [None] * len(names)
    return [
        Listener(f"broker {name}", many, limit, most) for name, many, limit in zip(names, devices, limits, strict=True)
    ]
