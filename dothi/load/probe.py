"""When a reading can be asked for: a few devices, looked for by SQL as a client would, while a run goes on."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from simulators.draw import Ints
from simulators.fleet import Fleet, native_profile
from simulators.messages import Kind
from simulators.spool import Rows, acknowledged, slices

EVERY_S = 0.1
"""Between two questions: a delay is too long by at most this and the time that the answer takes."""
DEVICES = 50
PER_S = 20.0
"""Readings a second that are looked for, about."""
BACK_S = 120.0
"""How old a reading may be when it is asked for."""


def chosen(fleet: Fleet, members: Ints, speed: float) -> tuple[str, Ints]:
    """A family and some of its devices (indices): the family that speaks most often, spread over the districts."""
    intervals = [native_profile(family).interval_s / speed for family in fleet.families]
    present = np.unique(fleet.family[members]).tolist()
    family = min(present, key=lambda number: intervals[number])
    devices = members[fleet.family[members] == family]
    count = int(np.clip(PER_S * intervals[family], 1, min(DEVICES, len(devices))))
    return fleet.families[family], np.sort(devices[:: max(1, len(devices) // count)][:count])


class Probe:
    """Asks on a thread of its own while the block runs."""

    def __init__(self, url: str, fleet: Fleet, family: str, devices: Ints) -> None:
        """`url`: of the database, as a reader. `devices`: indices, all of the family."""
        self.family, self.devices = family, devices
        self._url, self._names = url, fleet.ids(devices)
        self._index = dict(zip(self._names, devices.tolist(), strict=True))
        self._seen: dict[tuple[int, int, int], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def delays(self, spools: Sequence[Path]) -> NDArray[np.float64]:
        """Seconds from sent to seen in an answer, of each message that was looked for; NaN: not seen while it was.

        Messages whose reading was old on purpose, repeats and faulty ones are not looked for.
        """
        found = [self._delays(rows[np.isin(rows["device"], self.devices)]) for rows in slices(spools)]
        return np.concatenate([np.empty(0), *found])

    def _delays(self, rows: Rows) -> NDArray[np.float64]:
        rows = rows[(rows["kind"] == Kind.FRESH) & (rows["again"] == 0) & acknowledged(rows)]
        keys = zip(rows["device"].tolist(), rows["time"].tolist(), rows["seq"].tolist(), strict=True)
        seen = np.array([self._seen.get(key, np.nan) for key in keys], dtype=np.float64)
        return np.asarray(seen - (rows["due"] + rows["late"]), dtype=np.float64)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, connect_timeout=2, application_name="dothi probe"
                ) as connection:
                    self._ask_until_stopped(connection)
            except psycopg.Error:
                self._stop.wait(1.0)  # what becomes visible meanwhile is seen later, and that is its delay

    def _ask_until_stopped(self, connection: psycopg.Connection[Any]) -> None:
        query = sql.SQL(
            "select device, (extract(epoch from time) * 1000)::int8, seq from {} where device = any(%s)"
            " and time > to_timestamp(%s) and time < now() + interval '1 minute'"
        ).format(sql.Identifier("city", self.family))
        while not self._stop.wait(EVERY_S):
            since = time.time() - BACK_S
            rows = connection.execute(query, (self._names, since)).fetchall()
            answered = time.time()
            for device, moment, seq in rows:
                self._seen.setdefault((self._index[device], moment, seq), answered)
