"""A device that reports one moment more than once: duplicate hours, a clock that stands, two devices with one name."""

from typing import ClassVar, NamedTuple

import numpy as np

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
        "readings": State("u1"),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        state, slot, time = self.state, rows.slot, rows.time[:, None]
        known = state["readings"][slot] > 0
        found, hold = known & (time == state["time"][slot]), state["hold"][slot]
        since = np.where(found & (hold == 0), time, state["since"][slot])
        hold = np.where(found, self.parameters.hold, hold - (hold > 0)).astype("u1")
        state["time"][slot], state["hold"][slot], state["since"][slot] = time, hold, since
        state["readings"][slot] = 1
        state["score"][slot] = hold > 0
        return self.switched(slot, hold > 0, time, since, np.nan)


DETECTORS = (Repeated,)
