"""The devices of one process, each with a connection of its own, from the first that comes to the last that leaves."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from simulators import draw
from simulators.city import City
from simulators.draw import Floats
from simulators.fleet import Fleet
from simulators.scenario import QUIET, Outage, Scenario
from simulators.schedule import USUAL, Shares
from simulators.sockets_count import Counts
from simulators.sockets_links import Links, Manner
from simulators.sockets_outbox import Outbox
from simulators.sockets_wire import Address
from simulators.spool import Spool

TICK_S = 0.01
AHEAD_S, LEAD_S = 1.0, 0.25
"""Messages are written for a second at once, this long before the first of them is due."""
TELL_S = 0.5
DRAIN_S, LEAVE_S = 5.0, 5.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A city as `simulators.city.City` is told to be, before it is divided among processes."""

    fleet: Fleet
    start: float
    boot: int
    speed: float = 1.0
    shares: Shares = USUAL
    scenario: Scenario = QUIET
    shard: tuple[int, int] = (1, 1)

    def city(self, part: int = 0, parts: int = 1) -> City:
        """The city of one of `parts` processes, counted from 0."""
        return City(
            self.fleet,
            start=self.start,
            boot=self.boot,
            speed=self.speed,
            shares=self.shares,
            scenario=self.scenario,
            shard=divided(self.shard, part, parts),
        )


class Order(NamedTuple):
    """What a process is told. `tokens`: of its devices in their order. `areas`: those of each broker. `end`: s since
    1970, None: until told."""

    rehearsal: Rehearsal
    part: int
    parts: int
    tokens: NDArray[np.bytes_]
    brokers: tuple[Address, ...]
    areas: tuple[tuple[str, ...], ...]
    sources: tuple[str, ...]
    manner: Manner
    outages: tuple[Outage, ...]
    end: float | None
    spool: Path


class Told(NamedTuple):
    """What a process tells."""

    counts: Counts
    over: bool


def divided(shard: tuple[int, int], part: int, parts: int) -> tuple[int, int]:
    """One of `parts` disjoint shards that together are `shard`.

    >>> [divided((2, 8), part, 3) for part in range(3)]
    [(2, 24), (10, 24), (18, 24)]
    """
    first, of = shard
    return first + of * part, of * parts


def broker_of(fleet: Fleet, members: NDArray[np.uint32], areas: Sequence[Sequence[str]]) -> NDArray[np.uint8]:
    """The broker of each device: the one that serves its area, else the first that names no area, else the first."""
    otherwise = next((place for place, some in enumerate(areas) if not some), 0)
    by_area = {area: place for place, some in enumerate(areas) for area in some}
    chosen = np.array([by_area.get(area, otherwise) for area in fleet.areas], dtype=np.uint8)
    return chosen[fleet.area[members]]


class Part:
    """The devices of one process from the first connection to the last."""

    def __init__(self, order: Order, spool: Spool) -> None:
        self._offset = time.time() - time.monotonic()  # a step of the wall clock moves nothing
        self._order, self.counts = order, Counts()
        self._city = order.rehearsal.city(order.part, order.parts)
        self._start, self._end = order.rehearsal.start, float("inf") if order.end is None else order.end
        members = self._city.members
        self._me = psutil.Process()
        self._before = memory_of(self._me)
        places = broker_of(self._city.fleet, members, order.areas)
        self._links = Links(
            self._city.fleet,
            members,
            order.tokens,
            order.brokers,
            places,
            order.sources,
            order.manner,
            self.counts,
            self.now,
        )
        self._outbox = Outbox(self._city, self._links, spool, self.counts)
        self._links.post = self._outbox
        self._outages = sorted(order.outages, key=lambda outage: outage.start)
        self._written = self._start

    def now(self) -> float:
        """Seconds since 1970."""
        return time.monotonic() + self._offset

    def run(self, line: Connection) -> None:
        """Until the end; tells `line` how it goes and does what it says. Raises EOFError when nobody is there."""
        told, self.counts.first_up = 0.0, self.now()
        while (now := self.now()) < self._end:
            self._turn(now)
            if now - told >= TELL_S:
                told = now
                if line.poll():
                    line.recv()
                    break
                self._tell(line)
        self._outbox.push(min(self.now(), self._end))
        self._drain()
        self._measure()
        line.send(Told(self.counts, over=True))
        self._leave()

    def close(self) -> None:
        """Close all connections."""
        self._links.close()

    def _turn(self, now: float) -> None:
        while self._outages and self._outages[0].start <= now:
            self._go_dark(self._outages.pop(0))
        if now + LEAD_S >= self._written and self._written < self._end:
            self._written = min(max(now, self._written) + AHEAD_S, self._end)
            self._outbox.write(self._written)
        self._links.turn(TICK_S)
        self._outbox.push(self.now())

    def _go_dark(self, outage: Outage) -> None:
        members = self._city.members
        slots = np.flatnonzero(np.isin(members, outage.device))
        if outage.restart:
            self._outbox.forget(slots)
        back = back_at(self._city.fleet.key[members[slots]], outage, self._order.manner.first_s)
        self._links.cut(slots, back, outage.end, outage.restart)

    def _tell(self, line: Connection) -> None:
        self._outbox.tidy(self.now())
        self._measure()
        line.send(Told(self.counts, over=False))

    def _measure(self) -> None:
        times = self._me.cpu_times()
        self.counts.cpu_s, self.counts.memory_bytes = times.user + times.system, memory_of(self._me)
        if self.now() < self._start:  # afterwards it is what messages take
            self.counts.growth_bytes = self.counts.memory_bytes - self._before

    def _drain(self) -> None:
        deadline = self.now() + DRAIN_S
        while not self._outbox.is_settled and self.now() < deadline:
            self._links.turn(TICK_S)
        self._outbox.close()

    def _leave(self) -> None:
        self._links.post = None
        self._links.leave(self.now())
        deadline = self.now() + LEAVE_S
        while self._links.standing and self.now() < deadline:
            self._links.turn(TICK_S)


def memory_of(process: psutil.Process) -> int:
    """Bytes that a process has for itself."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def back_at(keys: draw.Keys, outage: Outage, first_s: float) -> Floats:
    """When each device tries to come back: full jitter from the end of the outage, the same for a seed always."""
    return outage.end + draw.uniform(keys, draw.salt("back", outage.end)) * first_s
