"""A device that reports one moment more than once: duplicate hours, a clock that stands, two devices with one name."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import Array, Told, change, columns, compiled, fetch, i8, later, lines_of
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.layout import Records
from devices.family import Family


class Parameters(NamedTuple):
    """`hold`: readings without a repeated time after which it is over."""

    hold: int = 24


class Repeated(Detector):
    """Score: 1 at a reading whose time the device has told before, until there was none for some readings.

    What is sent a second time as a whole never gets here: it is a duplicate and is not stored again.
    """

    name = "repeated"
    whole = True
    in_rows = True
    grace = 2
    arrays: ClassVar[dict[str, State]] = {
        "time": State("i8", -1),
        "hold": State("u1"),
        "since": State("i8"),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        return self.changes(sweep(rows.slot, rows.time, self.records, self.parameters))


@compiled
def sweep(slots: Array, times: Array, kept: Records, asked: Parameters) -> Told:
    """Most times are new: of these nothing but the time is noted."""
    told = []
    each, lines, end = kept.each, lines_of(kept.rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        entry, time = each[slots[i], 0], times[i]
        found, hold = time == entry.time, i8(entry.hold)
        entry.time = time
        if not found and hold == 0:
            continue
        if found and hold == 0:
            entry.since = time
        hold = asked.hold if found else hold - 1
        entry.hold = hold
        entry.score = on = hold > 0
        if on != entry.on:
            entry.on = on
            told.append(change(slots[i], 0, on, time, entry.since, on, np.nan, np.nan))
    return columns(told)


DETECTORS = (Repeated,)
