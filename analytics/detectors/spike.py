"""Single readings that are far off and back at once: what a loose contact or a disturbed line leaves in a series."""

from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.rows import Bools, Floats, Ints
from devices.family import Family


class Parameters(NamedTuple):
    """How far a reading stands alone, against four measures of what the series does by itself.

    `steps`: mean step from one reading to the next; `tail`: largest excursion before that was none; `grains`: smallest
    step that was seen, the sensor's resolution; `spread`: standard deviation of the series.
    `evidence`: readings before anything is judged; `hold`: readings after which a spike is over; `contiguous`:
    intervals between two readings, at most; `idle`: share of unchanged readings from which a series is not judged.
    """

    steps: float = 7.0
    tail: float = 2.0
    grains: float = 5.0
    spread: float = 1.0
    evidence: int = 48
    hold: int = 8
    contiguous: float = 6.0
    idle: float = 0.85


class Spike(Detector):
    """Score: how far the reading before the newest stands out, as a share of what is too far.

    It stands out by the smaller of its distances to the median of the three before it and to the one after it, both to
    the same side: a level that stays, or a peak that takes its time, is none. So a spike is told one reading later.
    """

    name = "spike"
    general = True
    narrow = True
    grace = 48
    arrays: ClassVar[dict[str, State]] = {
        "ring": State("f4", np.nan, (4,)),  # values before, newest first
        "step": State("f4"),
        "tail": State("f4"),
        "grain": State("f4", np.inf),
        "mean": State("f4"),
        "square": State("f4"),
        "idle": State("f2"),
        "readings": State("u2"),
        "hold": State("u1"),
        "since": State("u4"),  # s since 1970
        "time": State("i8", -1, per_device=True),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Gauges that have a distance (359 deg are not far from 1 deg); a shower between two dry readings is none."""
        gauges = ((place, metric) for place, metric in enumerate(family.metrics) if metric.kind == "gauge")
        rain = ("precipitation", "rain")
        return [place for place, metric in gauges if metric.unit != "deg" and not metric.name.startswith(rain)]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        assert self.fleet is not None
        state, slot, asked = self.state, rows.slot, self.parameters
        value, before = rows.values[:, self.judged].astype("f4"), state["time"][slot]  # as it is kept, to be compared
        told = ~np.isnan(value) & (rows.time > before)[:, None]
        state["time"][slot] = np.maximum(before, rows.time)
        apart = (rows.time - before) / 1e6 > asked.contiguous * self.fleet.interval_s[slot]
        ring = state["ring"][slot]
        ring[apart] = np.nan
        e = excursion(value, ring)
        step = np.abs(value - ring[..., 0])
        usable, paced = told & ~np.isnan(e), told & ~np.isnan(step)
        size = np.where(usable, np.abs(e), 0.0)
        limit = self._limit(slot)
        known = state["readings"][slot] >= asked.evidence
        judged = usable & known & (state["idle"][slot] < asked.idle)
        found = judged & (size >= limit)
        self._learn(slot, value, step, np.where(found, 0.0, size), paced)
        state["ring"][slot] = np.where(told[..., None], np.concatenate((value[..., None], ring[..., :3]), -1), ring)
        hold = np.where(found, asked.hold, state["hold"][slot] - (told & (state["hold"][slot] > 0)))
        state["since"][slot] = since = np.where(
            found & (state["hold"][slot] == 0), before[:, None] // 1_000_000, state["since"][slot].astype(np.int64)
        )
        state["hold"][slot] = hold
        score = np.where(hold > 0, 1.0, np.where(judged, np.minimum(size / limit, 0.99), 0.0))
        state["score"][slot] = score
        expected = ring[..., 0] - np.where(usable, e, np.nan)
        return self.switched(slot, hold > 0, rows.time[:, None], since * 1_000_000, ring[..., 0], expected)

    def _limit(self, slot: Ints) -> Floats:
        """How far off is too far, in the metric's unit."""
        state, asked = self.state, self.parameters
        spread = np.sqrt(np.maximum(state["square"][slot], 0.0))
        grain = np.where(np.isinf(state["grain"][slot]), 0.0, state["grain"][slot])
        by_noise = np.maximum(asked.steps * state["step"][slot], asked.tail * state["tail"][slot])
        limit: Floats = np.maximum(np.maximum(by_noise, asked.grains * grain), np.maximum(asked.spread * spread, 1e-30))
        return limit

    def _learn(self, slot: Ints, value: Floats, step: Floats, size: Floats, paced: Bools) -> None:
        """What the series does by itself: steps are cut at five times the mean, so that one leap does not move it."""
        state = self.state
        n = state["readings"][slot].astype("i4")
        weight = np.maximum(1.0 / (n + 1.0), 0.02)
        slow = np.maximum(1.0 / (n + 1.0), 0.002)
        mean_step = state["step"][slot]
        cut = np.where(n < 8, step, np.minimum(step, 5.0 * mean_step + 1e-30))
        off = value - state["mean"][slot]
        wide = 5.0 * np.sqrt(np.maximum(state["square"][slot], 0.0)) + 1e-30
        off = np.where(n < 8, off, np.clip(off, -wide, wide))
        moved = {
            "step": mean_step + weight * (cut - mean_step),
            "tail": np.maximum(state["tail"][slot] * (1 - 1 / 5000), size),
            "grain": np.where(step > 0, np.minimum(state["grain"][slot], step), state["grain"][slot]),
            "mean": state["mean"][slot] + slow * off,
            "square": (1 - slow) * (state["square"][slot] + slow * off * off),
            "idle": state["idle"][slot] + slow * ((step == 0) - state["idle"][slot]),
            "readings": np.minimum(n + 1, 60_000),
        }
        for name, column in moved.items():
            state[name][slot] = np.where(paced, column, state[name][slot])


def excursion(newest: Floats, ring: Floats) -> Floats:
    """How far the first of the ring (…, 4) stands alone between the newest value and the three before it; signed."""
    one, a, b, c = (ring[..., place] for place in range(4))
    usual = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    up, back = one - usual, one - newest
    nearer = np.where(np.abs(up) < np.abs(back), up, back)
    return np.where(up * back > 0, nearer, 0.0 * nearer)


DETECTORS = (Spike,)
