"""Which device speaks when: every interval of its profile, give or take `JITTER`, from a phase of its own.

Everything is drawn from the seed; nothing here reads a clock or sends. A few messages are not as they should be,
because a real city's devices are not perfect:

    late       the reading is minutes to hours old, as from a device that had buffered it
    duplicate  the same payload is sent a second time
    faulty     one of: a value out of range, a metric nobody knows, every value out of range, a payload cut short
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators import draw
from simulators.draw import Floats, Ints, salt
from simulators.fleet import Fleet, native_profile
from simulators.messages import Kind, Messages, rising

JITTER = 0.05
"""A message is up to this share of its interval early or late."""
LATE_FROM_S, LATE_TO_S = 120.0, 6 * 3600.0
"""How old the reading of a late message is, drawn evenly on a logarithmic scale."""
AGAIN_WITHIN_S = 1.0
"""A message is sent a second time this long after the first, at most."""
LOOK_AHEAD = 10
"""Calls after which the clocks of all devices are looked at anew, if they ask for equal steps."""
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


USUAL = Shares()
"""What a city does when nothing else is said."""


class Schedule:
    """The clocks of some devices of a fleet: `until(t)` gives what has become due since it was last asked."""

    def __init__(
        self,
        fleet: Fleet,
        members: NDArray[np.uint32],
        *,
        start: float,
        boot: int,
        speed: float = 1.0,
        shares: Shares = USUAL,
    ) -> None:
        """`members`: index of each device in the fleet. `start`: s since 1970. `speed`: divides the intervals."""
        intervals = np.array([native_profile(family).interval_s / speed for family in fleet.families])
        self.shares, self._boot, self._members, self._key = shares, boot, members, fleet.key[members]
        self._interval = intervals[fleet.family[members]]
        self._first = start + draw.uniform(self._key, salt("phase")) * self._interval
        self._sent = np.zeros(len(members), dtype=np.int64)
        self._next = self._first.copy()
        self._since, self._horizon = start, -np.inf
        self._soon, self._soon_next = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)

    def until(self, moment: float) -> Messages:
        """The messages due before `moment` (s since 1970) that were not given yet, in order of becoming due.

        After them those of them that are sent again, which may become due after `moment`.
        """
        near = self._due_before(moment)
        if not len(near):
            return Messages.none()
        index = self._soon[near]
        sent, own = self._sent[index], Rhythm(self._key[index], self._first[index], self._interval[index])
        most = np.floor((moment - own.first) / own.interval + JITTER).astype(np.int64) + 1
        counts = most - sent
        place = np.repeat(np.arange(len(index)), counts)
        turn = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts - sent, counts)
        due = own.of(place).due(turn)
        now = np.flatnonzero(due < moment)
        sent += np.bincount(place[now], minlength=len(index))
        self._sent[index] = sent
        self._next[index] = self._soon_next[near] = own.due(sent)
        order = now[rising(due[now])]
        who = place[order]
        return self._messages(own.key[who], self._members[index[who]], turn[order] + 1, due[order])

    def before(self, moments: Floats) -> Ints:
        """How many messages each device has due before a moment of its own (s since 1970), given already or not."""
        passed = (moments - self._first) / self._interval
        sure = np.maximum(np.floor(passed - JITTER).astype(np.int64) + 1, 0)
        one_more = Rhythm(self._key, self._first, self._interval).due(sure) < moments
        return np.asarray(sure + one_more, dtype=np.int64)

    def _due_before(self, moment: float) -> Ints:
        """Places in `_soon` of the devices that speak before `moment`; all are looked through every so many calls."""
        if moment > self._horizon:
            self._horizon = moment + LOOK_AHEAD * max(moment - self._since, 0.0)
            self._soon = np.flatnonzero(self._next < self._horizon)
            self._soon_next = self._next[self._soon]
        self._since = moment
        return np.flatnonzero(self._soon_next < moment)

    def _messages(self, keys: draw.Keys, device: NDArray[np.uint32], seq: Ints, due: Floats) -> Messages:
        kinds = self._kinds(keys, seq)
        moment = due.copy()
        late = np.flatnonzero(kinds == Kind.LATE)
        age = draw.uniform(keys[late], salt("age"), seq[late])
        moment[late] -= LATE_FROM_S * (LATE_TO_S / LATE_FROM_S) ** age
        time = np.floor(moment * 1000.0).astype(np.int64)
        boot, first = np.full(len(seq), self._boot, dtype=np.int64), np.zeros(len(seq), dtype=np.bool_)
        once = Messages(device, device, boot, seq, time, due, kinds, first)
        twice = np.flatnonzero(draw.uniform(keys, salt("twice"), seq) < self.shares.duplicate)
        return Messages.joined(once, self._repeated(once.take(twice), keys[twice])) if len(twice) else once

    def _repeated(self, once: Messages, keys: draw.Keys) -> Messages:
        """The messages a second time, a moment later, as from a device that missed the PUBACK."""
        due = once.due + AGAIN_WITHIN_S * draw.uniform(keys, salt("again"), once.seq)
        return replace(once, due=due, again=np.ones(len(once), dtype=np.bool_))

    def _kinds(self, keys: draw.Keys, seq: Ints) -> NDArray[np.uint8]:
        lot = draw.uniform(keys, salt("kind"), seq)
        kinds = np.full(len(keys), Kind.FRESH, dtype=np.uint8)
        kinds[lot < self.shares.faulty + self.shares.late] = Kind.LATE
        odd = np.flatnonzero(lot < self.shares.faulty)
        kinds[odd] = np.array(FAULTS)[draw.pick(keys[odd], salt("fault"), seq[odd], np.ones(len(FAULTS)))]
        return kinds


class Rhythm(NamedTuple):
    """Of some devices the key, when each speaks first (s since 1970), and its interval (s)."""

    key: draw.Keys
    first: Floats
    interval: Floats

    def of(self, place: Ints) -> "Rhythm":
        """Of these of them."""
        return Rhythm(self.key[place], self.first[place], self.interval[place])

    def due(self, turn: Ints) -> Floats:
        """When each device speaks its message number `turn` (from 0): no error adds up over a long run."""
        shift = (2.0 * draw.uniform(self.key, salt("jitter"), turn) - 1.0) * JITTER
        moved = turn + np.where(turn == 0, 0.0, shift)  # the first is on time, so that a run has its full rate at once
        return np.asarray(self.first + moved * self.interval, dtype=np.float64)
