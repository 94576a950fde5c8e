"""Counters at roads: what detectors of traffic have in common."""

import numpy as np

from analytics.detectors.detector import WHOLE_DEVICE, Detector
from analytics.detectors.rows import Ints, Rows
from analytics.detectors.seasonal import Floats
from analytics.indices.queue import FULL
from devices.family import Family


class Roadside(Detector):
    """Judges a counter that tells speed and occupancy, as a whole."""

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """The device, where its family has both."""
        return [WHOLE_DEVICE] if {"average_vehicle_speed", "occupancy"} <= family.index.keys() else []


def measured(rows: Rows) -> tuple[Ints, Ints, Floats, Floats]:
    """Slot, time, km/h and occupancy (0-1, may be NaN) of the readings that tell a speed. A full road on which none is
    measured stands still."""
    columns = [rows.family.index[name] for name in ("average_vehicle_speed", "occupancy")]
    speed, full = np.asarray(rows.values[:, columns], dtype=np.float64).T
    speed = np.where(np.isnan(speed) & (full > FULL), 0.0, speed)
    there = ~np.isnan(speed)
    return rows.slot[there], rows.time[there], speed[there], full[there]
