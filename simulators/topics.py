"""The topics that many devices publish to, as parts of a matrix of bytes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.digits import six, texts
from simulators.draw import Ints
from simulators.fleet import Fleet
from simulators.mix import prefix
from simulators.packets import Part


class Topic(NamedTuple):
    """`parts`: with the two bytes of the length before it. `sizes`: bytes of each topic without those."""

    parts: list[Part]
    sizes: Ints


class Topics:
    """Writes `dothi/v1/{area}/{device}/up` of devices of one family."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        codes = [code.encode() for code in fleet.areas]
        self._codes, self._code_sizes = texts(codes), np.array([len(code) for code in codes])
        self._prefixes = [prefix(family).encode() for family in fleet.families]

    def of(self, family: int, device: NDArray[np.uint32]) -> Topic:
        """`family`: index into the fleet's. `device`: indices of its devices."""
        area, number = self._fleet.area[device], self._fleet.number[device].astype(np.int64)
        start, middle = b"dothi/v1/", b"/" + self._prefixes[family] + b"-"
        code, digits = self._codes[area], six(number)
        longer = (number >= 10**6).astype(np.int64) + (number >= 10**7)
        sizes = len(start + middle) + 2 * self._code_sizes[area] + len(b"-/up") + 6 + longer
        length = sizes.astype(">u2").view("V2")
        return Topic([length, start, code, middle, code, b"-", *digits, b"/up"], sizes)
