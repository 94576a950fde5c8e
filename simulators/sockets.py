"""Real sockets: one MQTT connection per device, with its own credentials, keep-alive, will and session.

The devices are dealt to processes, each of which has one thread and as many connections as it may have open files.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from math import ceil
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.city import members_of
from simulators.preflight import port_range
from simulators.scenario import Outage
from simulators.sockets_count import Counts, added, summary
from simulators.sockets_links import Manner
from simulators.sockets_part import Order, Rehearsal, Told, broker_of, divided
from simulators.sockets_probe import SocketsError, wait_admitted
from simulators.sockets_wire import Address

OVER_S = 20.0
"""How long processes may take to end after they were told so."""
PER_SOURCE = 10_000
"""Connections from one source address: fewer than the ports that a machine gives away by itself (28,000)."""
FIRST_S, COMING_PER_S = 2.0, 2_500
"""Seconds until a process is ready, and connections a second of one process, as one may count on."""

Progress = Callable[[float, Counts], None]
"""Called every few seconds with the seconds since the start and the counts so far."""


class Child(NamedTuple):
    """A process and the line to it."""

    process: "subprocess.Popen[bytes]"
    line: Connection


def coming_s(connections: int, processes: int) -> float:
    """How long before a city's start its devices should begin to connect."""
    return FIRST_S + connections / (COMING_PER_S * processes)


def sources_for(part: int, connections: int, ports: int = PER_SOURCE) -> tuple[str, ...]:
    """Loopback addresses of one process, where an address has so many ports.

    >>> sources_for(2, 25_000)
    ('127.3.0.1', '127.3.0.2', '127.3.0.3')
    """
    count = ceil(connections / min(max(ports, 1), PER_SOURCE))
    return tuple(f"127.{part % 250 + 1}.{number // 250}.{number % 250 + 1}" for number in range(count))


def drive_sockets(
    rehearsal: Rehearsal,
    brokers: Sequence[tuple[str, Sequence[str]]],
    tokens: NDArray[np.bytes_],
    *,
    seconds: float | None,
    stop: threading.Event,
    folder: Path,
    manner: Manner | None = None,
    processes: int = 1,
    progress: Progress | None = None,
    progress_s: float = 2.0,
    outages: Sequence[Outage] | None = None,
) -> dict[str, Any]:
    """Connect every device, let the city speak for `seconds` (None: until `stop` is set) and return the summary.

    `rehearsal.start` should lie `coming_s` in the future. `brokers`: URL and areas. `tokens`: one per device of the
    rehearsal's shard, in their order. What became of every message is in `folder`, `sockets-N.spool` of each process.
    `outages`: others than the scenario's. Raises SocketsError when a process ends too soon.
    """
    told = outages if outages is not None else of_scenario(rehearsal)
    end = None if seconds is None else rehearsal.start + seconds
    places = tuple(Address.of(url) for url, _ in brokers)
    areas = tuple(tuple(some) for _, some in brokers)
    everyone = members_of(rehearsal.fleet, rehearsal.shard)
    first, last = port_range()
    children: list[Child] = []
    try:
        for part in range(processes):
            members = members_of(rehearsal.fleet, divided(rehearsal.shard, part, processes))
            own = tokens[np.searchsorted(everyone, members)]
            from_where = sources_for(part, len(members), last - first + 1)
            spool = folder / f"sockets-{part}.spool"
            how = manner or Manner()
            children.append(started())
            children[-1].line.send(
                Order(rehearsal, part, processes, own, places, areas, from_where, how, tuple(told), end, spool)
            )
        counts = watched(children, rehearsal.start, stop, progress, progress_s)
    finally:
        took = time.time() - rehearsal.start
        ended(children)
    return summary(counts, took if seconds is None else min(took, seconds), len(everyone), processes)


def check_doors(
    rehearsal: Rehearsal,
    brokers: Sequence[tuple[str, Sequence[str]]],
    tokens: NDArray[np.bytes_],
    *,
    ca: str | None = None,
    patience_s: float = 15.0,
) -> None:
    """Wait until each broker lets in the last of its devices: tokens are known there a moment after they were issued.

    Raises SocketsError when one refuses, or does not answer, for `patience_s`. Arguments as for `drive_sockets`.
    """
    everyone = members_of(rehearsal.fleet, rehearsal.shard)
    places = broker_of(rehearsal.fleet, everyone, [areas for _, areas in brokers])
    for number, (url, _) in enumerate(brokers):
        own = np.flatnonzero(places == number)
        if len(own):
            device = rehearsal.fleet.ids(everyone[own[-1:]].astype(np.int64))[0]
            wait_admitted(Address.of(url), device, bytes(tokens[own[-1]]), ca, patience_s)


def of_scenario(rehearsal: Rehearsal) -> list[Outage]:
    """The outages of a rehearsal's scenario."""
    return [outage for effect in rehearsal.scenario for outage in effect.outages(rehearsal.fleet)]


def started() -> Child:
    """A process that waits for its order; in a group of its own, so that Ctrl-C is ours alone."""
    ours, theirs = Pipe()
    with theirs:
        number = theirs.fileno()
        command = [sys.executable, "-m", "simulators.sockets_child", str(number)]
        return Child(subprocess.Popen(command, pass_fds=[number], process_group=0), ours)


def watched(
    children: Sequence[Child], start: float, stop: threading.Event, progress: Progress | None, progress_s: float
) -> Counts:
    """The counts of all processes when the last is over."""
    latest, over, shown, asked = [Counts()] * len(children), set[int](), time.monotonic(), False
    lines: list[Any] = [child.line for child in children]
    while len(over) < len(children):
        for line in wait([line for place, line in enumerate(lines) if place not in over], 0.2):
            place = lines.index(line)
            try:
                said: Told = lines[place].recv()
            except (EOFError, ConnectionResetError):
                code = children[place].process.wait(OVER_S)
                raise SocketsError(f"process {place + 1} of the simulator ended too soon (exit {code})") from None
            latest[place] = said.counts
            if said.over:
                over.add(place)
        if stop.is_set() and not asked:
            asked = True
            for place in range(len(children)):
                if place not in over:
                    lines[place].send("stop")
        if progress and time.monotonic() - shown >= progress_s:
            shown = time.monotonic()
            progress(time.time() - start, added(latest))
    return added(latest)


def ended(children: Sequence[Child]) -> None:
    """Let go of all processes, which ends them, and wait; one that does not end is killed."""
    deadline = time.monotonic() + OVER_S
    for child in children:
        child.line.close()
    for child in children:
        try:
            child.process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
