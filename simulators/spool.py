"""What became of every message, on disk: rows of one size, appended once a message's fate is known."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulators.messages import Messages

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
NO_SUBSCRIBER, FAILURE = 0x10, 0x80
SLICE = 1_000_000
"""Rows that are read at once."""

Rows = NDArray[np.void]


class Spool:
    """Appends rows to a file; memory does not grow with the run. 43 bytes a message."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb", buffering=1 << 20)

    def append(self, rows: Rows) -> None:
        """`rows` of dtype `ROW`."""
        self._file.write(np.ascontiguousarray(rows).data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def never_sent(messages: Messages) -> Rows:
    """Messages that were not sent, as the spool keeps them."""
    rows = np.empty(len(messages), dtype=ROW)
    for field in fields(messages):
        rows[field.name] = getattr(messages, field.name)
    rows["late"], rows["answer"], rows["code"] = np.nan, np.nan, NOT_SENT
    return rows


def read(path: Path) -> Rows:
    """All rows of a spool, mapped into memory rather than read; a row cut off at the end is left out."""
    count = path.stat().st_size // ROW.itemsize
    return np.memmap(path, dtype=ROW, mode="r", shape=(count,)) if count else np.empty(0, dtype=ROW)


def slices(paths: Sequence[Path], most: int = SLICE) -> Iterator[Rows]:
    """The rows of some spools, at most so many at a time, read rather than mapped: they do not stay in memory."""
    for path in paths:
        left = path.stat().st_size // ROW.itemsize
        with path.open("rb") as file:
            while left:
                rows = np.fromfile(file, dtype=ROW, count=min(left, most))
                yield rows
                left -= len(rows)


def acknowledged(rows: Rows) -> NDArray[np.bool_]:
    """Which messages a broker took for somebody who will read them."""
    return np.asarray((rows["code"] < FAILURE) & (rows["code"] != NO_SUBSCRIBER))


def messages_of(rows: Rows) -> Messages:
    """The messages that rows tell of, so that a city can say them once more."""
    return Messages(
        device=rows["device"].astype(np.uint32),
        sender=rows["sender"].astype(np.uint32),
        boot=rows["boot"].astype(np.int64),
        seq=rows["seq"].astype(np.int64),
        time=rows["time"].astype(np.int64),
        due=rows["due"].astype(np.float64),
        kind=rows["kind"].astype(np.uint8),
        again=rows["again"].astype(np.bool_),
    )
