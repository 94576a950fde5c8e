"""Stored readings as columns of numpy arrays: what followers of the stream are given."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.family import Family

IntArray = npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.float64]


class Columns(NamedTuple):
    """Rows of one family, in no particular order. All arrays have one entry per row.

    `batches` are the numbers of the batches that these rows are, all of them and nothing else; `batch` the number of
    each row's, where that was asked for.
    """

    family: Family
    device: IntArray  # int32, registry ids
    area: IntArray  # int16, registry.area ids
    time: IntArray  # int64, µs since 1970 UTC
    seq: IntArray  # int64
    received: IntArray  # int64, µs since 1970 UTC
    values: FloatArray  # float64 (rows, metrics of the family in order), NaN where null; states as their number
    batches: tuple[int, ...] = ()
    batch: IntArray | None = None  # int64
