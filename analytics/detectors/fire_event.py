"""What others have judged already: fire and smoke that cameras and satellites report, and who is at a forest gate.

The confidence of each event counts as its log-odds (ln c/(1 - c)) and fades within minutes. Who is at a gate raises how
likely a fire is held to be, never an alarm by itself.
"""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.fire_frames import MINUTE_US, expired, micros, passed, whole
from analytics.detectors.rows import Bools, Floats
from devices.family import Family


class Parameters(NamedTuple):
    """`enough`: log-odds that are evidence (3: 95 %); `most`: of one event; `unsaid`: the confidence of an event that
    tells none; `memory_us`: after which evidence has faded to 1/e; `apart_us`: and is gone."""

    enough: float = 3.0
    most: float = 3.0
    unsaid: float = 0.6
    memory_us: int = 10 * MINUTE_US
    apart_us: int = 30 * MINUTE_US


class Events(Detector):
    """Score: log-odds, of what is enough. `told`: by metric the states that count."""

    grace = 1
    told: ClassVar[dict[str, tuple[str, ...]]]
    arrays: ClassVar[dict[str, State]] = {
        "odds": State("f4"),
        "time": State("u4"),  # s since 1970 of the newest event that counted
        "since": State("u4"),
        "heard": State("u4"),  # s since 1970 by our clock, of the same
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """event_kind of camera_event stands for the whole event."""
        return [family.index["event_kind"]] if family.name == "camera_event" else []

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def counting(self, values: Floats) -> Bools:
        """Rows whose event counts."""
        found = np.zeros(len(values), np.bool_)
        for metric, states in self.told.items():
            place = self.family.index[metric]
            known = self.family.metrics[place].states
            found |= np.isin(values[:, place], [known.index(state) for state in states])
        return found

    def strength(self, values: Floats) -> Floats:
        """Log-odds of the confidence of each row."""
        index, asked = self.family.index, self.parameters
        told = np.fmax(values[:, index["confidence"]], values[:, index["top_confidence"]])
        sure = np.clip(np.where(np.isnan(told), asked.unsaid, told), 0.5, 0.999)
        return np.asarray(np.minimum(np.log(sure / (1.0 - sure)), asked.most))

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        counts = self.counting(rows.values)
        time, received = whole(rows.time), whole(rows.received)
        age = passed(time, state["time"][slot])
        left = state["odds"][slot] * np.exp(-age / asked.memory_us)
        left = np.where((age > asked.apart_us) | (left < 1e-3), 0.0, left)
        more = np.where(counts, self.strength(rows.values), 0.0)[:, None]
        score = np.minimum((left + more) / asked.enough, 1.0)
        # What is kept is as of the newest event that counted, so that others in between change nothing.
        new = counts[:, None]
        state["odds"][slot] = np.where(new, np.minimum(left + more, 2 * asked.enough), state["odds"][slot])
        state["since"][slot] = np.where(new & (left <= 0), time, state["since"][slot])
        state["time"][slot] = np.where(new, time, state["time"][slot])
        state["heard"][slot] = np.where(new, received, state["heard"][slot])
        state["score"][slot] = score
        value = rows.values[:, self.judged]
        on = latched(state["on"][slot], score)
        return self.switched(slot, on, rows.time[:, None], micros(state["since"][slot]), value)

    def tick(self, now_us: int) -> Changes:
        """Events that are long past are no evidence any more."""
        return expired(self, "odds", now_us - self.parameters.apart_us, now_us)


class Sighting(Events):
    """A camera reports fire or smoke."""

    name = "fire-event"
    told: ClassVar = {"event_kind": ("fire", "smoke"), "object_class": ("fire", "smoke")}


class Gate(Events):
    """A person or a vehicle at a forest gate, from one event of 82 % or a few of less on."""

    name = "forest-gate"
    told: ClassVar = {"event_kind": ("gate_person", "gate_vehicle")}

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family, parameters or Parameters(enough=1.5))


class HotSpot(Events):
    """A fire told with its place, as satellites do, from a confidence of 80 % on; it counts for hours."""

    name = "fire-hotspot"
    told: ClassVar = {}

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """fire_confidence of fire_watch."""
        return [family.index["fire_confidence"]] if family.name == "fire_watch" else []

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        hours = 180 * MINUTE_US
        super().__init__(family, parameters or Parameters(enough=1.38, memory_us=hours, apart_us=hours))

    def counting(self, values: Floats) -> Bools:
        """Rows with a place and enough confidence."""
        index = self.family.index
        placed = ~np.isnan(values[:, [index["latitude"], index["longitude"]]]).any(axis=1)
        return np.asarray(placed & (values[:, index["fire_confidence"]] >= 0.8))

    def strength(self, values: Floats) -> Floats:
        """Log-odds of each row's confidence."""
        sure = np.clip(values[:, self.family.index["fire_confidence"]], 0.5, 0.999)
        return np.asarray(np.minimum(np.log(sure / (1.0 - sure)), self.parameters.most))


DETECTORS = (Sighting, Gate, HotSpot)
