"""The messages of devices on connections of their own: sent when due, and kept until their fate is known."""

from collections import deque
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np

from simulators import mqtt
from simulators.city import City
from simulators.draw import Ints
from simulators.messages import Messages
from simulators.packets import Packets
from simulators.spool import NO_ANSWER, Rows, never_sent
from simulators.tally import Tally

PATIENCE_S = 30.0
"""A message that waited longer than this to be sent is given up."""


class Way(Protocol):
    """The connections, as messages need them. `now`: s since 1970."""

    def may_send(self, slot: int, in_flight: int) -> bool:
        """Whether a device is connected and has room for another message."""

    def send(self, slot: int, said: bytes, now: float) -> None:
        """Send something of a device that is connected."""


class Batch:
    """Messages written together; their rows are handed on together, when the fate of the last one is known."""

    def __init__(self, messages: Messages, packets: Packets, slots: Ints) -> None:
        """`slots`: on whose connection; -1: on nobody's here."""
        self.rows = never_sent(messages)
        self.due, self.slots = messages.due.tolist(), slots.tolist()
        self._body, ends = packets.body.data, packets.ends.tolist()
        self._spans = list(zip(chain((0,), ends[:-1]), ends, packets.ids.tolist(), strict=True))
        self.late, self.answer, self.code = self.rows["late"], self.rows["answer"], self.rows["code"]
        self.at, self.open = 0, len(messages)

    def packet(self, place: int, number: int) -> bytes:
        """A PUBLISH packet with this packet identifier."""
        start, end, ids = self._spans[place]
        written = bytearray(self._body[start:end])
        written[ids - start : ids - start + 2] = number.to_bytes(2, "big")
        return bytes(written)


class Sent(NamedTuple):
    """A message that waits for its PUBACK. `at`: s since 1970."""

    batch: Batch
    place: int
    packet: bytes
    at: float


class Outbox:
    """Messages of one process on their way."""

    def __init__(self, city: City, links: Way, tally: Tally) -> None:
        self._city, self._links, self._tally, self._known = city, links, tally, list[Rows]()
        self._batches: deque[Batch] = deque()
        self._open: set[Batch] = set()
        self._waiting: dict[int, deque[tuple[Batch, int]]] = {}
        self._sent: dict[int, dict[int, Sent]] = {}
        self._number = bytearray(2 * len(city.members))
        self._numbers = memoryview(self._number).cast("H")

    def write(self, moment: float) -> None:
        """Put down what becomes due until `moment` (s since 1970)."""
        messages = self._city.until(moment)
        if len(messages):
            batch = Batch(messages, self._city.packets(messages), slots_of(self._city, messages))
            self._batches.append(batch)
            self._open.add(batch)

    def push(self, now: float) -> None:
        """Send what is due."""
        while self._batches:
            batch = self._batches[0]
            count = len(batch.due)
            while batch.at < count and batch.due[batch.at] <= now:
                self._offer(batch, batch.at, now)
                batch.at += 1
            if batch.at < count:
                return
            self._batches.popleft()

    def is_up(self, slot: int, session: bool, now: float) -> None:
        """Send again what was not acknowledged, then what waited."""
        for sent in self._sent.get(slot, {}).values():
            self._tally.repeated += 1
            # DUP only where the broker may know the identifier still (section 3.3.1.1).
            again = bytes([sent.packet[0] | 0b1000]) + sent.packet[1:] if session else sent.packet
            self._links.send(slot, again, now)
        self._drain(slot, now)

    def settle(self, slot: int, number: int, code: int, now: float) -> None:
        """Note a PUBACK; one for what nobody sent is none of ours."""
        of_slot = self._sent.get(slot, {})
        sent = of_slot.pop(number, None)
        if sent is None:
            return
        if not of_slot:
            del self._sent[slot]
        self._tally.codes[code] += 1
        sent.batch.answer[sent.place], sent.batch.code[sent.place] = now - sent.at, code
        self._done(sent.batch)
        if slot in self._waiting:
            self._drain(slot, now)

    def forget(self, slots: Ints) -> None:
        """Devices that lost power have lost what they had not got rid of; what is in flight stays unanswered."""
        for slot in slots.tolist():
            for sent in self._sent.pop(slot, {}).values():
                self._done(sent.batch)
            for batch, _ in self._waiting.pop(slot, ()):
                self._give_up(batch)

    def tidy(self, now: float) -> None:
        """Give up what has waited too long."""
        for slot in list(self._waiting):
            line = self._waiting[slot]
            while line and now - line[0][0].due[line[0][1]] > PATIENCE_S:
                self._give_up(line.popleft()[0])
            if not line:
                del self._waiting[slot]

    def known(self) -> list[Rows]:
        """Rows of messages whose fate has become known since this was asked last."""
        rows, self._known = self._known, []
        return rows

    @property
    def is_settled(self) -> bool:
        """Whether nothing is in flight, nor waits on a connection that stands."""
        return not self._sent and not any(self._links.may_send(slot, 0) for slot in self._waiting)

    def close(self) -> None:
        """Give up what waits; the fate of all that was due is known then."""
        self._tally.unsent += sum(map(len, self._waiting.values()))
        self._known += [batch.rows[: batch.at] for batch in self._open]
        self._waiting.clear()
        self._sent.clear()
        self._open.clear()

    def _offer(self, batch: Batch, place: int, now: float) -> None:
        slot = batch.slots[place]
        if slot < 0:
            self._give_up(batch)
        elif slot not in self._waiting and self._links.may_send(slot, len(self._sent.get(slot, ()))):
            self._send(slot, batch, place, now)
        else:
            self._waiting.setdefault(slot, deque()).append((batch, place))

    def _drain(self, slot: int, now: float) -> None:
        line = self._waiting.get(slot, deque())
        while line and self._links.may_send(slot, len(self._sent.get(slot, ()))):
            self._send(slot, *line.popleft(), now)
        if not line:
            self._waiting.pop(slot, None)

    def _send(self, slot: int, batch: Batch, place: int, now: float) -> None:
        of_slot = self._sent.setdefault(slot, {})
        number = self._numbers[slot] % (mqtt.STATUS_ID - 1) + 1
        while number in of_slot:
            number = number % (mqtt.STATUS_ID - 1) + 1
        self._numbers[slot] = number
        packet, late = batch.packet(place, number), now - batch.due[place]
        of_slot[number] = Sent(batch, place, packet, now)
        batch.late[place], batch.code[place] = late, NO_ANSWER
        self._tally.sent += 1
        self._links.send(slot, packet, now)

    def _give_up(self, batch: Batch) -> None:
        self._tally.unsent += 1
        self._done(batch)

    def _done(self, batch: Batch) -> None:
        batch.open -= 1
        if not batch.open:
            self._known.append(batch.rows)
            self._open.discard(batch)


def slots_of(city: City, messages: Messages) -> Ints:
    """The place of each message's sender among the city's members; -1: it is no member."""
    place = np.searchsorted(city.members, messages.sender)
    inside = np.minimum(place, len(city.members) - 1)
    return np.where(city.members[inside] == messages.sender, inside, -1).astype(np.int64)
