"""Single readings that are far off and back at once: what a loose contact or a disturbed line leaves in a series."""

from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State
from analytics.detectors.rows import Bools, Floats, Ints
from devices.family import Family

Kept = dict[str, npt.NDArray[Any]]
ZERO, NEARLY, LEAST = np.float32(0), np.float32(0.99), np.float32(1e-30)


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
        "idle": State("f4"),
        "readings": State("u2"),
        "hold": State("u1"),
        "since": State("u4"),  # s since 1970
        "time": State("i8", -1, per_device=True),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """Gauges that have a distance (359 deg are not far from 1 deg); neither a shower between two dry readings nor a
        vehicle that stops is a spike."""
        gauges = ((place, metric) for place, metric in enumerate(family.metrics) if metric.kind == "gauge")
        leaping = ("precipitation", "rain", "speed")
        return [place for place, metric in gauges if metric.unit != "deg" and not metric.name.startswith(leaping)]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def _round(self, rows: Rows) -> Changes:
        """In 32-bit numbers throughout: all of it is reckoned for every value."""
        assert self.fleet is not None
        state, slot, asked = self.state, rows.slot, self.parameters
        value, before = self.short(rows), state["time"][slot]
        fresh = (rows.time > before)[:, None]
        state["time"][slot] = np.maximum(before, rows.time)
        ring = state["ring"][slot]
        ring[(rows.time - before) / 1e6 > asked.contiguous * self.fleet.interval_s[slot]] = np.nan
        one, e = ring[..., 0].copy(), excursion(value, ring)
        step = np.abs(value - one)
        usable, paced = fresh & (e == e), fresh & (step == step)
        size = np.where(usable, np.abs(e), ZERO)
        kept = {name: state[name][slot] for name in ("step", "tail", "grain", "mean", "square", "idle", "readings")}
        limit = self._limit(kept)
        judged = usable & (kept["readings"] >= asked.evidence) & (kept["idle"] < asked.idle)
        found = judged & (size >= limit)
        self._learn(slot, kept, value, step, np.where(found, ZERO, size), paced)
        told = fresh & (value == value)
        ring[..., 1:] = np.where(told[..., None], ring[..., :3], ring[..., 1:])
        ring[..., 0] = np.where(told, value, one)
        state["ring"][slot] = ring
        state["score"][slot] = np.where(judged, np.minimum(size / limit, NEARLY), ZERO)
        row, column = np.nonzero(found | (told & (state["hold"][slot] > 0)))
        if not len(row):
            return NO_CHANGES
        return self._told(rows, row, column, found[row, column], before[row], one[row, column], e[row, column])

    def _told(
        self, rows: Rows, row: Ints, column: Ints, found: Bools, before: Ints, value: Floats, e: Floats
    ) -> Changes:
        """Spikes and the readings after them, given by row and column."""
        state, at = self.state, (rows.slot[row], column)
        hold = state["hold"][at]
        since = np.where(found & (hold == 0), before // 1_000_000, state["since"][at].astype("i8"))
        state["since"][at] = since
        state["hold"][at] = hold = np.where(found, self.parameters.hold, hold - (hold > 0)).astype("u1")
        on = hold > 0
        score = np.where(on, 1.0, state["score"][at])
        return self.settled(*at, score, on, rows.time[row], since * 1_000_000, value, value - e)

    def _limit(self, kept: Kept) -> Floats:
        """How far off is too far, in the metric's unit."""
        asked = self.parameters
        grain = np.where(np.isinf(kept["grain"]), ZERO, kept["grain"])
        limit = np.maximum(np.float32(asked.steps) * kept["step"], np.float32(asked.tail) * kept["tail"])
        limit = np.maximum(limit, np.float32(asked.grains) * grain)
        spread = np.sqrt(np.maximum(kept["square"], ZERO))
        return np.asarray(np.maximum(limit, np.maximum(np.float32(asked.spread) * spread, LEAST)))

    def _learn(self, slot: Ints, kept: Kept, value: Floats, step: Floats, size: Floats, paced: Bools) -> None:
        """What the series does by itself: steps are cut at five times the mean, so that one leap does not move it."""
        n = kept["readings"].astype("f4") + np.float32(1)
        young, share = n <= 8, 1 / n
        weight, slow = np.maximum(share, np.float32(0.02)), np.maximum(share, np.float32(0.002))
        mean_step, square = kept["step"], kept["square"]
        cut = np.where(young, step, np.minimum(step, 5 * mean_step + LEAST))
        off = value - kept["mean"]
        wide = 5 * np.sqrt(np.maximum(square, ZERO)) + LEAST
        off = np.where(young, off, np.minimum(np.maximum(off, -wide), wide))
        moved = {
            "step": mean_step + weight * (cut - mean_step),
            "tail": np.maximum(kept["tail"] * np.float32(1 - 1 / 5000), size),
            "grain": np.where(step > 0, np.minimum(kept["grain"], step), kept["grain"]),
            "mean": kept["mean"] + slow * off,
            "square": (1 - slow) * (square + slow * off * off),
            "idle": kept["idle"] + slow * ((step == 0) - kept["idle"]),
            "readings": np.minimum(n, np.float32(60_000)),
        }
        all_paced = bool(paced.all())
        for name, column in moved.items():
            self.state[name][slot] = column if all_paced else np.where(paced, column, kept[name])


def excursion(newest: Floats, ring: Floats) -> Floats:
    """How far the first of the ring (…, 4) stands alone between the newest value and the three before it; signed."""
    one, a, b, c = (ring[..., place] for place in range(4))
    usual = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    up, back = one - usual, one - newest
    nearer = np.where(np.abs(up) < np.abs(back), up, back)
    return np.where(up * back > 0, nearer, 0.0 * nearer)


DETECTORS = (Spike,)
