"""Compile all loops now: python -m analytics.detectors.beforehand

Else the first batch of each family after an installation waits for it, some 15 s in all.
"""

import sys
import time

import numpy as np

from analytics.alarms.senders import Senders
from analytics.columns import Columns
from analytics.detectors import all_detectors
from analytics.detectors.detector import Detector
from analytics.detectors.neighbours import nearest
from analytics.detectors.rows import Fleet
from analytics.detectors.watch import Watch
from devices.family import FAMILIES, Family

READINGS = 3


def main() -> None:
    """Let every detector of every family judge a device that says a few things; whatever it finds is forgotten."""
    began = time.monotonic()
    Senders().take(few_readings(next(iter(FAMILIES.values()))))
    nearest(np.zeros(2, np.float32), np.zeros(2, np.float32), np.zeros(2, np.int16))
    for family in FAMILIES.values():
        watch = Watch(family, all_detectors(), failed)
        watch.grow(one_device())
        watch.take(np.zeros(READINGS, np.int64), few_readings(family))
        watch.tick(time.time_ns() // 1000)
    sys.stdout.write(f"detectors are compiled ({time.monotonic() - began:.0f} s)\n")


def one_device() -> Fleet:
    """A fleet of one."""
    number, some_s = np.ones(1, np.int16), np.full(1, 60, np.float32)
    return Fleet(number.astype(np.int32), number, number, some_s, 3 * some_s, some_s, some_s, np.ones(1, np.bool_))


def few_readings(family: Family) -> Columns:
    """A minute apart, every metric at an allowed value."""
    times = time.time_ns() // 1000 + 60_000_000 * np.arange(READINGS)
    values = np.tile([metric.low if np.isfinite(metric.low) else 0.0 for metric in family.metrics], (READINGS, 1))
    ones = np.ones(READINGS, np.int64)
    return Columns(family, ones.astype(np.int32), ones.astype(np.int16), times, np.cumsum(ones), times, values)


def failed(detector: Detector, error: Exception) -> None:
    """A detector that cannot be compiled must not be found out by a city."""
    raise RuntimeError(f"{detector.name} of {detector.family.name}: {error}") from error


if __name__ == "__main__":
    main()
