"""Query results as numpy columns: a million rows come as one row of arrays, for a client takes rows one by one, even
from COPY. Format: PostgreSQL's `array_send`."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def elements(array: bytes | None) -> Ints:
    """The elements of a binary one-dimensional array of eight-byte elements; none of NULL, and none is NULL."""
    if not array or len(array) < 20:
        return np.empty(0, dtype=np.int64)
    block = np.frombuffer(array, dtype=[("length", ">i4"), ("value", ">i8")], offset=20)
    return block["value"].astype(np.int64)


def cut(text: bytes | None, lengths: Ints) -> list[bytes]:
    """The pieces, one after the other, of a text; `lengths` in bytes.

    >>> cut(b"abc", np.array([1, 0, 2]))
    [b'a', b'', b'bc']
    """
    ends = np.cumsum(lengths).tolist()
    return [(text or b"")[start:end] for start, end in zip([0, *ends], ends, strict=False)]
