"""A device that reports one moment more than once: duplicate hours, a clock that stands, two devices with one name."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State
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

    def _round(self, rows: Rows) -> Changes:
        """Most times are new: of these nothing but the time is noted."""
        state, slot = self.state, rows.slot
        before = state["time"][slot, 0]
        state["time"][slot, 0] = rows.time
        found = rows.time == before
        hold = state["hold"][slot, 0]
        places = np.flatnonzero(found | (hold > 0))
        if not len(places):
            return NO_CHANGES
        slot, time, found, hold = slot[places], rows.time[places], found[places], hold[places]
        column = np.zeros(len(places), np.int64)
        state["since"][slot, 0] = since = np.where(found & (hold == 0), time, state["since"][slot, 0])
        state["hold"][slot, 0] = hold = np.where(found, self.parameters.hold, hold - (hold > 0)).astype("u1")
        on = hold > 0
        return self.settled(slot, column, on.astype("f4"), on, time, since, np.full(len(places), np.nan), np.nan)


DETECTORS = (Repeated,)
