"""Where the numbers of one CBOR message of our own stand, and what else is in it.

RFC 8949, section 3: of a head's byte the three upper bits are the major type, the others say the length.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.family import Family
from devices.native import MAX_SEQ, MAX_TIME_MS
from devices.profile import MAX_ELEMENTS

HERE = 24
"""Lengths below stand in the head itself."""
UNSIGNED, NEGATIVE, TEXT, LIST, MAP, SIMPLE = 0, 1, 3, 4, 5, 7
INTEGERS = {24: ">u1", 25: ">u2", 26: ">u4", 27: ">u8"}
FLOATS = {25: ">f2", 26: ">f4", 27: ">f8"}
COUNTS = {"time": MAX_TIME_MS, "seq": MAX_SEQ, "boot": MAX_SEQ}


class NoLayout(Exception):
    """Something that is read with care."""


class Number(NamedTuple):
    """Where a number stands. `kind`: as numpy calls it; `head`: of one that stands in its own head, what the head is
    for nought; `negative`: -1 less the number is meant."""

    at: int
    kind: str
    head: int | None = None
    negative: bool = False


class Element(NamedTuple):
    """What one reading consists of: numbers by name (time, seq, boot), metrics by place, states as they are."""

    counts: dict[str, Number]
    metrics: dict[int, Number]
    states: dict[int, float]


class Layout(NamedTuple):
    """`fixed`: bytes that are always the same, 0 elsewhere; `mask`: where; `dtype`: the numbers by their offset."""

    elements: list[Element]
    alone: bool
    fixed: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    dtype: np.dtype[np.void]

    def numbers(self) -> Iterator[Number]:
        """All of them."""
        for element in self.elements:
            yield from element.counts.values()
            yield from element.metrics.values()


class Scan:
    """Looks where the numbers of a message stand."""

    def __init__(self, family: Family, payload: bytes) -> None:
        self._family = family
        self._payload = payload
        self._at = 0

    def layout(self) -> Layout:
        """Raises NoLayout."""
        try:
            return self._layout()
        except (IndexError, UnicodeDecodeError):
            raise NoLayout from None

    def _layout(self) -> Layout:
        alone = self._payload[0] >> 5 == MAP
        elements = [self._element() for _ in range(1 if alone else self._length(LIST, MAX_ELEMENTS))]
        if self._at != len(self._payload) or not elements:
            raise NoLayout
        places = [n for one in elements for n in (*one.counts.values(), *one.metrics.values())]
        mask = np.full(len(self._payload), 0xFF, dtype=np.uint8)
        for number in places:
            mask[number.at : number.at + np.dtype(number.kind).itemsize] = 0
        dtype = np.dtype(
            {
                "names": [f"at{number.at}" for number in places],
                "formats": [number.kind for number in places],
                "offsets": [number.at for number in places],
                "itemsize": len(self._payload),
            }
        )
        return Layout(elements, alone, np.frombuffer(self._payload, dtype=np.uint8) & mask, mask, dtype)

    def _length(self, major: int, most: int) -> int:
        """The length that a head says."""
        head = self._payload[self._at]
        short, self._at = head & 0x1F, self._at + 1
        if head >> 5 != major or short > 25:
            raise NoLayout
        if short >= HERE:
            size = 1 << short - 24
            if self._at + size > len(self._payload):
                raise NoLayout
            short = int.from_bytes(self._payload[self._at : self._at + size])
            self._at += size
        if short > most:
            raise NoLayout
        return short

    def _text(self) -> str:
        length = self._length(TEXT, len(self._payload) - self._at)
        raw = self._payload[self._at : self._at + length]
        self._at += length
        if len(raw) < length:
            raise NoLayout
        return raw.decode()

    def _number(self, floats: bool) -> Number:
        head, at = self._payload[self._at], self._at
        major, short = head >> 5, head & 0x1F
        if major in (UNSIGNED, NEGATIVE) and short < HERE:
            self._at += 1
            return Number(at, ">u1", head & 0xE0, major == NEGATIVE)
        kind = (FLOATS if floats else {}).get(short) if major == SIMPLE else INTEGERS.get(short)
        if kind is None or major not in (UNSIGNED, NEGATIVE, SIMPLE):
            raise NoLayout
        self._at += 1 + np.dtype(kind).itemsize
        if self._at > len(self._payload):
            raise NoLayout
        return Number(at + 1, kind, None, major == NEGATIVE)

    def _element(self) -> Element:
        counts, metrics, states, seen = dict[str, Number](), dict[int, Number](), dict[int, float](), set[str]()
        for _ in range(self._length(MAP, 4)):
            key = self._text()
            if key in seen:
                raise NoLayout
            seen.add(key)
            if key in COUNTS:
                counts[key] = self._number(floats=False)
                if counts[key].negative:
                    raise NoLayout
            elif key == "metrics":
                self._metrics(metrics, states)
            else:
                raise NoLayout
        if not metrics and not states:
            raise NoLayout
        return Element(counts, metrics, states)

    def _metrics(self, metrics: dict[int, Number], states: dict[int, float]) -> None:
        for _ in range(self._length(MAP, len(self._family.metrics))):
            place = self._family.index.get(self._text(), -1)
            if place < 0 or place in metrics or place in states:
                raise NoLayout
            words = self._family.metrics[place].states
            if words:
                word = self._text()
                if word not in words:
                    raise NoLayout
                states[place] = float(words.index(word))
            else:
                metrics[place] = self._number(floats=True)
