"""What became of every message, on disk: rows of one size, appended once a message's fate is known."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

ROW = np.dtype(
    [
        ("device", "<u4"),  # index into the fleet, of the device that the topic names
        ("sender", "<u4"),  # of the device that sent it
        ("boot", "<u4"),
        ("seq", "<u4"),
        ("time", "<i8"),  # of the reading, ms since 1970
        ("due", "<f8"),  # s since 1970
        ("late", "<f4"),  # s from due to handed to the socket; NaN: never sent
        ("answer", "<f4"),  # s from sent to PUBACK; NaN: none came
        ("kind", "u1"),  # simulators.messages.Kind
        ("again", "u1"),
        (
            "code",
            "u1",
        ),  # of the PUBACK (0x10: nobody subscribed, from 0x80: refused), else NO_ANSWER, NOT_SENT
    ]
)
NO_ANSWER, NOT_SENT = 0xFE, 0xFF

Rows = NDArray[np.void]


class Spool:
    """Appends rows to a file; memory does not grow with the run. 43 bytes a message."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb", buffering=1 << 20)

    def append(self, rows: Rows) -> None:
        """`rows` of dtype `ROW`."""
        self._file.write(rows.tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def read(path: Path) -> Rows:
    """All rows of a spool, mapped into memory rather than read; a row cut off at the end is left out."""
    count = path.stat().st_size // ROW.itemsize
    return np.memmap(path, dtype=ROW, mode="r", shape=(count,)) if count else np.empty(0, dtype=ROW)
