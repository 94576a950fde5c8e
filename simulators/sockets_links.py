"""Connections of many devices in one thread: who comes when, stays alive, is cut and comes back.

State is a few array elements per connection, about 100 bytes with the token; the rest is the kernel's.
"""

import random
from array import array
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulators import mqtt
from simulators.draw import Floats, Ints
from simulators.fleet import Fleet
from simulators.sockets_count import Counts, Times
from simulators.sockets_lines import Lines
from simulators.sockets_manner import Manner
from simulators.sockets_wire import Address, failure_name

NEVER = float("inf")
LOOK_S, CHECK_S = 0.002, 0.25
"""How often it is looked who is to come, and who has been silent for too long: both look at all devices."""


class Phase(IntEnum):
    """Where a connection is: not there, waiting for its CONNACK, let in."""

    AWAY = 0
    ASKING = 1
    UP = 2


class Post(Protocol):
    """Whose messages go through the connections. `now`: s since 1970."""

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
        broker_of: NDArray[np.uint8],
        sources: Sequence[str],
        manner: Manner,
        counts: Counts,
        times: Times,
        clock: Callable[[], float],
    ) -> None:
        """`tokens`, `broker_of` (index into `brokers`): one per member. `sources`: own addresses to come from.

        `clock`: s since 1970.
        """
        count = len(members)
        self._fleet, self._members, self._tokens, self._manner, self._counts = fleet, members, tokens, manner, counts
        self._sources, self._times, self._clock = sources or (None,), times, clock
        counts.tally.lines = count
        self._lines = Lines(count, brokers, broker_of.tobytes(), manner.ca)
        self._phase, self._tries, self._clean, self._known = (bytearray(count) for _ in range(4))
        self._window = array("H", [0xFFFF]) * count
        self._keepalive = array("H", [manner.keepalive_s]) * count
        # Seconds since 1970: when to come (not looked at while one is there), since when one wants to be back, when
        # something was sent last, when a PINGREQ was that has no answer yet.
        self._next, self._since = array("d", [0.0]) * count, array("d", [NEVER]) * count
        self._wrote, self._pinged = array("d", [0.0]) * count, array("d", [NEVER]) * count
        # One element is quick to reach in the array, all of them are in its view.
        self._all_next, self._all_wrote, self._all_pinged = map(np.frombuffer, (self._next, self._wrote, self._pinged))
        self._phases = np.frombuffer(self._phase, dtype=np.uint8)
        self._keepalives = np.frombuffer(self._keepalive, dtype=np.uint16)
        self._patience = 0.4 + 0.4 * (fleet.key[members] >> np.uint64(40)).astype(np.float32) / 2**24
        self._asking: dict[int, tuple[bytes, float]] = {}
        self._random = random.Random()  # noqa: S311 - spreads reconnects, guards nothing
        self._looked = self._checked = 0.0
        self.post: Post | None = None

    # --- what the outside asks

    def turn(self, wait: float) -> None:
        """Wait at most `wait` s for something to happen, and do what is to be done."""
        self._lines.turn(wait, self)
        now = self._clock()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._open_due(now)
        if now - self._checked >= CHECK_S:
            self._checked = now
            self._ping(now)
            self._expire(now)

    def may_send(self, slot: int, in_flight: int) -> bool:
        """Whether a device is connected and has room for another message."""
        return self._phase[slot] == Phase.UP and in_flight < self._window[slot]

    def send(self, slot: int, said: bytes, now: float) -> None:
        """Send something of a device that is connected; when its connection breaks, that shows later."""
        self._wrote[slot] = now
        self._lines.send(slot, said)

    def cut(self, slots: Ints, back: Floats, wanted: float, restart: bool) -> None:
        """Take connections away without a word until `back` (s since 1970, one per slot); they are missed from
        `wanted`. `restart`: the session is not asked for afterwards."""
        for slot, at in zip(slots.tolist(), back.tolist(), strict=True):
            if self._phase[slot] == Phase.UP:
                self._counts.cut += 1
                self._counts.tally.up -= 1
            self._close(slot)
            if self._known[slot]:
                self._since[slot] = wanted
            self._next[slot], self._tries[slot] = max(at, self._next[slot]), 0
            self._clean[slot] |= restart

    def leave(self, now: float) -> None:
        """All say goodbye with their will, and end their sessions; nobody comes any more."""
        self._all_next[:] = NEVER
        for slot in list(self._asking):
            self._close(slot)
        for slot in np.flatnonzero(self._phases == Phase.UP).tolist():
            self.send(slot, mqtt.GONE_FOR_GOOD, now)

    @property
    def standing(self) -> int:
        """Connections that are not closed yet."""
        return int(np.count_nonzero(self._phases))

    def close(self) -> None:
        """Close everything."""
        self._lines.close_all()

    # --- coming

    def _open_due(self, now: float) -> None:
        room = self._manner.at_once - len(self._asking)
        if room <= 0:
            return
        slots = np.flatnonzero((self._all_next <= now) & (self._phases == Phase.AWAY))
        if len(slots) > room:
            slots = slots[np.argsort(self._all_next[slots], kind="stable")[:room]]
        if not len(slots):
            return
        devices = self._members[slots].astype(np.int64)
        areas = self._fleet.area[devices].tolist()
        for slot, name, area in zip(slots.tolist(), self._fleet.ids(devices), areas, strict=True):
            self._open(slot, name.encode(), self._fleet.areas[area].encode(), now)

    def _open(self, slot: int, name: bytes, area: bytes, now: float) -> None:
        manner, topic = self._manner, b"dothi/v1/%s/%s" % (area, name)
        ours = mqtt.connect(
            topic,
            name,
            bytes(self._tokens[slot]),
            keepalive=manner.keepalive_s,
            session=manner.session_s,
            clean=bool(self._clean[slot]),
        )
        try:
            self._lines.open(slot, self._sources[slot % len(self._sources)], ours)
        except OSError as error:
            self._retry(slot, failure_name(error), now)
            return
        self._phase[slot] = Phase.ASKING
        self._asking[slot] = topic, now

    def _welcomed(self, slot: int, welcome: mqtt.Welcome, now: float) -> None:
        if welcome.reason:
            self.lost(slot, mqtt.reason_name(welcome.reason))
            return
        topic, asked = self._asking.pop(slot)
        self._counted(slot, now, now - asked)
        self._phase[slot], self._known[slot], self._tries[slot], self._clean[slot] = Phase.UP, 1, 0, 0
        self._window[slot] = welcome.window
        self._keepalive[slot] = self._manner.keepalive_s if welcome.keepalive is None else welcome.keepalive
        listen = self._manner.listen and not welcome.session
        self.send(slot, mqtt.online(topic) + (mqtt.listen(topic) if listen else b""), now)
        if self.post:
            self.post.is_up(slot, welcome.session, now)

    def _counted(self, slot: int, now: float, took: float) -> None:
        counts, times = self._counts, self._times
        times.connect.append(took)
        counts.tally.up += 1
        counts.connects += 1
        if self._known[slot]:
            counts.tally.reconnects += 1
            times.away.append(now - self._since[slot])
        else:
            counts.all_came = now

    # --- being spoken to

    def heard(self, slot: int, head: int, body: bytes) -> None:
        """See Ears."""
        kind, now = head >> 4, self._clock()
        if kind == mqtt.PUBACK:
            number, code = mqtt.publish_ack(body)
            if self.post and number != mqtt.STATUS_ID:
                self.post.settle(slot, number, code, now)
        elif kind == mqtt.CONNACK and slot in self._asking:
            self._welcomed(slot, mqtt.welcome(body), now)
        elif kind == mqtt.PINGRESP:
            self._pinged[slot] = NEVER
        elif kind == mqtt.DISCONNECT:
            self.lost(slot, mqtt.reason_name(body[0]) if body else "ended by the broker")
        elif kind == mqtt.PUBLISH:
            self._counts.heard += 1
            if number := mqtt.heard(head, body)[1]:
                self.send(slot, mqtt.acknowledge(number), now)

    # --- going

    def lost(self, slot: int, reason: str) -> None:
        """See Ears."""
        stood, now = self._phase[slot] == Phase.UP, self._clock()
        self._close(slot)
        if not stood:
            self._retry(slot, reason, now)
            return
        self._counts.tally.up -= 1
        self._counts.disconnects[reason] += 1
        self._since[slot] = now
        self._wait(slot, now)

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
        self._lines.close(slot)
        self._phase[slot], self._pinged[slot] = Phase.AWAY, NEVER
        self._asking.pop(slot, None)

    # --- staying

    def _ping(self, now: float) -> None:
        quiet = (self._phases == Phase.UP) & (self._keepalives > 0) & (self._all_pinged == NEVER)
        # At shares of the keep-alive of their own, so that those who came together do not go on together.
        patience = np.minimum(self._patience * self._keepalives, self._keepalives - 2 * CHECK_S)
        for slot in np.flatnonzero(quiet & (now - self._all_wrote >= patience)).tolist():
            self._pinged[slot] = now
            self._counts.pings += 1
            self.send(slot, mqtt.PINGREQ, now)

    def _expire(self, now: float) -> None:
        late = [slot for slot, (_, asked) in self._asking.items() if now - asked > self._manner.answer_within_s]
        for slot in late:
            self.lost(slot, "no answer")
        for slot in np.flatnonzero(now - self._all_pinged > self._manner.answer_within_s).tolist():
            self.lost(slot, "no PINGRESP")
