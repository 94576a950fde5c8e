"""A city speaking: what its devices say when, with what a scenario does to it. Nothing here reads a clock or sends."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.behaviour import values, voices
from simulators.draw import Ints
from simulators.fleet import Fleet, native_profile
from simulators.messages import KINDS, Kind, Messages
from simulators.payload import Writer, spoil
from simulators.scenario import QUIET, Scenario
from simulators.schedule import USUAL, Schedule, Shares


class Message(NamedTuple):
    """One PUBLISH. `time`: of the reading, ms since 1970. `due`: when it ought to be sent, s since 1970."""

    area: str
    device: str
    boot: int
    seq: int
    time: int
    kind: Kind
    again: bool
    due: float
    topic: str
    payload: bytes


class Packets(NamedTuple):
    """MQTT 5 PUBLISH packets (QoS 1, no properties) one after another, in the order of their messages.

    `body`: uint8. `ends`: where each packet ends in it. `ids`: where the two bytes of its packet identifier are, which
    hold 0 until a connection numbers them.
    """

    body: NDArray[np.uint8]
    ends: Ints
    ids: Ints


def natural_rate(fleet: Fleet, shares: Shares = USUAL) -> float:
    """Messages per second, duplicates included, of a fleet whose intervals are those of the profiles."""
    counts = fleet.count_by_family().items()
    return sum(devices / native_profile(family).interval_s for family, devices in counts) * (1.0 + shares.duplicate)


class City:
    """A fleet with its clocks: `until(t)` gives what has become due since it was last asked, `packets` what is said."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        start: float,
        boot: int,
        speed: float = 1.0,
        shares: Shares = USUAL,
        scenario: Scenario = QUIET,
        shard: tuple[int, int] = (1, 1),
    ) -> None:
        """`start`: s since 1970. `boot`: goes into every message; another number for every run. `speed`: above 0.

        `shard`: (2, 8) is the second of eight disjoint parts that together are the whole.
        """
        self.fleet, self.start, self.boot, self.scenario, self.shard = fleet, start, boot, scenario, shard
        self.members = members_of(fleet, shard)
        self.rate_per_s = natural_rate(fleet, shares) * speed * (len(self.members) / max(len(fleet), 1))
        self._writers = [Writer(voices(native_profile(family))) for family in fleet.families]
        self._schedule = Schedule(fleet, self.members, start=start, boot=boot, speed=speed, shares=shares)
        self._held = Messages.none()

    def until(self, moment: float) -> Messages:
        """The messages due before `moment` (s since 1970) that were not given yet, in order of becoming due."""
        messages = self._schedule.until(moment)
        for effect in self.scenario:
            messages = effect.shape(self.fleet, messages)
        if not len(self._held) and not len(messages):
            return messages
        waiting = Messages.joined(self._held, messages)
        self._held = waiting.take(waiting.due >= moment)
        return waiting.take(waiting.due < moment).in_order()

    def payloads(self, messages: Messages) -> list[bytes]:
        """What each message says."""
        written = [b""] * len(messages)
        family = self.fleet.family[messages.device]
        for number, name in enumerate(self.fleet.families):
            at = np.flatnonzero(family == number)
            if len(at):
                for place, payload in zip(at.tolist(), self._written(name, number, messages.take(at)), strict=True):
                    written[place] = payload
        for place in np.flatnonzero(messages.kind >= Kind.ONE_OUT_OF_RANGE).tolist():
            kind, writer = Kind(messages.kind[place]), self._writers[family[place]]
            written[place] = spoil(written[place], kind, writer)
        return written

    def packets(self, messages: Messages) -> Packets:
        """The PUBLISH packet of each message."""
        parts = [packet(message.topic.encode(), message.payload) for message in self.each(messages)]
        ends = np.cumsum([len(body) for body, _ in parts], dtype=np.int64)
        starts = ends - np.array([len(body) for body, _ in parts], dtype=np.int64)
        ids = starts + np.array([at for _, at in parts], dtype=np.int64)
        return Packets(np.frombuffer(bytearray().join(body for body, _ in parts), dtype=np.uint8), ends, ids)

    def each(self, messages: Messages) -> Iterator[Message]:
        """The messages one by one."""
        names = self.fleet.ids(messages.device.astype(np.int64))
        areas = [self.fleet.areas[area] for area in self.fleet.area[messages.device].tolist()]
        columns = (messages.boot, messages.seq, messages.time, messages.kind, messages.again, messages.due)
        listed = (column.tolist() for column in columns)
        rows = zip(areas, names, *listed, self.payloads(messages), strict=True)
        for area, name, boot, seq, time, kind, again, due, payload in rows:
            topic = f"dothi/v1/{area}/{name}/up"
            yield Message(area, name, boot, seq, time, KINDS[kind], again, due, topic, payload)

    def _written(self, family: str, number: int, messages: Messages) -> list[bytes]:
        writer, device = self._writers[number], messages.device.astype(np.int64)
        seconds = messages.time / 1000.0
        columns = values(writer.voices, self.fleet.key[device], seconds)
        for effect in self.scenario:
            effect.change(self.fleet, family, device, seconds, columns)
        return writer.write(messages, columns)


def members_of(fleet: Fleet, shard: tuple[int, int]) -> NDArray[np.uint32]:
    """The indices of a shard's devices; `(1, 1)` has all."""
    part, parts = shard
    return np.flatnonzero(fleet.key % np.uint64(parts) == part - 1).astype(np.uint32)


def packet(topic: bytes, payload: bytes) -> tuple[bytes, int]:
    """A PUBLISH packet and the place of its identifier."""
    size = 2 + len(topic) + 2 + 1 + len(payload)
    head = b"\x32" + length(size) + len(topic).to_bytes(2, "big") + topic
    return head + b"\0\0\0" + payload, len(head)


def length(size: int) -> bytes:
    """MQTT's variable byte integer."""
    digits = bytearray()
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    digits.append(size)
    return bytes(digits)
