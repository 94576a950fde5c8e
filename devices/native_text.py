"""Many JSON messages of our own at once → arrays, in one compiled pass over their bytes: no object for any reading.

What is written as devices write it is read here: the four fields in any order, plain decimal numbers of at most 18
digits, metrics within their range. A message with anything else in it is left to be read with care, as a whole.
"""

import numpy as np

from devices.family import FAMILIES, Family
from devices.native_scan import FIELDS, Ints, Taken, Words, all_of

LEAST = len('{"metrics":{"a":1}},')
"""Bytes of a reading in a list."""


class Text:
    """Reads messages of one family."""

    def __init__(self, family: Family) -> None:
        self._words = words_of(family)

    def read(self, payloads: list[bytes]) -> tuple[Taken, Ints]:
        """The readings, in order, and the places of the messages that must be read with care. A `seq` that was not sent
        is NO, of messages that are no lists."""
        text = np.frombuffer(b"\0".join([*payloads, b""]), dtype=np.uint8)
        sizes = np.fromiter(map(len, payloads), dtype=np.int64, count=len(payloads))
        rows = len(text) // LEAST + len(payloads)
        message, element, time, seq, boot = (np.empty(rows, dtype=np.int64) for _ in range(5))
        taken = Taken(message, element, time, seq, boot, np.empty((rows, self._words.metrics)))
        left = np.zeros(len(payloads), dtype=np.bool_)
        count = all_of(text, np.cumsum(sizes + 1) - 1, self._words, taken, left)
        return Taken(*(column[:count] for column in taken)), np.flatnonzero(left)


def prepare() -> None:
    """Compile what is not compiled yet, or read it from where it is kept."""
    Text(next(iter(FAMILIES.values()))).read([b"{}"])


def words_of(family: Family) -> Words:
    """All words of a family."""
    metrics = family.metrics
    words = [*FIELDS, *(m.name for m in metrics), *(state for m in metrics for state in m.states)]
    states = len(FIELDS) + len(metrics) + np.cumsum([0, *(len(metric.states) for metric in metrics)])
    return Words(
        np.frombuffer("".join(words).encode(), dtype=np.uint8),
        np.cumsum([0, *map(len, words)]),
        states,
        np.array([metric.low for metric in metrics]),
        np.array([metric.high for metric in metrics]),
        np.zeros(len(metrics), dtype=np.int64),
        len(metrics),
    )
