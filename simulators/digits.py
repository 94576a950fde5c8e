"""Numbers as columns of bytes: fields of one width whose unused bytes hold `HOLE`, which is dropped later, all at once.

0xFF is no byte of UTF-8 (RFC 3629), so it never stands in a topic or a JSON document. Four digits are looked up at a
time: writing a number this way costs about a tenth of formatting it.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Floats, Ints

HOLE = 0xFF
GROUP = 10_000
"""Numbers that one look-up writes."""

Field = NDArray[Any]
"""One element per row, all of one width in bytes; bytes that hold HOLE are not there."""


def texts(words: list[bytes]) -> Field:
    """A table of words, as long as the longest; bytes of a width that a number has are copied sooner as one."""
    width = max(map(len, words))
    table = np.frombuffer(b"".join(word.ljust(width, b"\xff") for word in words), dtype=f"V{width}")
    return table.view(f"u{width}") if width in (1, 2, 4, 8) else table


def _groups(words: list[bytes]) -> NDArray[np.uint32]:
    return np.frombuffer(b"".join(word.rjust(4, b"\xff") for word in words), dtype=np.uint32)


_BARE = [b"%d" % number for number in range(GROUP)]
_FULL = [b"%04d" % number for number in range(GROUP)]
_LAST = _groups(_BARE + _FULL)
_UPPER = _groups([b"", *_BARE[1:], *_FULL])
_TWO = np.frombuffer(b"".join(word.rjust(2, b"\xff") for word in _BARE[:100]), dtype=np.uint16)
_SIX = _groups([b"%02d" % number for number in range(GROUP)])


def whole(numbers: Ints) -> list[Field]:
    """The fields of numbers from 0, without leading zeros, highest digits first; no holes where all are as long."""
    most = int(numbers.max(initial=0))
    long, short = len(str(most)), len(str(numbers.min(initial=most)))
    if long == short:
        return _as_long(numbers, long)
    if long == 2:
        return [_TWO[numbers]]
    fields: list[Field] = []
    while most >= GROUP:
        rest = numbers // GROUP
        index = numbers - rest * GROUP + GROUP * (rest > 0)
        fields.insert(0, (_UPPER if fields else _LAST)[index])
        numbers, most = rest, most // GROUP
    return [(_UPPER if fields else _LAST)[numbers], *fields]


def _as_long(numbers: Ints, digits: int) -> list[Field]:
    """The fields of numbers that have so many digits, or fewer and leading zeros."""
    fields: list[Field] = []
    while digits > 4:
        rest = numbers // GROUP
        fields.insert(0, texts_of(4)[numbers - rest * GROUP])
        numbers, digits = rest, digits - 4
    return [texts_of(digits)[numbers], *fields]


def six(numbers: Ints) -> list[Field]:
    """The fields of numbers from 0 below 100,000,000 as `%06d` writes them."""
    if numbers.max(initial=0) < 10**6:
        return _as_long(numbers, 6)
    rest = numbers // GROUP
    return [_SIX[rest], _LAST[numbers - rest * GROUP + GROUP]]


def decimal(numbers: Floats, decimals: int) -> list[Field]:
    """The fields of finite numbers with so many digits behind the point, as `scaled` rounds them."""
    integers = scaled(numbers, decimals).astype(np.int64)
    sign: list[Field] = []
    if len(integers) and integers.min() < 0:
        sign = [np.where(integers < 0, ord("-"), HOLE).astype(np.uint8)]
        integers = np.abs(integers)
    if not decimals:
        return sign + whole(integers)
    unit = 10**decimals
    front = integers // unit
    return sign + whole(front) + _behind(integers - front * unit, decimals)


def scaled(numbers: Floats, decimals: int) -> Floats:
    """Whole numbers of the last digit that is written; a tie goes to the even one."""
    return np.asarray(np.rint(numbers * 10.0**decimals), dtype=np.float64)


def _behind(numbers: Ints, decimals: int) -> list[Field]:
    """The point and the digits behind it, at most four of them looked up at a time."""
    if decimals <= 4:
        return [_fraction(decimals)[numbers]]
    unit = 10 ** (decimals - 4)
    front = numbers // unit
    return [_fraction(4)[front], *_as_long(numbers - front * unit, decimals - 4)]


@cache
def _fraction(decimals: int) -> Field:
    return texts([b".%0*d" % (decimals, number) for number in range(10**decimals)])


@cache
def texts_of(digits: int) -> Field:
    """A table of all numbers of so many digits, with leading zeros."""
    return texts([b"%0*d" % (digits, number) for number in range(10**digits)])
