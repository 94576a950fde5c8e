"""A device's clock that is wrong: what it says of the time, against when we received it."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State, latched
from devices.family import Family


class Parameters(NamedTuple):
    """`wrong_s`: how far off is wrong, s; `readings` in a row and `seconds`: how long it must have been so.

    `nearer`: a reading whose offset is below this share of the least one before begins anew: a buffer that is being
    emptied, not a clock.
    """

    wrong_s: float = 60.0
    readings: int = 4
    seconds: float = 1200.0
    nearer: float = 0.8


class Clock(Detector):
    """Score: readings in a row that were off, as a share of those that are enough.

    Latency goes one way only, so what counts is the least offset of a run: one reading on time ends it. A clock that is
    ahead shows the same with the other sign.
    """

    name = "clock"
    whole = True
    grace = 4
    late = True
    arrays: ClassVar[dict[str, State]] = {
        "offset": State("f4"),  # s: least in this run; above 0: the device is behind, or late
        "run": State("u1"),
        "since": State("i8"),  # µs since 1970: receipt of the first of the run
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        """Most readings are on time, as those before: of these nothing is noted."""
        wrong = np.abs(rows.received - rows.time) > self.parameters.wrong_s * 1e6
        places = np.flatnonzero(wrong | (self.state["run"][rows.slot, 0] > 0))
        return self._off(rows.of(places)) if len(places) else NO_CHANGES

    def _off(self, rows: Rows) -> Changes:
        """Readings that are off, and those that end a run of them."""
        state, slot, asked = self.state, rows.slot, self.parameters
        offset = ((rows.received - rows.time) / 1e6)[:, None]
        least, run, since = state["offset"][slot], state["run"][slot], state["since"][slot]
        wrong = np.abs(offset) > asked.wrong_s
        goes_on = wrong & (run > 0) & (offset * least > 0) & (np.abs(offset) >= asked.nearer * np.abs(least) - 30.0)
        run = np.where(goes_on, np.minimum(run, 250) + 1, wrong).astype("u1")
        since = np.where(goes_on, since, rows.received[:, None])
        least = np.where(goes_on & (np.abs(least) < np.abs(offset)), least, offset)
        long = (rows.received[:, None] - since) / 1e6 >= asked.seconds
        score = np.minimum(run / asked.readings, np.where(long, 1.0, 0.99))
        was = state["on"][slot]
        score = np.where(was & wrong, np.maximum(score, 0.6), score)  # a smaller error is an error still
        state["offset"][slot], state["run"][slot], state["since"][slot], state["score"][slot] = least, run, since, score
        return self.switched(slot, latched(was, score), rows.received[:, None], since, least, 0.0)


DETECTORS = (Clock,)
