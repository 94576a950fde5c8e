"""Keys of readings that were stored not long ago: which rows of a batch may be duplicates, without asking the database.

Only a hint: the unique key of the table decides. A key that was forgotten costs a COPY that is refused, one that is
taken for another costs a look-up.
"""

import numpy as np
import numpy.typing as npt

from ingest.batch import Columns

SLOTS = 1 << 21
"""Keys that are remembered, 16 MB: a few minutes of what one worker stores."""
SHIFT = np.uint64(64 - (SLOTS.bit_length() - 1))
PRIMES = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
"""Odd, with bits all over."""

Marks = npt.NDArray[np.uint64]


class Recent:
    """As many marks of keys as there are slots; a new one takes the place of an old one."""

    def __init__(self) -> None:
        self._marks: Marks = np.zeros(SLOTS, dtype=np.uint64)

    def seen(self, marks: Marks) -> npt.NDArray[np.bool_]:
        """Which keys were stored, as far as is remembered."""
        known: npt.NDArray[np.bool_] = self._marks[marks >> SHIFT] == marks
        return known

    def keep(self, marks: Marks) -> None:
        """These keys are stored."""
        self._marks[marks >> SHIFT] = marks


def marks_of(columns: Columns) -> Marks:
    """A number for the key (device, time, seq) of each row, never 0; two keys may have the same."""
    device = columns.table.device.astype(np.uint64)
    time, seq = columns.time.view(np.uint64), columns.seq.view(np.uint64)
    mixed = ((device * PRIMES[0] ^ time) * PRIMES[1] ^ seq) * PRIMES[2]
    return (mixed ^ mixed >> np.uint64(29)) * PRIMES[0] | np.uint64(1)


def repeats(columns: Columns, marks: Marks) -> dict[int, int]:
    """Rows whose key an earlier row of the batch has, with the first such row."""
    ordered = np.sort(marks)  # a tenth of what it costs to know their places, too
    if not (ordered[1:] == ordered[:-1]).any():
        return {}
    order = np.argsort(marks, kind="stable")
    same = np.flatnonzero(marks[order[1:]] == marks[order[:-1]])
    first: dict[tuple[int, int, int], int] = {}
    again: dict[int, int] = {}
    for row in sorted({*order[same].tolist(), *order[same + 1].tolist()}):
        earlier = first.setdefault((columns.devices[row].id, columns.time[row], columns.seq[row]), row)
        if earlier != row:
            again[row] = earlier
    return again
