"""Rows of a batch: in the order in which they came, device by device; new metrics are seen."""

import numpy as np
import pytest

from analytics.columns import Columns
from analytics.detectors.watch import FEW_ROWS, gathered, in_order
from devices.family import FAMILIES


@pytest.mark.parametrize("devices", [1, 3, 40, 5_000])
@pytest.mark.parametrize("rows", [0, 1, FEW_ROWS, FEW_ROWS + 1, 700])
def test_rows_of_a_device_are_in_order_however_many_there_are(devices: int, rows: int) -> None:
    """By receipt, then time, then number; what is the same in all stays as it came; without a slot: left out."""
    random = np.random.default_rng(devices)
    slot = random.integers(-1, devices, rows)
    received, time, seq = (random.integers(0, 4, rows) for _ in range(3))
    nothing = np.zeros(rows, np.int64)
    columns = Columns(FAMILIES["air_quality"], nothing, nothing, time, seq, received, np.zeros((rows, 1)))
    order, by_slot = in_order(slot, columns)
    wanted = np.lexsort((seq, time, received, slot))
    wanted = wanted[slot[wanted] >= 0]
    assert order.tolist() == wanted.tolist()
    assert by_slot.tolist() == slot[wanted].tolist()


def test_a_metric_that_one_row_alone_has_is_seen() -> None:
    """Whatever its place, and also where rows lack what is usual."""
    for place in range(4):
        values = np.full((50, 6), np.nan)
        values[::2, 0] = values[::3, 5] = 1.0
        values[37, 1 + place] = 0.0
        told, new = gathered(values, np.arange(50)[::-1], np.array([0, 5]), np.array([1, 2, 3, 4]))
        assert new.tolist() == [n == place for n in range(4)]
        assert np.array_equal(told, np.c_[values[::-1, [0, 5]], np.full(50, np.nan)], equal_nan=True)
