"""Devices and rows for tests of detectors: a fleet of some size, and readings as seeds make them."""

import numpy as np

from analytics.detectors.detector import Detector
from analytics.detectors.rows import Changes, Fleet, Floats, Ints, Rows, joined
from devices.family import Family

BEGIN_US = 1_767_225_600_000_000  # 2026-01-01 00:00 UTC
SECOND_US = 1_000_000

Told = dict[tuple[int, int], list[tuple[bool, int, int]]]


def fleet_of(devices: Ints | int, interval_s: float = 60.0) -> Fleet:
    """Devices by their registry ids, or so many, in one place."""
    ids = np.arange(devices) if isinstance(devices, int) else devices
    n = len(ids)
    return Fleet(
        ids.astype(np.int32),
        np.ones(n, np.int16),
        np.full(n, 213, np.int16),
        np.full(n, interval_s, np.float32),
        np.full(n, 3 * interval_s, np.float32),
        np.full(n, 21.3, np.float32),
        np.full(n, 106.2, np.float32),
        np.ones(n, np.bool_),
    )


def rows_of(family: Family, slot: Ints, time: Ints, values: Floats) -> Rows:
    """Rows in the order in which they came, received as they were measured."""
    order = np.argsort(slot, kind="stable")
    return Rows(family, slot[order], time[order], time[order], values[order])


def series(family: Family, values: Floats, interval_s: float = 60.0, slot: int = 0) -> Rows:
    """One device's readings at a fixed interval; `values`: rows × metrics."""
    time = BEGIN_US + (np.arange(len(values)) * interval_s * SECOND_US).astype(np.int64)
    return rows_of(family, np.full(len(values), slot), time, values)


def told(changes: Changes) -> Told:
    """What was said of each slot and metric, in order: on, at, since."""
    said: Told = {}
    for slot, metric, on, at, since in zip(*(column.tolist() for column in changes[:5]), strict=True):
        said.setdefault((slot, metric), []).append((on, at, since))
    return said


def run(detector: Detector, portions: list[Rows]) -> Changes:
    """Give a detector rows, portion by portion."""
    return joined([detector.update(rows) for rows in portions if rows.size])
