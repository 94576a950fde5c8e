"""A device that reports one moment more than once: duplicate hours, a clock that stands, two devices with one name."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import Array, Told, change, columns, compiled, i8
from analytics.detectors.detector import Changes, Detector, Rows, State
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
        return self.changes(sweep(rows.slot, rows.time, self.kept(Kept), self.parameters))


class Kept(NamedTuple):
    """As `Repeated` declares them."""

    time: Array
    hold: Array
    since: Array
    on: Array
    score: Array


@compiled
def sweep(slots: Array, times: Array, kept: Kept, asked: Parameters) -> Told:
    """Most times are new: of these nothing but the time is noted."""
    told = []
    for i in range(len(slots)):
        at, time = (slots[i], 0), times[i]
        found, hold = time == kept.time[at], i8(kept.hold[at])
        kept.time[at] = time
        if not found and hold == 0:
            continue
        if found and hold == 0:
            kept.since[at] = time
        hold = asked.hold if found else hold - 1
        kept.hold[at] = hold
        kept.score[at] = on = hold > 0
        if on != kept.on[at]:
            kept.on[at] = on
            told.append(change(at[0], 0, on, time, kept.since[at], on, np.nan, np.nan))
    return columns(told)


DETECTORS = (Repeated,)
