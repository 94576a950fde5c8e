"""The devices of one process, each with a connection of its own, from the first that comes to the last that leaves."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from simulators import draw
from simulators.city import City, members_of
from simulators.draw import Floats
from simulators.fleet import Fleet
from simulators.scenario import QUIET, Outage, Scenario
from simulators.schedule import USUAL, Shares
from simulators.sockets_count import Counts, Times
from simulators.sockets_links import Links
from simulators.sockets_manner import Manner
from simulators.sockets_outbox import Outbox
from simulators.sockets_wire import Address
from simulators.spool import Rows
from simulators.tally import Tally

TICK_S = 0.01
AHEAD_S, LEAD_S = 1.0, 0.25
"""Messages are written for a second at once, this long before the first of them is due."""
TELL_S = 0.5
DRAIN_S, LEAVE_S = 5.0, 5.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a city is told besides its fleet and shard, see `simulators.city.City`."""

    start: float
    boot: int
    speed: float = 1.0
    shares: Shares = USUAL
    scenario: Scenario = QUIET

    def city(self, fleet: Fleet, shard: tuple[int, int] = (1, 1)) -> City:
        """The city, or a part of it."""
        return City(
            fleet,
            start=self.start,
            boot=self.boot,
            speed=self.speed,
            shares=self.shares,
            scenario=self.scenario,
            shard=shard,
        )


class Order(NamedTuple):
    """Which devices come. `tokens`, `places` (index into `brokers`): one per device of the shard. `sources`: addresses
    to come from."""

    fleet: Fleet
    shard: tuple[int, int]
    tokens: NDArray[np.bytes_]
    brokers: tuple[Address, ...]
    places: NDArray[np.uint8]
    sources: tuple[str, ...]
    manner: Manner


class Begin(NamedTuple):
    """What the devices say when they have come. `end`: s since 1970, infinite: until told."""

    rehearsal: Rehearsal
    outages: tuple[Outage, ...]
    end: float


class Told(NamedTuple):
    """What a process tells: its counts so far, and times and rows of messages that it has not told before.

    `trouble`: why it cannot go on.
    """

    counts: Counts
    times: Times
    rows: Sequence[Rows] = ()
    over: bool = False
    trouble: str | None = None


class Part:
    """The devices of one process from the first connection to the last."""

    def __init__(self, order: Order, before: int) -> None:
        """`before`: bytes of the process when it knew of no device."""
        self._offset = time.time() - time.monotonic()  # a step of the wall clock moves nothing
        self._order, self._me = order, psutil.Process()
        self._members = members_of(order.fleet, order.shard)
        self.counts, self._times = Counts(began=self.now()), Times()
        self._before = before
        self._links = Links(
            order.fleet,
            self._members,
            order.tokens,
            order.brokers,
            order.places,
            order.sources,
            order.manner,
            self.counts,
            self._times,
            self.now,
        )

    def now(self) -> float:
        """Seconds since 1970."""
        return time.monotonic() + self._offset

    def run(self, line: Connection) -> None:
        """Come, say what `line` tells to say, and leave when it is over or `line` says anything else.

        Raises EOFError when nobody is there any more.
        """
        begin = self._gather(line)
        rows: list[Rows] = []
        if begin:
            speech = Speech(self._order, begin, self._links, self.counts.tally)
            self._speak(speech, line)
            rows = speech.outbox.known()
        self._tell(line, rows, over=True)
        self._leave()

    def close(self) -> None:
        """Close all connections."""
        self._links.close()

    def _gather(self, line: Connection) -> Begin | None:
        while not (word := self._word(line)):
            self.counts.growth_bytes = self.counts.memory_bytes - self._before
            self._for_a_while(lambda: self._links.turn(TICK_S))
        return word if isinstance(word, Begin) else None

    def _speak(self, speech: "Speech", line: Connection) -> None:
        while not speech.is_over(self.now()):
            self._for_a_while(lambda: speech.turn(self.now))
            speech.outbox.tidy(self.now())
            if self._word(line, speech.outbox.known()):
                break
        speech.outbox.push(min(self.now(), speech.end))
        deadline = self.now() + DRAIN_S
        while not speech.outbox.is_settled and self.now() < deadline:
            self._links.turn(TICK_S)
        speech.outbox.close()
        self._links.post = None

    def _for_a_while(self, turn: Callable[[], None]) -> None:
        until = self.now() + TELL_S
        while self.now() < until:
            turn()

    def _word(self, line: Connection, rows: Sequence[Rows] = ()) -> object:
        self._tell(line, rows)
        return line.recv() if line.poll() else None

    def _tell(self, line: Connection, rows: Sequence[Rows], over: bool = False) -> None:
        spent = self._me.cpu_times()
        self.counts.cpu_s, self.counts.memory_bytes = spent.user + spent.system, memory_of(self._me)
        line.send(Told(self.counts, self._times.taken(), rows, over))

    def _leave(self) -> None:
        self._links.leave(self.now())
        deadline = self.now() + LEAVE_S
        while self._links.standing and self.now() < deadline:
            self._links.turn(TICK_S)


class Speech:
    """What the devices of one process say, with the outages they suffer."""

    def __init__(self, order: Order, begin: Begin, links: Links, tally: Tally) -> None:
        self.end, self._start, self._links, self._first_s = (
            begin.end,
            begin.rehearsal.start,
            links,
            order.manner.first_s,
        )
        self._city = begin.rehearsal.city(order.fleet, order.shard)
        self.outbox = links.post = Outbox(self._city, links, tally)
        self._outages = sorted(begin.outages, key=lambda outage: outage.start)
        self._written = self._start

    def is_over(self, now: float) -> bool:
        """Whether the end has come; all that was due before it has been offered."""
        return now >= self.end and self._written >= self.end

    def turn(self, clock: Callable[[], float]) -> None:
        """Do what is to be done at this time."""
        now = clock()
        while self._outages and self._outages[0].start <= now:
            self._go_dark(self._outages.pop(0))
        if now + LEAD_S >= self._written and self._written < self.end:
            self._written = min(max(now, self._written) + AHEAD_S, self.end)
            self.outbox.write(self._written)
        self._links.turn(TICK_S)
        self.outbox.push(clock())

    def _go_dark(self, outage: Outage) -> None:
        members = self._city.members
        slots = np.flatnonzero(np.isin(members, outage.device))
        if outage.restart:
            self.outbox.forget(slots)
        back = back_at(self._city.fleet.key[members[slots]], outage, self._first_s)
        self._links.cut(slots, back, outage.end, outage.restart)


def memory_of(process: psutil.Process) -> int:
    """Bytes that a process has for itself."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def back_at(keys: draw.Keys, outage: Outage, first_s: float) -> Floats:
    """When each device tries to come back: full jitter from the end of the outage, the same for a seed always."""
    return outage.end + draw.uniform(keys, draw.salt("back", outage.end)) * first_s
