"""A city speaking: what its devices say when, with what a scenario does to it. Nothing here reads a clock or sends."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.behaviour import Column, values, voices
from simulators.draw import Ints
from simulators.fleet import Fleet, native_profile
from simulators.messages import KINDS, Kind, Messages, as_written
from simulators.packets import (
    IDENTIFIER,
    NO_PROPERTIES,
    Block,
    Packets,
    Paper,
    in_line,
    packet,
    packets_of,
    with_apart,
)
from simulators.payload import Writer, complete, spoil
from simulators.scenario import QUIET, Scenario, Slice, happen
from simulators.schedule import USUAL, Schedule, Shares
from simulators.topics import Topics

PIECE = 131_072
"""Messages whose packets are written at once: a matrix of about 40 MB."""


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
        self._topics, self._paper = Topics(fleet), Paper()
        self._schedule = Schedule(fleet, self.members, start=start, boot=boot, speed=speed, shares=shares)
        self._held, self._since = Messages.none(), start

    def until(self, moment: float) -> Messages:
        """The messages due before `moment` (s since 1970) that were not given yet, in order of becoming due."""
        piece = Slice(self._since, moment, self.boot, self.shard)
        messages = happen(self.scenario, self.fleet, self._schedule.until(moment), piece)
        self._since = moment
        if not len(self._held) and not len(messages):
            return messages
        waiting = Messages.joined(self._held, messages) if len(self._held) else messages
        now = waiting.due < moment
        if now.all():
            self._held = Messages.none()
            return waiting.in_order()
        self._held = waiting.take(~now)
        return waiting.take(now).in_order()

    def payloads(self, messages: Messages) -> list[bytes]:
        """What each message says."""
        written = [b""] * len(messages)
        for number, at, said in self._by_family(messages):
            for place, payload in zip(at.tolist(), self._said(number, said, self._columns(number, said)), strict=True):
                written[place] = payload
        return written

    def packets(self, messages: Messages) -> Packets:
        """The PUBLISH packet of each message."""
        starts = range(0, max(len(messages), 1), PIECE)
        return in_line([self._packets(messages.take(slice(at, at + PIECE))) for at in starts])

    def _packets(self, messages: Messages) -> Packets:
        """What is not as usual is written one by one: it is little."""
        usual, parts = np.empty(len(messages), dtype=np.bool_), []
        odd: dict[int, bytes] = {}
        for number, at, said in self._by_family(messages):
            columns = self._columns(number, said)
            fits = as_written(said.kind) & complete(columns)
            usual[at] = fits
            if fits.all():
                parts.append((number, at, said, columns))
                continue
            parts.append((number, at[fits], said.take(fits), rows_of(columns, fits)))
            spoilt = self._said(number, said.take(~fits), rows_of(columns, ~fits))
            odd |= zip(at[~fits].tolist(), spoilt, strict=True)
        place = np.cumsum(usual) - 1
        blocks = [self._block(number, place[at], said, columns) for number, at, said, columns in parts if len(at)]
        places = np.flatnonzero(~usual)
        named = zip(self._named(messages.take(places)), places.tolist(), strict=True)
        alone = [packet(topic_of(area, name).encode(), odd[at]) for (area, name), at in named]
        return with_apart(packets_of(blocks, self._paper), places, alone)

    def _said(self, number: int, messages: Messages, columns: Mapping[str, Column]) -> list[bytes]:
        writer = self._writers[number]
        written = writer.write(messages, columns)
        for place in np.flatnonzero(~as_written(messages.kind)).tolist():
            written[place] = spoil(written[place], KINDS[messages.kind[place]], writer)
        return written

    def _named(self, messages: Messages) -> Iterator[tuple[str, str]]:
        """Area and id of each device."""
        areas = [self.fleet.areas[area] for area in self.fleet.area[messages.device].tolist()]
        return zip(areas, self.fleet.ids(messages.device.astype(np.int64)), strict=True)

    def _block(self, number: int, place: Ints, messages: Messages, columns: Mapping[str, Column]) -> Block:
        topic = self._topics.of(number, messages.device)
        payload = self._writers[number].parts(messages, columns)
        return Block(place, topic.sizes, [*topic.parts, IDENTIFIER, NO_PROPERTIES, *payload])

    def each(self, messages: Messages) -> Iterator[Message]:
        """The messages one by one."""
        columns = (messages.boot, messages.seq, messages.time, messages.kind, messages.again, messages.due)
        listed = (column.tolist() for column in columns)
        rows = zip(self._named(messages), *listed, self.payloads(messages), strict=True)
        for (area, name), boot, seq, time, kind, again, due, payload in rows:
            yield Message(area, name, boot, seq, time, KINDS[kind], again, due, topic_of(area, name), payload)

    def _by_family(self, messages: Messages) -> Iterator[tuple[int, Ints, Messages]]:
        """The number of each family that speaks, the places of its messages, and these, by device.

        What is known of the devices is then read from memory in the order in which it stands there.
        """
        family = self.fleet.family[messages.device]
        order = _grouped(family, messages.device)
        grouped = messages.take(order)
        edges = [0, *np.cumsum(np.bincount(family, minlength=len(self.fleet.families))).tolist()]
        for number, (first, last) in enumerate(pairwise(edges)):
            if last > first:
                yield number, order[first:last], grouped.take(slice(first, last))

    def _columns(self, number: int, messages: Messages) -> dict[str, Column]:
        device, seconds = messages.device.astype(np.int64), messages.time / 1000.0
        lat, lon = self.fleet.lat[device], self.fleet.lon[device]
        columns = values(self._writers[number].voices, self.fleet.key[device], seconds, lat, lon)
        for effect in self.scenario:
            effect.change(self.fleet, self.fleet.families[number], device, seconds, columns)
        return columns


def topic_of(area: str, device: str) -> str:
    """Where a device publishes its readings."""
    return f"dothi/v1/{area}/{device}/up"


def _grouped(family: NDArray[np.uint8], device: NDArray[np.uint32]) -> Ints:
    """The places of messages by family, device and place: all three in one number, which sorts quickest."""
    place = np.arange(len(family))
    width = len(family).bit_length()
    return np.sort((family.astype(np.int64) << 32 | device) << width | place) & ((1 << width) - 1)


def rows_of(columns: Mapping[str, Column], where: NDArray[np.bool_]) -> dict[str, Column]:
    """The columns where the mask is true."""
    return {name: column[where] for name, column in columns.items()}


def members_of(fleet: Fleet, shard: tuple[int, int]) -> NDArray[np.uint32]:
    """The indices of a shard's devices; `(1, 1)` has all."""
    part, parts = shard
    return np.flatnonzero(fleet.key % np.uint64(parts) == part - 1).astype(np.uint32)
