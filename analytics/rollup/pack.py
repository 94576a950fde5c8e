"""Sums of a bucket → the bytes of COPY … FORMAT binary, packed by numpy.

A field that is NULL has no bytes, so rows are packed in groups that lack the same metrics. Format: PostgreSQL manual,
COPY, "Binary Format".
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.columns import IntArray
from analytics.rollup.grid import Grid
from devices.family import Family

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
EPOCH_2000_US = 946_684_800_000_000  # PostgreSQL counts microseconds from 2000-01-01

Field = tuple[npt.NDArray[Any], str]  # values and their big-endian type


def column_names(family: Family, grid: Grid) -> list[str]:
    """The columns in the order in which `pack` writes them."""
    parts = [f"{metric.name}_{part}" for metric in sent(family, grid) for part in ("sum", "min", "max", "n")]
    return ["bucket", "device", "area", "n", *parts]


def sent(family: Family, grid: Grid) -> Iterator[Any]:
    """The metrics that any device has sent."""
    return (metric for metric, sums in zip(family.metrics, grid.metrics, strict=True) if sums)


def pack(grid: Grid, bucket_us: int, devices: IntArray, places: IntArray) -> bytes:
    """The rows of some places as one COPY stream. `bucket_us`: µs since 1970 UTC; `devices`: place → id."""
    bucket = np.full(len(places), bucket_us - EPOCH_2000_US)
    fields: list[Field] = [
        (bucket, ">i8"),
        (devices[places], ">i4"),
        (grid.area[places], ">i2"),
        (grid.n[places], ">i4"),
    ]
    present = [np.ones((len(places), len(fields)), dtype=np.bool_)]
    for sums in grid.metrics:
        if sums:
            sums.grow(len(grid.n))
            n = sums.n[places]
            fields += [(part[places], ">f8") for part in (sums.sum, sums.low, sums.high)] + [(n, ">i4")]
            present.append(np.repeat(n[:, None] > 0, 4, axis=1))
    mask = np.hstack(present)
    return b"".join([SIGNATURE, *(pack_group(rows, fields, mask[rows[0]]) for rows in groups(mask)), TRAILER])


def groups(mask: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.intp]]:
    """Rows that have the same fields."""
    if not len(mask):
        return
    bits = np.packbits(mask, axis=1)
    _, which = np.unique(bits, axis=0, return_inverse=True)
    for group in range(int(which.max()) + 1):
        yield np.flatnonzero(which.reshape(-1) == group)


def pack_group(rows: npt.NDArray[np.intp], fields: list[Field], present: npt.NDArray[np.bool_]) -> bytes:
    """Rows that all have the fields that are `present`, and no others."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for place, (_, kind) in enumerate(fields):
        layout.append((f"length{place}", ">i4"))
        if present[place]:
            layout.append((f"value{place}", kind))
    block = np.empty(len(rows), dtype=layout)
    block["fields"] = len(fields)
    for place, (values, kind) in enumerate(fields):
        block[f"length{place}"] = int(kind[2:]) if present[place] else -1
        if present[place]:
            block[f"value{place}"] = values[rows]
    return block.tobytes()
