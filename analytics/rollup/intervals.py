"""How often each device is to send, by registry id: what areas need to say how complete they are."""

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.columns import IntArray

SLICE = 250_000
CHANGED = sql.SQL(
    "select id, profile from registry.device where changed >= {}::xid8 and id >= {} and id < {} order by id"
)
ALL = (0, 2**31 - 1)


class Intervals:
    """2 bytes per device, and the intervals of the profiles."""

    def __init__(self) -> None:
        self._profiles = np.zeros(0, dtype=np.int16)  # by registry id
        self._interval_s = np.zeros(1)  # by profile
        self._xmin = "0"

    def follow(self, connection: psycopg.Connection) -> None:
        """Devices changed since the last look; a change that commits late comes with the next one."""
        highest, xmin = connection.execute(
            "select coalesce((select max(id) from registry.device), 0), pg_snapshot_xmin(pg_current_snapshot())::text"
        ).fetchone() or (0, "0")
        profiles = connection.execute("select id, interval_s from registry.profile").fetchall()
        self._interval_s = np.zeros(max((number for number, _ in profiles), default=0) + 1)
        for number, interval_s in profiles:
            self._interval_s[number] = interval_s
        if highest >= len(self._profiles):
            self._profiles = np.pad(self._profiles, (0, highest + 1 + highest // 8 - len(self._profiles)))
        slices = [(low, low + SLICE) for low in range(0, highest + 1, SLICE)] if self._xmin == "0" else [ALL]
        for low, high in slices:
            device, profile = columns_of(connection, CHANGED.format(self._xmin, low, high), "i4 i2")
            known = device < len(self._profiles)
            self._profiles[device[known]] = profile[known]
        self._xmin = xmin

    def of(self, devices: IntArray) -> npt.NDArray[np.float64]:
        """Seconds between two readings of each device."""
        profiles = self._profiles[np.minimum(devices, len(self._profiles) - 1)]
        return self._interval_s[profiles]
