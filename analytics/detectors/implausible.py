"""Values that cannot be: beyond what nature does here, or far beyond all that the series has ever said."""

from functools import cache
from importlib.resources import files
from typing import ClassVar, NamedTuple

import numpy as np

from analytics.detectors.compiled import (
    SECOND_US,
    Array,
    Change,
    Number,
    Record,
    Told,
    change,
    columns,
    compiled,
    f4,
    fetch,
    i8,
    later,
    likely,
    lines_of,
    none_told,
    tally,
)
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.layout import Records
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
    in_rows = True
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
        """As every detector."""
        assert self.fleet is not None
        given = rows.slot, rows.time, rows.short, self.judged, self.fleet.interval_s
        return self.changes(sweep(*given, self._straight, self._least, self._most, self.records, self.parameters))


@compiled
def sweep(
    slots: Array,
    times: Array,
    values: Array,
    places: Array,
    interval_s: Array,
    straight: Array,
    least: Array,
    most: Array,
    kept: Records,
    asked: Parameters,
) -> Told:
    """Most values lie where the series has been: of these hardly anything is noted."""
    told = none_told()
    each, lines, end = kept.each, lines_of(kept.rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot = np.uint64(slots[i])
        for j in range(len(places)):
            entry, value = each[slot, j], values[i, places[j]]
            if value != value:
                continue
            low, high, last = entry.low, entry.high, entry.last
            n = tally(entry, value == last, FULL)
            entry.last = value
            impossible = (value < least[j]) | (value > most[j])
            if likely((low <= value) & (value <= high) & (not impossible) & (entry.hold == 0)):
                continue
            odd(told, entry, i8(slot), j, times[i], interval_s[slot], value, last, n, straight[j], impossible, asked)
    return columns(told)


@compiled
def odd(
    told: list[Change],
    entry: Record,
    slot: int,
    column: int,
    time: int,
    interval_s: Number,
    value: Number,
    last: Number,
    n: int,
    straight: bool,
    impossible: bool,
    asked: Parameters,
) -> None:
    """A value where the series has never been, or soon after one. Apart from the loop, which is short without it."""
    low, high, again, hold = entry.low, entry.high, i8(entry.row), i8(entry.hold)
    idle = entry.same / max(n, 1)
    a_while = min(max(asked.days * 86_400 / interval_s, asked.evidence), FULL // 2 - 1)
    width = f4(0)
    known = straight and n >= a_while and idle < asked.idle
    if known:
        width = f4(asked.beyond) * (high - low)
    unheard = known and (value < low - width or value > high + width)
    found = n > 0 and (impossible or (unheard and again < asked.settle))
    entry.row = min(again, 250) + 1 if found else 0
    if found and hold == 0:
        entry.since = time // SECOND_US
    if found:  # what cannot be is no reading to learn from, nor one to be repeated
        hold = asked.hold
        entry.last = last
        entry.same -= value == last and entry.same > 0
    else:
        hold = max(hold - 1, 0)
        entry.low = min(low, value)
        entry.high = max(high, value)
    entry.hold = hold
    entry.score = on = hold > 0
    if on != entry.on:
        entry.on = on
        told.append(change(slot, column, on, time, i8(entry.since) * SECOND_US, on, value, np.nan))


DETECTORS = (Implausible,)
