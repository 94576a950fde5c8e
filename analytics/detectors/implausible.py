"""Values that cannot be: beyond what nature does here, or far beyond all that the series has ever said."""

from functools import cache
from importlib.resources import files
from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.rows import Bools, Floats, Ints
from devices.documents import parse_yaml
from devices.family import Family, Metric


class Parameters(NamedTuple):
    """`beyond`: of the width of all that was said before, how far outside of it no value can be; `evidence`: readings,
    and `days`, before the past is judged by (at most 60,000 readings); `idle`: share of unchanged readings from which
    the past says nothing about the next change (rain after weeks without); `settle`: readings in a row after which the
    new is believed; `hold`: readings without one after which it is over."""

    beyond: float = 3.0
    evidence: int = 200
    days: float = 10.0
    idle: float = 0.5
    settle: int = 24
    hold: int = 8


@cache
def bounds() -> dict[str, dict[str, object]]:
    """What `plausible.yaml` says, by metric."""
    document: dict[str, dict[str, object]] = parse_yaml(
        files("analytics.detectors").joinpath("plausible.yaml").read_text("utf-8")
    )
    return document


def bound(metric: Metric, end: str) -> float:
    """The plausible `low` or `high` of a metric; the legal one where nothing is known, or in another unit."""
    known = bounds().get(metric.name, {})
    legal = metric.low if end == "low" else metric.high
    return float(str(known[end])) if known.get("unit") == metric.unit else legal


class Implausible(Detector):
    """Score: 1 at such a value, until there was none for some readings."""

    name = "implausible"
    general = True
    narrow = True
    grace = 2
    arrays: ClassVar[dict[str, State]] = {
        "low": State("f4", np.inf),
        "high": State("f4", -np.inf),
        "last": State("f4", np.nan),
        "idle": State("f2"),
        "readings": State("u2"),
        "row": State("u1"),  # such values in a row
        "hold": State("u1"),
        "since": State("u4"),  # s since 1970
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        metrics = [family.metrics[place] for place in self.judged]
        self._straight = np.array([metric.unit != "deg" for metric in metrics])  # 359 deg are not far from 1 deg
        self._least = np.array([bound(metric, "low") for metric in metrics])
        self._most = np.array([bound(metric, "high") for metric in metrics])

    def _round(self, rows: Rows) -> Changes:
        state, slot, asked = self.state, rows.slot, self.parameters
        value = rows.values[:, self.judged].astype("f4")  # as it is kept, to be compared
        told = ~np.isnan(value)
        n, row, hold = state["readings"][slot].astype("i4"), state["row"][slot], state["hold"][slot]
        impossible = (value < self._least) | (value > self._most)
        found = (impossible | (self._unheard_of(slot, value) & (row < asked.settle))) & (n > 0)
        row = np.where(found, np.minimum(row, 250) + 1, np.where(told, 0, row)).astype("u1")
        since = np.where(found & (hold == 0), rows.time[:, None] // 1_000_000, state["since"][slot].astype(np.int64))
        hold = np.where(found, asked.hold, hold - (told & (hold > 0))).astype("u1")
        learn = told & ~found
        idle = state["idle"][slot]
        weight = np.maximum(1.0 / (n + 1.0), 0.002)
        idle = np.where(learn, idle + weight * ((value == state["last"][slot]) - idle), idle)
        state["low"][slot] = np.where(learn, np.minimum(state["low"][slot], value), state["low"][slot])
        state["high"][slot] = np.where(learn, np.maximum(state["high"][slot], value), state["high"][slot])
        state["last"][slot] = np.where(learn, value, state["last"][slot])
        state["readings"][slot] = np.minimum(n + told, 60_000)
        state["idle"][slot], state["row"][slot], state["hold"][slot], state["since"][slot] = idle, row, hold, since
        state["score"][slot] = hold > 0
        return self.switched(slot, hold > 0, rows.time[:, None], since * 1_000_000, value)

    def _unheard_of(self, slot: Ints, value: Floats) -> Bools:
        """Far outside of all that the series has said, where that says something."""
        state, asked = self.state, self.parameters
        assert self.fleet is not None
        a_while = np.clip(asked.days * 86_400 / self.fleet.interval_s[slot], asked.evidence, 59_999)[:, None]
        known = (state["readings"][slot] >= a_while) & (state["idle"][slot] < asked.idle) & self._straight
        low, high = state["low"][slot], state["high"][slot]
        width = asked.beyond * np.where(known, high - low, 0.0)
        return np.asarray(known & ((value < low - width) | (value > high + width)))


DETECTORS = (Implausible,)
