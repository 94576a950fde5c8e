"""Soil moisture: too dry, too wet, or fallen at once, as when a probe is pulled out or its cable breaks."""

from datetime import UTC, datetime
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np

from analytics import tables
from analytics.detectors.detector import Changes, Rows, State, latched
from analytics.detectors.single import Single
from devices.family import Family

HOUR_US = 3_600_000_000


class Limits(msgspec.Struct, frozen=True):
    """The values of the table `soil_limits`: volume of water per volume of soil."""

    dry: float
    wet: float
    end: float


def soil_moisture(family: Family) -> list[int]:
    """The metric, where a family has it."""
    return [family.index["soil_moisture"]] if "soil_moisture" in family.index else []


class Dry(Single):
    """Score: hours below the limit as a share of six; over when it is `end` above it. Gaps above 3 h begin anew."""

    name = "dry"
    grace = 2
    side: ClassVar[int] = 1
    hours: ClassVar[float] = 6.0
    gap: ClassVar[float] = 3.0
    arrays: ClassVar[dict[str, State]] = {"since": State("i8", -1), "time": State("i8", -1)}

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Soil moisture."""
        return soil_moisture(family)

    def __init__(self, family: Family, limits: Limits | None = None) -> None:
        super().__init__(family)
        day = datetime.now(UTC).date()
        self.limits = limits or tables.load("soil_limits", tables.ANY, day, Limits).held
        self.limit = self.limits.dry if self.side > 0 else self.limits.wet

    def _round(self, rows: Rows) -> Changes:
        state, slot = self.state, rows.slot
        value = rows.values[:, 0]
        was, since = state["on"][slot, 0], state["since"][slot, 0]
        inside = self.side * (value - self.limit)  # above zero: no trouble
        bad = inside < np.where(was, self.limits.end, 0)
        lost = rows.time - state["time"][slot, 0] > self.gap * HOUR_US
        begun = np.where(~bad, -1, np.where((since < 0) | (lost & ~was), rows.time, since))
        state["since"][slot, 0], state["time"][slot, 0] = begun, rows.time
        score = np.where(bad, np.clip((rows.time - begun) / (self.hours * HOUR_US), 0, 1), 0)
        state["score"][slot, 0] = np.where(was & bad, 1, score)
        on = latched(was, state["score"][slot, 0])[:, None]
        return self.switched(slot, on, rows.time[:, None], since[:, None], value[:, None], self.limit)


class Wet(Dry):
    """As Dry, above the other limit; a day of it, for rain alone wets soil for hours."""

    name = "wet"
    side = -1
    hours = 24.0


class Fall(NamedTuple):
    """`least`: a fall of this much; `times`: of the usual step; `gap_h`: between two readings at most; `readings` that
    stay down; `evidence`: steps seen before; `days` after which the new level is taken for granted."""

    least: float = 0.06
    times: float = 8.0
    gap_h: float = 6.0
    readings: int = 3
    evidence: int = 48
    days: float = 7.0


class Fallen(Single):
    """Score: readings that stay down after a fall, as a share of three. Water leaves soil slowly, so no rise is judged:
    rain and irrigation make those. Over when half of the fall is made good, or after a week."""

    name = "fallen"
    grace = 48
    arrays: ClassVar[dict[str, State]] = {
        "last": State("f4", np.nan),
        "time": State("i8", -1),
        "step": State("f4"),
        "steps": State("u2"),
        "before": State("f4", np.nan),  # the level from which it fell
        "half": State("f4", np.nan),
        "down": State("u1"),
        "since": State("i8"),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Soil moisture."""
        return soil_moisture(family)

    def __init__(self, family: Family, parameters: Fall | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Fall()

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        value = rows.values[:, 0]
        last, step, down = state["last"][slot, 0], state["step"][slot, 0], state["down"][slot, 0]
        change = np.nan_to_num(value - last)
        near = rows.time - state["time"][slot, 0] <= asked.gap_h * HOUR_US
        judged = state["steps"][slot, 0] >= asked.evidence
        falls = (-change > np.maximum(asked.least, asked.times * step)) & near & judged & (down == 0)
        state["before"][slot, 0] = np.where(falls, last, state["before"][slot, 0])
        state["half"][slot, 0] = np.where(falls, (last + value) / 2, state["half"][slot, 0])
        state["since"][slot, 0] = np.where(falls, rows.time, state["since"][slot, 0])
        over = (value > state["half"][slot, 0]) | (rows.time - state["since"][slot, 0] > asked.days * 24 * HOUR_US)
        down = np.where(falls, 1, np.where((down > 0) & ~over, np.minimum(down + 1, asked.readings), 0))
        state["down"][slot, 0] = down
        learn = ~np.isnan(last) & (down == 0)
        steps = np.minimum(state["steps"][slot, 0].astype(np.float64) + learn, 60_000)
        state["step"][slot, 0] += learn * (np.abs(change) - step) / np.clip(steps, 1, 500)
        state["steps"][slot, 0] = steps
        state["last"][slot, 0], state["time"][slot, 0] = value, rows.time
        state["score"][slot, 0] = down / asked.readings
        on = latched(state["on"][slot, 0], state["score"][slot, 0])[:, None]
        return self.switched(slot, on, rows.time[:, None], state["since"][slot], value[:, None], state["before"][slot])


DETECTORS = (Dry, Wet, Fallen)
