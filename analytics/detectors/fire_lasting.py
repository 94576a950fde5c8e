"""Heat that a thermal camera is sure of for a minute, while something else at the same device says fire, too.

Alone among the fire detectors this one is enough to confirm a fire, so one channel by itself never puts it on.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.fire_frames import MINUTE_US, expired, micros, passed, whole
from analytics.detectors.rows import Bools, Floats
from devices.family import Family


class Parameters(NamedTuple):
    """`sure`: heat_confidence above it, for `lasting_us`; `agreeing`: smoke_confidence or fire_confidence from it on
    agrees, and so does a flame, or a hot spot from `hot_cel` on; after `apart_us` without a reading all begins anew."""

    sure: float = 0.9
    lasting_us: int = MINUTE_US
    agreeing: float = 0.5
    hot_cel: float = 120.0
    apart_us: int = 10 * MINUTE_US


class Lasting(Detector):
    """Score: how long it has lasted, of a minute."""

    name = "fire-lasting"
    grace = 2
    arrays: ClassVar[dict[str, State]] = {
        "begun": State("u4"),  # s since 1970: since when; 0: not now
        "since": State("u4"),
        "heard": State("u4"),  # s since 1970 by our clock: the last reading
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """heat_confidence of fire_watch."""
        return [family.index["heat_confidence"]] if family.name == "fire_watch" else []

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def agreeing(self, values: Floats) -> Bools:
        """Rows in which something beside the heat says fire."""
        index, asked = self.family.index, self.parameters
        seen = values[:, [index["smoke_confidence"], index["fire_confidence"]]] >= asked.agreeing
        flame = values[:, index["flame"]] == self.family.metrics[index["flame"]].states.index("flame")
        hot = values[:, index["hot_spot_temperature"]] >= asked.hot_cel
        return np.asarray(seen.any(axis=1) | flame | hot)

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        heat, time, received = rows.values[:, self.judged], whole(rows.time), whole(rows.received)
        there = ~np.isnan(heat)
        begun = np.where(passed(received, state["heard"][slot]) > asked.apart_us, 0, state["begun"][slot])
        hot = (heat > asked.sure) & self.agreeing(rows.values)[:, None]
        begun = np.where(there, np.where(hot, np.where(begun > 0, begun, time), 0), begun)
        score = np.where(begun > 0, np.minimum(passed(time, begun) / asked.lasting_us, 1.0), 0.0)
        state["begun"][slot], state["score"][slot] = begun, score
        state["since"][slot] = np.where(begun > 0, begun, state["since"][slot])
        state["heard"][slot] = np.where(there, received, state["heard"][slot])
        on = latched(state["on"][slot], score)
        return self.switched(slot, on, rows.time[:, None], micros(state["since"][slot]), heat)

    def tick(self, now_us: int) -> Changes:
        """A device that fell silent is no evidence any more."""
        return expired(self, "begun", now_us - self.parameters.apart_us, now_us)


DETECTORS = (Lasting,)
