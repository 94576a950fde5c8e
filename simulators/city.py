"""The schedule of a city: which device speaks when, and what it says.

A device speaks every interval of its profile (divided by `speed`), give or take `JITTER`, from a phase of its own.
A few messages are not as they should be, because a real city's devices are not perfect:

    late       the reading is minutes to hours old, as from a device that had buffered it
    duplicate  the same payload is sent a second time
    faulty     one of: a value out of range, a metric nobody knows, every value out of range, a payload cut short

The shares are in `Shares`. Everything is drawn from the seed; nothing here reads a clock or sends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from simulators import draw
from simulators.behaviour import voices
from simulators.draw import Floats, Ints, salt
from simulators.fleet import Fleet, native_profile
from simulators.payload import Writer

JITTER = 0.05
"""A message is up to this share of its interval early or late."""
LATE_FROM_S, LATE_TO_S = 120.0, 6 * 3600.0
"""How old the reading of a late message is, drawn evenly on a logarithmic scale."""


class Kind(IntEnum):
    """What a message is, for whoever compares what was sent with what was stored."""

    FRESH = 0
    LATE = 1
    DUPLICATE = 2
    ONE_OUT_OF_RANGE = 3
    UNKNOWN_METRIC = 4
    ALL_OUT_OF_RANGE = 5
    CUT_SHORT = 6

    @property
    def faulty(self) -> bool:
        """Whether the message breaks the rules of its profile."""
        return self >= Kind.ONE_OUT_OF_RANGE


KINDS = tuple(Kind)
FAULTS = (Kind.ONE_OUT_OF_RANGE, Kind.UNKNOWN_METRIC, Kind.ALL_OUT_OF_RANGE, Kind.CUT_SHORT)


@dataclass(frozen=True, slots=True)
class Shares:
    """Share of the messages, 0 to 1, that are late, sent twice, or faulty (the four faults in equal parts)."""

    late: float = 0.02
    duplicate: float = 0.01
    faulty: float = 0.005

    def __post_init__(self) -> None:
        for name in ("late", "duplicate", "faulty"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"share of {name} messages {getattr(self, name)}: 0 to 1")
        if self.late + self.faulty > 1.0:
            raise ValueError(f"shares of late and faulty messages {self.late} and {self.faulty}: together at most 1")


class Message(NamedTuple):
    """One PUBLISH. `time`: of the reading, ms since 1970. `due`: when it ought to be sent, s since 1970."""

    area: str
    device: str
    boot: int
    seq: int
    time: int
    kind: Kind
    due: float
    topic: str
    payload: bytes


def natural_rate(fleet: Fleet, shares: Shares = Shares()) -> float:
    """Messages per second, duplicates included, of a fleet whose intervals are those of the profiles."""
    counts = fleet.count_by_family().items()
    return sum(devices / native_profile(family).interval_s for family, devices in counts) * (1.0 + shares.duplicate)


class City:
    """A fleet with its clocks: `until(t)` gives what has become due since it was last asked."""

    def __init__(self, fleet: Fleet, *, start: float, boot: int, speed: float = 1.0, shares: Shares = Shares()) -> None:
        """`start`: s since 1970. `boot`: goes into every message; another number for every run. `speed`: above 0."""
        profiles = [native_profile(family) for family in fleet.families]
        self.fleet, self.boot, self.shares, self._speed = fleet, boot, shares, speed
        self._writers = [Writer(voices(profile)) for profile in profiles]
        self._ids = fleet.ids()
        self._interval = np.array([profile.interval_s / speed for profile in profiles])[fleet.family]
        self._first = start + draw.uniform(fleet.key, salt("phase")) * self._interval
        self._sent = np.zeros(len(fleet), dtype=np.int64)
        self._next = self._first.copy()

    @property
    def rate_per_s(self) -> float:
        """Messages per second, duplicates included, that this city sends on average."""
        return natural_rate(self.fleet, self.shares) * self._speed

    def until(self, moment: float) -> Iterator[Message]:
        """The messages due before `moment` (s since 1970) that were not given yet, in order of becoming due."""
        index = np.flatnonzero(self._next < moment)
        if not len(index):
            return
        most = np.floor((moment - self._first[index]) / self._interval[index] + JITTER).astype(np.int64) + 1
        counts = most - self._sent[index]
        who = np.repeat(index, counts)
        turn = np.arange(len(who)) - np.repeat(np.cumsum(counts) - counts - self._sent[index], counts)
        due = self._due(who, turn)
        now = np.flatnonzero(due < moment)
        self._sent += np.bincount(who[now], minlength=len(self.fleet))
        self._next[index] = self._due(index, self._sent[index])
        order = now[np.argsort(due[now], kind="stable")]
        yield from self._messages(who[order], turn[order] + 1, due[order])

    def _due(self, index: Ints, turn: Ints) -> Floats:
        """When each device speaks its message number `turn` (from 0): no error adds up over a long run."""
        shift = (2.0 * draw.uniform(self.fleet.key[index], salt("jitter"), turn) - 1.0) * JITTER
        moved = turn + np.where(turn == 0, 0.0, shift)  # the first is on time, so that a run has its full rate at once
        return np.asarray(self._first[index] + moved * self._interval[index], dtype=np.float64)

    def _messages(self, index: Ints, seq: Ints, due: Floats) -> Iterator[Message]:
        keys = self.fleet.key[index]
        kinds = self._kinds(keys, seq)
        age = LATE_FROM_S * (LATE_TO_S / LATE_FROM_S) ** draw.uniform(keys, salt("age"), seq)
        time = np.floor((due - np.where(kinds == Kind.LATE, age, 0.0)) * 1000.0).astype(np.int64)
        payloads = self._payloads(index, time, seq, kinds)
        again = draw.uniform(keys, salt("twice"), seq) < self.shares.duplicate
        repeated: list[Message] = []
        last = float(due[-1])
        columns = (index.tolist(), seq.tolist(), time.tolist(), kinds.tolist(), due.tolist(), payloads, again.tolist())
        for device, number, moment, kind, when, payload, twice in zip(*columns, strict=True):
            area, name = self.fleet.areas[self.fleet.area[device]], self._ids[device]
            topic = f"dothi/v1/{area}/{name}/up"
            message = Message(area, name, self.boot, number, moment, KINDS[kind], when, topic, payload)
            yield message
            if twice:
                repeated.append(message._replace(kind=Kind.DUPLICATE, due=last))
        yield from repeated

    def _kinds(self, keys: draw.Keys, seq: Ints) -> Ints:
        lot = draw.uniform(keys, salt("kind"), seq)
        fault = draw.pick(keys, salt("fault"), seq, np.ones(len(FAULTS)))
        kinds = np.where(lot < self.shares.faulty, np.array(FAULTS, dtype=np.int64)[fault], int(Kind.FRESH))
        late = (lot >= self.shares.faulty) & (lot < self.shares.faulty + self.shares.late)
        return np.asarray(np.where(late, int(Kind.LATE), kinds), dtype=np.int64)

    def _payloads(self, index: Ints, time: Ints, seq: Ints, kinds: Ints) -> list[bytes]:
        payloads = [b""] * len(index)
        family = self.fleet.family[index]
        for number, writer in enumerate(self._writers):
            at = np.flatnonzero(family == number)
            written = writer.write(self.fleet.key[index[at]], time[at], seq[at], self.boot)
            for place, payload in zip(at.tolist(), written, strict=True):
                payloads[place] = payload
        for place in np.flatnonzero(kinds >= Kind.ONE_OUT_OF_RANGE).tolist():
            writer = self._writers[family[place]]
            payloads[place] = spoil(payloads[place], Kind(kinds[place]), writer)
        return payloads


def spoil(payload: bytes, kind: Kind, writer: Writer) -> bytes:
    """The payload with the fault of its kind."""
    if kind is Kind.CUT_SHORT:
        return payload[: len(payload) * 2 // 3]
    if kind is Kind.UNKNOWN_METRIC:
        return writer.with_metric(payload, {"firmware_temp_raw": 8191})
    return writer.out_of_range(payload, every=kind is Kind.ALL_OUT_OF_RANGE)
