"""Values that cannot be: beyond what nature does here, or far beyond all that the series has ever said."""

from functools import cache
from importlib.resources import files
from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.detector import NO_CHANGES, Changes, Detector, Rows, State
from analytics.detectors.rows import Bools, Floats, Ints, joined
from devices.documents import parse_yaml
from devices.family import Family, Metric

FULL = 60_000
"""Readings after which what is long ago counts half."""


class Parameters(NamedTuple):
    """`beyond`: of the width of all that was said before, how far outside of it no value can be; `evidence`: readings,
    and `days`, before the past is judged by (at most 30,000 readings); `idle`: share of unchanged readings from which
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
        "same": State("u2"),  # readings that repeated the one before
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
        self._least = np.array([bound(metric, "low") for metric in metrics], np.float32)
        self._most = np.array([bound(metric, "high") for metric in metrics], np.float32)

    def update(self, rows: Rows) -> Changes:
        """As every detector; the rows of devices of which all lie where their series have been are taken at once."""
        if len(rows.rounds()) == 1:
            return self._round(rows)
        quiet = self._quiet(rows)
        if quiet.any():
            self._count(rows.of(quiet))
        some = rows.of(~quiet)
        return joined([self._round(some.of(places)) for places in some.rounds()])

    def _quiet(self, rows: Rows) -> Bools:
        """Rows of devices that say nothing new: between what was lowest and highest, and long before counts halve."""
        state, slot, value = self.state, rows.slot, self.short(rows)
        low = np.maximum(state["low"][slot], self._least)
        high = np.minimum(state["high"][slot], self._most)
        odd = (value < low) | (value > high) | (state["hold"][slot] > 0)
        odd |= state["readings"][slot] >= FULL - 1 - len(rows.rounds())
        loud = slot[odd.any(axis=1)]
        return ~np.isin(slot, loud) if len(loud) else np.ones(len(slot), np.bool_)

    def _count(self, rows: Rows) -> None:
        """Readings, repetitions and the last value of devices whose rows say nothing new; rows are sorted by slot."""
        state, value = self.state, self.short(rows)
        begins = np.flatnonzero(np.r_[True, rows.slot[1:] != rows.slot[:-1]])
        lengths, slot, told = np.diff(np.r_[begins, len(value)]), rows.slot[begins], value == value
        # By row and column the newest row up to it that has a value, of whichever device.
        newest = np.maximum.accumulate(np.where(told, np.arange(len(value))[:, None], -1), axis=0)
        before = np.vstack([newest[:1] * 0 - 1, newest[:-1]])
        last = state["last"][slot]
        known = before >= np.repeat(begins, lengths)[:, None]
        previous = np.where(known, np.take_along_axis(value, before, axis=0), np.repeat(last, lengths, axis=0))
        state["readings"][slot] += np.add.reduceat(told.astype("u2"), begins, axis=0)
        state["same"][slot] += np.add.reduceat((value == previous).astype("u2"), begins, axis=0)
        final = newest[begins + lengths - 1]
        state["last"][slot] = np.where(final >= begins[:, None], np.take_along_axis(value, final, axis=0), last)

    def _round(self, rows: Rows) -> Changes:
        """Most values lie where the series has been: of these hardly anything is noted."""
        state, slot, value = self.state, rows.slot, self.short(rows)
        low, high, last, n = (state[name][slot] for name in ("low", "high", "last", "readings"))
        told = value == value
        hold = state["hold"][slot]
        odd = told & ~((value >= low) & (value <= high) & (value >= self._least) & (value <= self._most))
        row, column = np.nonzero(odd | (told & (hold > 0)))
        state["readings"][slot] = np.minimum(n, FULL - 1) + told
        repeated = np.nonzero(value == last)
        state["same"][slot[repeated[0]], repeated[1]] += 1
        state["last"][slot] = np.where(told, value, last)
        if (n >= FULL - 1).any():  # what is long ago counts half
            full = np.nonzero(n >= FULL - 1)
            for name in ("readings", "same"):
                state[name][slot[full[0]], full[1]] //= 2
        if not len(row):
            return NO_CHANGES
        at = (row, column)
        return self._odd(rows, row, column, value[at], low[at], high[at], last[at], n[at])

    def _odd(
        self, rows: Rows, row: Ints, column: Ints, value: Floats, low: Floats, high: Floats, last: Floats, n: Ints
    ) -> Changes:
        """Values outside of what was before, and those after one that could not be, given by row and column."""
        state, asked, slot = self.state, self.parameters, rows.slot[row]
        at = (slot, column)
        hold, again = state["hold"][at], state["row"][at]
        impossible = (value < self._least[column]) | (value > self._most[column])
        unheard = self._unheard_of(slot, column, value, low, high, n)
        found = (impossible | (unheard & (again < asked.settle))) & (n > 0)
        state["row"][at] = np.where(found, np.minimum(again, 250) + 1, 0)
        now_s = rows.time[row] // 1_000_000
        state["since"][at] = since = np.where(found & (hold == 0), now_s, state["since"][at].astype("i8"))
        state["hold"][at] = hold = np.where(found, asked.hold, hold - (hold > 0)).astype("u1")
        state["low"][at] = np.where(found, low, np.minimum(low, value))
        state["high"][at] = np.where(found, high, np.maximum(high, value))
        # What cannot be is no reading to learn from, nor one to be repeated.
        state["last"][at] = np.where(found, last, value)
        state["same"][at] -= found & (value == last) & (state["same"][at] > 0)
        on = hold > 0
        return self.settled(slot, column, on.astype("f4"), on, rows.time[row], since * 1_000_000, value, np.nan)

    def _unheard_of(self, slot: Ints, column: Ints, value: Floats, low: Floats, high: Floats, n: Ints) -> Bools:
        """Far outside of all that the series has said, where that says something."""
        asked = self.parameters
        assert self.fleet is not None
        a_while = np.clip(asked.days * 86_400 / self.fleet.interval_s[slot], asked.evidence, FULL // 2 - 1)
        idle = self.state["same"][slot, column] / np.maximum(n, 1)
        known = (n >= a_while) & (idle < asked.idle) & self._straight[column]
        width = asked.beyond * np.where(known, high - low, 0.0)
        return np.asarray(known & ((value < low - width) | (value > high + width)))


DETECTORS = (Implausible,)
