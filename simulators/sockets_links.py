"""Connections of many devices in one thread: who comes when, stays alive, is cut and comes back.

State is a few array elements per connection, about 100 bytes with the token; the rest is the kernel's.
"""

import random
import resource
import select
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulators import sockets_packets as mqtt
from simulators.draw import Floats, Ints
from simulators.fleet import Fleet
from simulators.sockets_count import Counts
from simulators.sockets_wire import Address, Plain, Tls, Wire, failure_name

NEVER = float("inf")
CHECK_S, EVENTS = 0.25, 512


class Phase(IntEnum):
    """Where a connection is."""

    AWAY = 0
    OPENING = 1
    ASKING = 2
    UP = 3


@dataclass(frozen=True, slots=True)
class Manner:
    """How devices behave on their connections; all in s.

    `at_once`: connections of a process that may be under way at the same time; a broker's backlog holds about 100.
    `first_s`, `longest_s`: full jitter: the wait before attempt n is drawn evenly from 0 to first × 2^n or longest.
    `listen`: subscribe to acknowledgements and commands. `session_s`: how long the broker keeps what it has for one.
    """

    keepalive_s: int = 60
    session_s: int = 3600
    answer_within_s: float = 15.0
    first_s: float = 2.0
    longest_s: float = 120.0
    at_once: int = 48
    listen: bool = False
    ca: str | None = None


class Post(Protocol):
    """Whose messages go through the connections."""

    def is_up(self, slot: int, session: bool, now: float) -> None:
        """A device is connected; whether its session was still there."""

    def settle(self, slot: int, number: int, code: int, now: float) -> None:
        """A PUBACK came."""


class Links:
    """The connections of one process. A device's place among `members` is its slot."""

    def __init__(
        self,
        fleet: Fleet,
        members: NDArray[np.uint32],
        tokens: NDArray[np.bytes_],
        brokers: Sequence[Address],
        broker_of: Sequence[int] | NDArray[np.uint8],
        sources: Sequence[str],
        manner: Manner,
        counts: Counts,
        clock: Callable[[], float],
    ) -> None:
        """`tokens`, `broker_of` (index into `brokers`): one per member. `sources`: own addresses to come from.

        `clock`: s since 1970.
        """
        count = len(members)
        self._fleet, self._members, self._tokens, self._manner, self._counts = fleet, members, tokens, manner, counts
        self._brokers, self._broker_of, self._sources = brokers, bytes(broker_of), sources
        self._wires: dict[bool, Wire] = {False: Plain()}
        if any(broker.tls for broker in brokers):
            self._wires[True] = Tls(manner.ca)
        self.phase, self._tries, self._clean, self._known = (bytearray(count) for _ in range(4))
        self._fd = array("i", [-1]) * count
        self._window = array("H", [0xFFFF]) * count
        self._keepalive = array("H", [manner.keepalive_s]) * count
        # Seconds since 1970: when to come (not looked at while one is there), since when one wants to be back, when
        # something was written last, when a PINGREQ was that has no answer yet.
        self._next, self._since = array("d", [0.0]) * count, array("d", [NEVER]) * count
        self._wrote, self._pinged = array("d", [0.0]) * count, array("d", [NEVER]) * count
        # One element is quick to reach in the array, all of them are in its view.
        self._all_next, self._all_wrote, self._all_pinged = map(np.frombuffer, (self._next, self._wrote, self._pinged))
        self._phases = np.frombuffer(self.phase, dtype=np.uint8)
        self._keepalives = np.frombuffer(self._keepalive, dtype=np.uint16)
        self._patience = 0.4 + 0.4 * (fleet.key[members] >> np.uint64(40)).astype(np.float32) / 2**24
        self._slot_of = array("i", [-1]) * resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._opening: dict[int, tuple[bytes, float]] = {}
        self._unsent: dict[int, bytes] = {}
        self._rest: dict[int, bytes] = {}
        self._random, self._checked = random.Random(), 0.0  # noqa: S311 - spreads reconnects, guards nothing
        self._clock = clock
        self._poll = select.epoll()
        self.post: Post | None = None

    # --- what the outside asks

    def turn(self, wait: float) -> None:
        """Wait at most `wait` s for something to happen, and do what is to be done."""
        events = self._poll.poll(wait, EVENTS)
        now = self._clock()
        for fd, mask in events:
            slot = self._slot_of[fd]
            if slot >= 0:
                try:
                    self._happened(slot, fd, mask, now)
                except OSError as error:
                    self._lose(slot, failure_name(error), now)
                except mqtt.StreamError as error:
                    self._lose(slot, f"no MQTT: {error}", now)
        self._open_due(now)
        if now - self._checked >= CHECK_S:
            self._checked = now
            self._ping(now)
            self._expire(now)

    def may_send(self, slot: int, in_flight: int) -> bool:
        """Whether a device is connected and has room for another message."""
        return self.phase[slot] == Phase.UP and in_flight < self._window[slot]

    def send(self, slot: int, said: bytes, now: float) -> None:
        """Send something of a device that is connected; when its connection breaks, that shows later."""
        if slot in self._unsent:
            self._unsent[slot] += said
            return
        fd = self._fd[slot]
        self._wrote[slot] = now
        try:
            taken = self._wire(slot).write(fd, said)
        except OSError:
            return  # the poll tells it, too
        if taken < len(said):
            self._unsent[slot] = said[taken:]
            self._poll.modify(fd, select.EPOLLIN | select.EPOLLOUT)

    def cut(self, slots: Ints, back: Floats, wanted: float, restart: bool) -> None:
        """Take connections away without a word until `back` (s since 1970, one per slot); they are missed from
        `wanted`. `restart`: the session is not asked for afterwards."""
        for slot, at in zip(slots.tolist(), back.tolist(), strict=True):
            if self.phase[slot] == Phase.UP:
                self._counts.cut += 1
                self._counts.connected -= 1
            if self.phase[slot] != Phase.AWAY:
                self._close(slot)
            if self._known[slot]:
                self._since[slot] = wanted
            self._next[slot], self._tries[slot] = max(at, self._next[slot]), 0
            self._clean[slot] |= restart

    def leave(self, now: float) -> None:
        """All say goodbye with their will, and end their sessions; nobody comes any more."""
        self._all_next[:] = NEVER
        for slot in list(self._opening):
            self._close(slot)
        for slot in np.flatnonzero(self._phases == Phase.UP).tolist():
            self.send(slot, mqtt.GONE_FOR_GOOD, now)
        self._counts.connected = 0

    @property
    def standing(self) -> int:
        """Connections that are not closed yet."""
        return int(np.count_nonzero(self._phases))

    def close(self) -> None:
        """Close everything."""
        for slot in np.flatnonzero(self._phases).tolist():
            self._close(slot)
        self._poll.close()

    # --- coming

    def _open_due(self, now: float) -> None:
        room = self._manner.at_once - len(self._opening)
        if room <= 0:
            return
        slots = np.flatnonzero((self._all_next <= now) & (self._phases == Phase.AWAY))
        if len(slots) > room:
            slots = slots[np.argsort(self._all_next[slots], kind="stable")[:room]]
        if not len(slots):
            return
        devices = self._members[slots].astype(np.int64)
        names = self._fleet.ids(devices)
        areas = self._fleet.area[devices].tolist()
        for slot, name, area in zip(slots.tolist(), names, areas, strict=True):
            self._open(slot, name.encode(), self._fleet.areas[area], now)

    def _open(self, slot: int, name: bytes, area: str, now: float) -> None:
        manner, topic = self._manner, b"dothi/v1/%s/%s" % (area.encode(), name)
        address = self._brokers[self._broker_of[slot]]
        source = self._sources[slot % len(self._sources)] if self._sources and address.is_local else None
        try:
            fd = self._wire(slot).open(address, source)
        except OSError as error:
            self._retry(slot, failure_name(error), now)
            return
        self._fd[slot], self._slot_of[fd], self.phase[slot] = fd, slot, Phase.OPENING
        self._opening[slot] = topic, now
        self._unsent[slot] = mqtt.connect(
            topic,
            name,
            bytes(self._tokens[slot]),
            keepalive=manner.keepalive_s,
            session=manner.session_s,
            clean=bool(self._clean[slot]),
        )
        self._poll.register(fd, select.EPOLLIN | select.EPOLLOUT)

    def _happened(self, slot: int, fd: int, mask: int, now: float) -> None:
        if self.phase[slot] == Phase.OPENING:
            if mask & (select.EPOLLERR | select.EPOLLHUP):
                self._wire(slot).read(fd)  # raises what is wrong
            if not self._wire(slot).shake(fd):
                self._poll.modify(fd, select.EPOLLIN)
                return
            self.phase[slot], mask = Phase.ASKING, mask | select.EPOLLOUT
        if mask & select.EPOLLOUT:
            self._flush(slot, fd, now)
        if mask & ~select.EPOLLOUT:
            self._read(slot, fd, now)

    def _flush(self, slot: int, fd: int, now: float) -> None:
        said = self._unsent.get(slot, b"")
        rest = said[self._wire(slot).write(fd, said) :] if said else b""
        self._wrote[slot] = now
        if rest:
            self._unsent[slot] = rest
            self._poll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
        else:
            self._unsent.pop(slot, None)
            self._poll.modify(fd, select.EPOLLIN)

    # --- being spoken to

    def _read(self, slot: int, fd: int, now: float) -> None:
        came = self._wire(slot).read(fd)
        if came is None:
            return
        if slot in self._rest:
            came = self._rest.pop(slot) + came if came else b""
        if not came:
            self._lose(slot, "ended by the broker", now)
            return
        packets, rest = mqtt.whole(came)
        if rest:
            self._rest[slot] = rest
        for head, body in packets:
            if self.phase[slot] >= Phase.ASKING:
                self._heard(slot, head, body, now)

    def _heard(self, slot: int, head: int, body: bytes, now: float) -> None:
        kind = head >> 4
        if kind == mqtt.PUBACK:
            number, code = mqtt.publish_ack(body)
            if self.post and number != mqtt.STATUS_ID:
                self.post.settle(slot, number, code, now)
        elif kind == mqtt.CONNACK:
            self._welcomed(slot, mqtt.welcome(body), now)
        elif kind == mqtt.PINGRESP:
            self._pinged[slot] = NEVER
        elif kind == mqtt.DISCONNECT:
            self._lose(slot, mqtt.reason_name(body[0]) if body else "ended by the broker", now)
        elif kind == mqtt.PUBLISH:
            self._counts.heard += 1
            if number := mqtt.heard(head, body)[1]:
                self.send(slot, mqtt.acknowledge(number), now)

    def _welcomed(self, slot: int, welcome: mqtt.Welcome, now: float) -> None:
        if welcome.reason:
            self._lose(slot, mqtt.reason_name(welcome.reason), now)
            return
        counts, (topic, asked) = self._counts, self._opening.pop(slot)
        counts.connect_s.note(now - asked)
        counts.connected += 1
        counts.connects += 1
        if self._known[slot]:
            counts.reconnects += 1
            counts.away_s.note(now - self._since[slot])
        else:
            counts.last_up = now
        self.phase[slot], self._known[slot], self._tries[slot], self._clean[slot] = Phase.UP, 1, 0, 0
        self._window[slot], self._pinged[slot] = welcome.window, NEVER
        self._keepalive[slot] = self._manner.keepalive_s if welcome.keepalive is None else welcome.keepalive
        listen = self._manner.listen and not welcome.session
        self.send(slot, mqtt.online(topic) + (mqtt.listen(topic) if listen else b""), now)
        if self.post:
            self.post.is_up(slot, welcome.session, now)

    # --- going

    def _lose(self, slot: int, reason: str, now: float) -> None:
        """A connection is gone, or did not come about."""
        stood = self.phase[slot] == Phase.UP
        self._close(slot)
        if stood:
            self._counts.connected -= self._counts.connected > 0
            self._since[slot] = now
            self._counts.disconnects[reason] += 1
            self._wait(slot, now)
        else:
            self._retry(slot, reason, now)

    def _retry(self, slot: int, reason: str, now: float) -> None:
        self._counts.turned_away[reason] += 1
        self._wait(slot, now)

    def _wait(self, slot: int, now: float) -> None:
        """Full jitter; one that leaves for good does not come back."""
        if self._next[slot] == NEVER:
            return
        longest = min(self._manner.longest_s, self._manner.first_s * 2 ** min(self._tries[slot], 16))
        self._tries[slot] = min(self._tries[slot] + 1, 255)
        self._next[slot] = now + self._random.random() * longest

    def _close(self, slot: int) -> None:
        fd = self._fd[slot]
        self._wire(slot).close(fd)
        self._slot_of[fd], self._fd[slot], self.phase[slot], self._pinged[slot] = -1, -1, Phase.AWAY, NEVER
        self._opening.pop(slot, None)
        self._unsent.pop(slot, None)
        self._rest.pop(slot, None)

    def _ping(self, now: float) -> None:
        quiet = (self._phases == Phase.UP) & (self._keepalives > 0) & (self._all_pinged == NEVER)
        # At shares of the keep-alive of their own, so that those who came together do not go on together.
        patience = np.minimum(self._patience * self._keepalives, self._keepalives - 2 * CHECK_S)
        for slot in np.flatnonzero(quiet & (now - self._all_wrote >= patience)).tolist():
            self._pinged[slot] = now
            self._counts.pings += 1
            self.send(slot, mqtt.PINGREQ, now)

    def _expire(self, now: float) -> None:
        late = [slot for slot, (_, asked) in self._opening.items() if now - asked > self._manner.answer_within_s]
        for slot in late:
            self._lose(slot, "no answer", now)
        for slot in np.flatnonzero(now - self._all_pinged > self._manner.answer_within_s).tolist():
            self._lose(slot, "no PINGRESP", now)

    def _wire(self, slot: int) -> Wire:
        return self._wires[self._brokers[self._broker_of[slot]].tls]
