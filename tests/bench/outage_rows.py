"""Every stored row of the long outage against the message it came from."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from tests.bench.outage_load import AREAS, DEVICES, Load
from tests.stack import RunningStack

ROW = np.dtype(
    [("fields", ">i2")]
    + [field for name, kind in (("seq", ">i8"), ("device", ">i4"), ("time", ">i8"), ("value", ">f8"))
       for field in ((f"length_{name}", ">i4"), (name, kind))]
)  # fmt: skip
EPOCH_2000_MS = 946_684_800_000

Ints = npt.NDArray[np.int64]


def check_rows(stack: RunningStack, load: Load, sent: list[int]) -> dict[str, int]:
    """Read every row and compare it with the message it came from. `sent`: by connection."""
    device_ids, total = registered(stack), max(sent) * len(AREAS)
    expected, seen = np.zeros(total, dtype=np.bool_), np.zeros(total, dtype=np.uint8)
    for place, count in enumerate(sent):
        expected[place :: len(AREAS)][:count] = True
    counts = {"rows": 0, "strangers": 0, "wrong": 0}
    for rows in stored_rows(stack):
        seq = rows["seq"].astype(np.int64)
        ours = (seq >= 0) & (seq < total)
        ours[ours] = expected[seq[ours]]
        counts["rows"] += len(rows)
        counts["strangers"] += int((~ours).sum())
        rows, seq = rows[ours], seq[ours]
        counts["wrong"] += int((~right(rows, seq, load, device_ids)).sum())
        np.add.at(seen, seq, np.uint8(1))
    return {**counts, "lost": int((expected & (seen == 0)).sum()), "double": int((seen > 1).sum())}


def registered(stack: RunningStack) -> Ints:
    """Registry ids of the devices, by their number."""
    rows = stack.query("select id from registry.device where device like 'outage-%%' order by device")
    return np.array([number for (number,) in rows], dtype=np.int64)


def stored_rows(stack: RunningStack) -> Iterator[npt.NDArray[Any]]:
    """All rows of the table, many at a time."""
    statement = (
        "copy (select seq, device, time, coalesce(pm25, 'NaN') from reading.air_quality) to stdout (format binary)"
    )
    with psycopg.connect(stack.document["database"]) as connection, connection.cursor().copy(statement) as copy:
        pieces: list[bytes] = []
        head = 19  # signature, flags, length of the extension
        for piece in copy:
            pieces.append(bytes(piece)[head:])
            head = 0
            if len(pieces) == 100_000:
                yield unpacked(pieces)
                pieces = []
        yield unpacked(pieces)


def unpacked(pieces: list[bytes]) -> npt.NDArray[Any]:
    """Rows of binary COPY, without the two bytes that end it."""
    stream = b"".join(pieces)
    return np.frombuffer(stream[: len(stream) // ROW.itemsize * ROW.itemsize], dtype=ROW)


def right(rows: npt.NDArray[Any], number: Ints, load: Load, device_ids: Ints) -> npt.NDArray[np.bool_]:
    """Whether rows say what their messages said."""
    time_ms = load.start_ms + number * 1000 // load.rate
    agrees: npt.NDArray[np.bool_] = rows["device"] == device_ids[number % DEVICES]
    agrees &= rows["time"] == (time_ms - EPOCH_2000_MS) * 1000
    agrees &= np.abs(rows["value"] - number % 4_000 / 10) < 1e-6
    return agrees
