"""Millions of names in little memory: byte strings, numbered 0, 1, 2, … as they come, found again exactly.

A hash table by open addressing with linear probing (Knuth, The Art of Computer Programming, vol. 3, section 6.4,
algorithm L), its numbers in arrays and all names in one block: for each about 20 bytes and the name itself. The hash is
Python's own of bytes, keyed anew in every process: nobody outside can make names collide.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

FREE = -1
LEAST_SLOTS = 1 << 10
MOST_BYTES = 1 << 32
LOW = 0xFFFF_FFFF


class Names:
    """Byte strings by number, numbers by byte string."""

    def __init__(self) -> None:
        self._count = 0
        self._block = bytearray()
        self._hashes = np.empty(0, dtype=np.uint32)  # the low half of each; a slot is their lowest bits
        self._ends = np.zeros(1, dtype=np.uint32)  # in the block; where the first one starts comes first
        self._slots = np.full(LEAST_SLOTS, FREE, dtype=np.int32)
        self._show()

    def __len__(self) -> int:
        """Names held."""
        return self._count

    def __getitem__(self, number: int) -> bytes:
        """The name with a number."""
        return bytes(self._block[self._end_view[number] : self._end_view[number + 1]])

    def _show(self) -> None:
        """One number is read from a memoryview in a quarter of the time that an array needs."""
        self._slot_view, self._end_view = self._slots.data, self._ends.data
        self._mask = len(self._slots) - 1

    def find(self, name: bytes) -> int:
        """The number of a name, or FREE."""
        slots, ends, mask = self._slot_view, self._end_view, self._mask
        slot = hash(name) & mask
        while (number := slots[slot]) >= 0:
            start = ends[number]
            if ends[number + 1] - start == len(name) and self._block.startswith(name, start):
                return number
            slot = slot + 1 & mask
        return FREE

    def find_all(self, names: list[bytes]) -> Ints:
        """The numbers of many names, FREE for those that are not there."""
        return self._find_hashed(names, hashes_of(names))

    def take(self, names: list[bytes]) -> Ints:
        """The numbers of many names, all different; those that were not there are there now."""
        hashes = hashes_of(names)
        found = self._find_hashed(names, hashes)
        new = np.flatnonzero(found == FREE)
        if len(new):
            found[new] = np.arange(self._count, self._count + len(new))
            self._append([names[place] for place in new.tolist()] if len(new) < len(names) else names, hashes[new])
        return found

    def _find_hashed(self, names: list[bytes], hashes: NDArray[np.uint32]) -> Ints:
        found = np.full(len(names), FREE, dtype=np.int64)
        if not self._count:
            return found
        wanted = np.arange(len(names))
        slots = hashes & self._mask
        while len(wanted):
            numbers = self._slots[slots]
            alike = np.flatnonzero((numbers != FREE) & (self._hashes[numbers] == hashes[wanted]))
            hit = alike[self._are(numbers[alike], [names[place] for place in wanted[alike].tolist()])]
            found[wanted[hit]] = numbers[hit]
            further = numbers != FREE
            further[hit] = False
            wanted, slots = wanted[further], slots[further] + np.uint32(1) & np.uint32(self._mask)
        return found

    def _are(self, numbers: NDArray[np.int32], names: list[bytes]) -> NDArray[np.bool_]:
        """Which of these numbers have these names; all names side by side, for one by one costs ten times as much."""
        starts, sizes = self._ends[numbers].astype(np.int64), sizes_of(names)
        are: NDArray[np.bool_] = self._ends[numbers + 1] - starts == sizes
        some = np.flatnonzero(are & (sizes > 0))
        if len(some):
            starts, sizes = starts[some], sizes[some]
            firsts = np.cumsum(sizes) - sizes
            ours = np.frombuffer(b"".join([names[place] for place in some.tolist()]), dtype=np.uint8)
            places = np.repeat(starts - firsts, sizes) + np.arange(len(ours))
            theirs = np.frombuffer(self._block, dtype=np.uint8)[places]
            are[some] = np.logical_and.reduceat(ours == theirs, firsts)
        return are

    def _append(self, names: list[bytes], hashes: NDArray[np.uint32]) -> None:
        before, self._count = self._count, self._count + len(names)
        ends = len(self._block) + np.cumsum(sizes_of(names))
        if ends[-1] >= MOST_BYTES:
            raise OverflowError(f"{self._count} names have more than 4 GiB together")
        self._block += b"".join(names)
        self._hashes = grown(self._hashes, self._count)
        self._hashes[before : self._count] = hashes
        self._ends = grown(self._ends, self._count + 1)
        self._ends[before + 1 : self._count + 1] = ends
        if self._count * 2 > len(self._slots):
            self._slots = np.full(slots_for(self._count), FREE, dtype=np.int32)
            before = 0
        self._seat(before)
        self._show()

    def _seat(self, first: int) -> None:
        """Give every name from a number on the first free slot from that of its hash on; of several that come to the
        same one at a time one gets it."""
        mask = np.uint32(len(self._slots) - 1)
        numbers = np.arange(first, self._count, dtype=np.int32)
        slots = self._hashes[first : self._count] & mask
        while len(numbers):
            free = self._slots[slots] == FREE
            self._slots[slots[free]] = numbers[free]
            further = self._slots[slots] != numbers
            numbers, slots = numbers[further], slots[further] + np.uint32(1) & mask


def sizes_of(names: list[bytes]) -> Ints:
    """How long they are."""
    return np.fromiter(map(len, names), dtype=np.int64, count=len(names))


def hashes_of(names: list[bytes]) -> NDArray[np.uint32]:
    """The low halves of the hashes."""
    whole = np.fromiter(map(hash, names), dtype=np.int64, count=len(names))
    return (whole & LOW).astype(np.uint32)


def slots_for(count: int) -> int:
    """A power of two of which at most half is used, and room to grow."""
    return max(LEAST_SLOTS, 1 << (2 * count).bit_length())


def grown(array: NDArray[Number], count: int) -> NDArray[Number]:
    """An array with room for so many numbers; it grows by a quarter at least, so that growing is rare."""
    if count <= len(array):
        return array
    larger = np.zeros(max(count, len(array) * 5 // 4), dtype=array.dtype)
    larger[: len(array)] = array
    return larger
