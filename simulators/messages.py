"""Messages of a simulated city as columns: one array element per PUBLISH, in the order in which they become due."""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Floats, Ints


class Kind(IntEnum):
    """What a message is, for whoever compares what was sent with what was stored."""

    FRESH = 0
    LATE = 1
    ONE_OUT_OF_RANGE = 2
    UNKNOWN_METRIC = 3
    ALL_OUT_OF_RANGE = 4
    CUT_SHORT = 5
    GARBAGE = 6
    RENAMED = 7
    SPOOFED = 8
    FLOOD = 9
    SKEWED = 10

    @property
    def faulty(self) -> bool:
        """Whether the payload is not what its profile would write: spoofed, flooding and skewed ones are."""
        return Kind.ONE_OUT_OF_RANGE <= self <= Kind.RENAMED


KINDS = tuple(Kind)
SPOILT = np.array([kind.faulty or kind is Kind.SPOOFED for kind in KINDS])


def as_written(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which messages say what their profile writes, byte for byte; the others are spoilt afterwards."""
    return np.asarray(~SPOILT[kind], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Messages:
    """Columns of equal length.

    `device`: index into the fleet of the device that the topic names. `sender`: of the device that sends it; another
    one only where a scenario says so. `boot`, `seq`: as in the payload. `time`: of the reading, ms since 1970.
    `due`: when it ought to be sent, s since 1970. `kind`: a `Kind`. `again`: it was sent before, byte for byte.
    """

    device: NDArray[np.uint32]
    sender: NDArray[np.uint32]
    boot: Ints
    seq: Ints
    time: Ints
    due: Floats
    kind: NDArray[np.uint8]
    again: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.device)

    def take(self, at: Ints | NDArray[np.bool_] | slice) -> Self:
        """The messages at these places, or where the mask is true; a slice copies nothing."""
        return type(self)(*(getattr(self, field.name)[at] for field in fields(self)))

    def in_order(self) -> Self:
        """The same, sorted by `due`; equal ones stay as they are."""
        if np.all(self.due[1:] >= self.due[:-1]):
            return self
        return self.take(rising(self.due))

    @classmethod
    def joined(cls, *parts: "Messages") -> Self:
        """All parts, one after another; sorted by nothing."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    @classmethod
    def none(cls) -> Self:
        """No message."""
        return cls(
            np.empty(0, np.uint32),
            np.empty(0, np.uint32),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.float64),
            np.empty(0, np.uint8),
            np.empty(0, np.bool_),
        )


def rising(moments: Floats) -> Ints:
    """The places of moments in their order, equal ones as they stand.

    The bits of floats from 0 rise as these do: with the place behind them they are sorted as whole numbers, in a third
    of the time of a stable sort; moments too far apart for that are sorted by it.
    """
    bits, width = np.ascontiguousarray(moments).view(np.int64), len(moments).bit_length()
    least, most = (int(bits.min()), int(bits.max())) if len(bits) else (0, 0)
    if least < 0 or (most - least).bit_length() + width > 63:
        return np.argsort(moments, kind="stable")
    return np.sort((bits - least) << width | np.arange(len(bits))) & ((1 << width) - 1)
