"""Conservation: what became of every message that was sent, by set difference against what the tables hold.

A message is told from all others by its device, the time of its reading and its number. Of the messages that a broker
acknowledged, each is stored, a duplicate of a stored one, quarantined, or missing; nothing here asks what the platform
counts of itself, but for one thing that is named apart: beyond its quota a quarantined payload is counted and not kept.

Pure: columns in, columns out. A block is what fits into memory: some devices of one family.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Ints
from simulators.messages import Messages
from simulators.spool import FAILURE, NO_ANSWER, NO_SUBSCRIBER, NOT_SENT, Rows, messages_of

UNREADABLE = -1
WIDTH = 63
"""Bits of a packed key: exact for any range of times and numbers, as long as a block has fewer than 2^31 rows."""

Payloads = Callable[[Messages], Sequence[bytes]]


class Fate(IntEnum):
    """What became of a message. `COUNTED`: quarantined beyond its device's quota, so its payload was not kept."""

    NOT_SENT = 0
    UNANSWERED = 1
    REFUSED = 2
    UNHEARD = 3
    STORED = 4
    DUPLICATE = 5
    QUARANTINED = 6
    COUNTED = 7
    MISSING = 8


Fates = NDArray[np.uint8]


class Found(NamedTuple):
    """Rows of a table, as columns: index of the device in the fleet, time of the reading in ms since 1970, number,
    receipt by the platform in s since 1970."""

    device: Ints
    time: Ints
    seq: Ints
    received: NDArray[np.float64]


class Kept(NamedTuple):
    """Quarantined payloads, as columns. `device`: index, or UNREADABLE where nobody is enrolled under the name.
    `time` (ms since 1970) and `seq`: UNREADABLE where the payload is cut before them. `digest`: first eight bytes of
    its SHA-256."""

    device: Ints
    time: Ints
    seq: Ints
    digest: NDArray[np.uint64]

    def take(self, at: NDArray[np.bool_] | Ints) -> "Kept":
        """Those at these places."""
        return Kept(self.device[at], self.time[at], self.seq[at], self.digest[at])


class Judged(NamedTuple):
    """Fates of the rows of a block; of stored ones, when the platform received them (s since 1970, else NaN).

    `strays`: rows of the table that no message of the block accounts for. `unasked`: messages that no broker
    acknowledged and that are in the table all the same.
    """

    fates: Fates
    received: NDArray[np.float64]
    strays: int
    unasked: int


def judge(rows: Rows, found: Found, kept: Kept, cut: Ints, payloads: Payloads) -> Judged:
    """What became of the rows of a block. `cut`: per device of the fleet, quarantined payloads that were not kept."""
    key, stored, held = packed(rows, found, kept)
    fates = by_answer(rows)
    received = np.full(len(rows), np.nan)
    there = np.isin(key, stored)
    taken = np.flatnonzero((fates == Fate.MISSING) & there)
    first = rank(key[taken]) == 0
    fates[taken] = np.where(first, Fate.STORED, Fate.DUPLICATE)
    order = np.argsort(stored)
    received[taken[first]] = found.received[order[np.searchsorted(stored, key[taken[first]], sorter=order)]]
    quarantine(fates, key, held)
    quarantine_unreadable(fates, rows, kept, payloads)
    _quarantine_cut(fates, rows, cut)
    unasked = there & (fates < Fate.STORED)
    return Judged(fates, received, int((~np.isin(stored, key)).sum()), int(unasked.sum()))


def by_answer(rows: Rows) -> Fates:
    """The fate as the sender knows it; what a broker acknowledged is missing until it is found."""
    code = rows["code"]
    tests = [code == NOT_SENT, code == NO_ANSWER, code >= FAILURE, code == NO_SUBSCRIBER]
    fates = [Fate.NOT_SENT, Fate.UNANSWERED, Fate.REFUSED, Fate.UNHEARD]
    return np.select(tests, fates, Fate.MISSING).astype(np.uint8)


def quarantine(fates: Fates, keys: Ints | NDArray[np.uint64], held: Ints | NDArray[np.uint64]) -> None:
    """Of each key, as many messages that are not the stored one as there are payloads in quarantine. In place."""
    open_ = np.flatnonzero((fates == Fate.MISSING) | (fates == Fate.DUPLICATE))
    fates[open_[rank(keys[open_]) < count_of(keys[open_], held)]] = Fate.QUARANTINED


def quarantine_unreadable(fates: Fates, rows: Rows, kept: Kept, payloads: Payloads) -> None:
    """Payloads too short to name themselves are told by their bytes: what is missing is written once more. In place."""
    unreadable = (kept.device == UNREADABLE) | (kept.seq == UNREADABLE)
    missing = np.flatnonzero(fates == Fate.MISSING)
    if not unreadable.any() or not len(missing):
        return
    digests = np.array([digest_of(one) for one in payloads(messages_of(rows[missing]))], dtype=np.uint64)
    some = fates[missing]
    quarantine(some, digests, kept.digest[unreadable])
    fates[missing] = some


def _quarantine_cut(fates: Fates, rows: Rows, cut: Ints) -> None:
    missing = np.flatnonzero(fates == Fate.MISSING)
    device = rows["device"][missing]
    fates[missing[rank(device) < cut[device]]] = Fate.COUNTED


def digest_of(payload: bytes) -> int:
    """The first eight bytes of the SHA-256 of a payload."""
    return int.from_bytes(sha256(payload).digest()[:8], "big")


def rank(keys: NDArray[np.generic]) -> Ints:
    """For each element, how many equal ones stand before it."""
    if not len(keys):
        return np.empty(0, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(begins, np.diff(np.append(begins, len(keys))))
    return ranks


def count_of(keys: NDArray[np.generic], among: NDArray[np.generic]) -> Ints:
    """How often each key stands among others."""
    ordered = np.sort(among)
    return np.asarray(np.searchsorted(ordered, keys, "right") - np.searchsorted(ordered, keys, "left"), dtype=np.int64)


def packed(rows: Rows, found: Found, kept: Kept) -> tuple[Ints, Ints, Ints]:
    """One number for (device, time, seq) of each row, of each found and of each readable kept one; equal where all
    three are equal. What is outside the ranges of the rows has -1."""
    readable = kept.take((kept.device != UNREADABLE) & (kept.seq != UNREADABLE))
    key = offsets((rows["device"].astype(np.int64), found.device, readable.device))
    for side in (
        (rows["time"].astype(np.int64), found.time, readable.time),
        (rows["seq"].astype(np.int64), found.seq, readable.seq),
    ):
        column = offsets(side)
        if key.bits + column.bits > WIDTH:
            key, column = ranks(key.columns), ranks(column.columns)
        key = joined(key, column)
    return key.columns


class Narrow(NamedTuple):
    """Columns of rows, of found and of kept ones, as numbers of so many bits; -1 where the rows have no such value."""

    bits: int
    columns: tuple[Ints, Ints, Ints]


def offsets(columns: tuple[Ints, Ints, Ints]) -> Narrow:
    """Counted from the least value of the rows."""
    if not len(columns[0]):
        return _narrow(0, [np.full(len(column), -1) for column in columns])
    low, high = int(columns[0].min()), int(columns[0].max())
    shifted = [np.where((column >= low) & (column <= high), column - low, -1) for column in columns]
    return _narrow((high - low).bit_length(), shifted)


def ranks(columns: tuple[Ints, Ints, Ints]) -> Narrow:
    """Counted by place among the different values of the rows: never more bits than there are rows."""
    known = np.unique(columns[0])
    last = max(len(known) - 1, 0)
    places = [np.minimum(np.searchsorted(known, column), last) for column in columns]
    if not len(known):
        return offsets(columns)
    pairs = zip(places, columns, strict=True)
    return _narrow(last.bit_length(), [np.where(known[place] == column, place, -1) for place, column in pairs])


def joined(high: Narrow, low: Narrow) -> Narrow:
    """Both as one number."""
    pairs = list(zip(high.columns, low.columns, strict=True))
    return _narrow(high.bits + low.bits, [np.where((a < 0) | (b < 0), -1, (a << low.bits) | b) for a, b in pairs])


def _narrow(bits: int, columns: Sequence[Ints]) -> Narrow:
    rows, found, kept = columns
    return Narrow(bits, (rows, found, kept))
