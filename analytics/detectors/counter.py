"""Counters that do what no counter does: run backwards, or stand still while the same meter says that it is used."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State, latched
from analytics.detectors.rows import Floats
from devices.family import Family

HOUR_US = 3_600_000_000
GAUGE = {
    "total_active_energy_import": ("active_power", 1e-3, 96.0),  # W → kW
    "total_volume": ("flow_rate", 1.0, 336.0),  # m3/h
}
"""By main counter of a meter the gauge that says how fast it must grow, the factor to its unit per hour, and the hours
that it may well stand: a house whose people are away uses no water, but its refrigerator runs."""


def main_counter(family: Family) -> list[int]:
    """Its place, where a family has one."""
    return [family.index[name] for name in GAUGE if name in family.index]


class Backwards(Detector):
    """Score: falls since the counter last rose for long, as a share of three. Value: now; expected: before the fall.

    A fall below half is a new meter or a reset, not a fault; each rise takes back a quarter of a fall.
    """

    name = "backwards"
    grace = 4
    falls: ClassVar[float] = 3.0
    forgiven: ClassVar[float] = 0.25
    arrays: ClassVar[dict[str, State]] = {
        "last": State("f8", np.nan),
        "falls": State("f4"),
        "since": State("i8"),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """The main counter of a meter."""
        return main_counter(family)

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        value, last = rows.values[:, self.judged], state["last"][slot]
        fell = (value < last * (1 - 1e-9)) & (value >= last / 2)
        count = state["falls"][slot]
        state["since"][slot] = np.where(fell & (count == 0), rows.time[:, None], state["since"][slot])
        count = np.where(value > last, np.maximum(count - self.forgiven, 0), np.minimum(count + fell, self.falls))
        count = np.where(value < last / 2, 0, count)
        state["falls"][slot] = count
        state["score"][slot] = count / self.falls
        state["last"][slot] = np.where(np.isnan(value), last, value)
        on = latched(state["on"][slot], state["score"][slot])
        return self.switched(slot, on, rows.time[:, None], state["since"][slot], value, last)


class Parameters(NamedTuple):
    """`moves`: rises before a standstill says anything; `times`: of the longest one before; `owed`: smallest steps of
    the counter that its gauge says it should have made, in `owed_hours` at least."""

    moves: int = 50
    times: float = 4.0
    owed: float = 20.0
    owed_hours: float = 6.0


class Standing(Detector):
    """Score: the standstill as a share of what is too long for this meter, or what its gauge says was used meanwhile as
    a share of 20 of the counter's smallest steps, whichever is more. Value: the counter; expected: what it should show.

    An empty house uses no water for days: without a gauge that says otherwise only a very long standstill counts.
    """

    name = "standing"
    grace = 50
    arrays: ClassVar[dict[str, State]] = {
        "last": State("f8", np.nan),
        "step": State("f4", np.inf),  # the smallest
        "moves": State("u2"),
        "since": State("i8"),
        "longest": State("f4"),  # hours
        "owed": State("f4"),
        "time": State("i8", -1),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """The main counter of a meter."""
        return main_counter(family)

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        named = [GAUGE[family.metrics[place].name] for place in self.judged]
        self._gauge = np.array([family.index[name] for name, _, _ in named])
        self._factor = np.array([factor for _, factor, _ in named])
        self._hours = np.array([hours for *_, hours in named])

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        value, last = rows.values[:, self.judged], state["last"][slot]
        told = ~np.isnan(value)
        moved = told & (value != last)  # also the first value, for nothing equals NaN
        rise = np.where(moved & (value > last), value - last, np.inf)
        state["step"][slot] = np.minimum(state["step"][slot], rise)
        hours = (rows.time[:, None] - state["since"][slot]) / HOUR_US
        longest = state["longest"][slot]
        known = ~np.isnan(last)
        state["longest"][slot] = np.where(moved & known & ~state["on"][slot], np.maximum(longest, hours), longest)
        state["moves"][slot] = np.minimum(state["moves"][slot] + moved, 60_000)
        state["since"][slot] = np.where(moved, rows.time[:, None], state["since"][slot])
        state["owed"][slot] = np.where(moved, 0, state["owed"][slot] + told * self._used(rows))
        state["time"][slot] = np.where(told, rows.time[:, None], state["time"][slot])
        state["last"][slot] = np.where(told, value, last)
        score = np.where(moved, 0, self._score(slot, hours))
        state["score"][slot] = np.where(told, score, state["score"][slot])
        on = latched(state["on"][slot], state["score"][slot])
        owed = np.where(told, value, last) + state["owed"][slot]
        return self.switched(slot, on, rows.time[:, None], state["since"][slot], state["last"][slot], owed)

    def _used(self, rows: Rows) -> Floats:
        """What the gauge says was used since the last reading, in the counter's unit; no more than two hours' worth."""
        hours = np.clip((rows.time[:, None] - self.state["time"][rows.slot]) / HOUR_US, 0, 2)
        flow = np.nan_to_num(rows.values[:, self._gauge]) * self._factor
        return np.asarray(np.maximum(flow, 0) * hours)

    def _score(self, slot: "np.ndarray[tuple[int], np.dtype[np.integer]]", hours: Floats) -> Floats:
        state, asked = self.state, self.parameters
        still = hours / np.maximum(self._hours, asked.times * state["longest"][slot])
        denied = state["owed"][slot] / (asked.owed * state["step"][slot]) * (hours >= asked.owed_hours)
        return np.asarray(np.minimum(np.maximum(still, denied), 1) * (state["moves"][slot] >= asked.moves))


DETECTORS = (Backwards, Standing)
