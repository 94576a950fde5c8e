"""A metric that a device always sent and does not send any more, though it is heard: renamed, broken, out of range."""

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
    fetch,
    i8,
    inlined,
    later,
    likely,
    lines_of,
    none_told,
)
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.layout import Records
from devices.family import Family

KINDS = ("gauge", "counter")


class Parameters(NamedTuple):
    """`chance`: of an ordinary run of readings without the metric; `least_share`: of readings that lack it, what any
    metric is taken to have; `evidence`: readings with it, and `days` since the first of them, before any verdict:
    what rests at night has done so once; `times`: of the longest run before."""

    chance: float = 1e-9
    least_share: float = 0.012
    evidence: int = 60
    days: float = 1.0
    times: float = 2.0


class Missing(Detector):
    """Score: readings without the metric in a row, as a share of those that are too many. Value: how many; there is
    none that was expected.

    Values that were rejected (out of the legal range, of the wrong type) are missing, too: so a sensor that speaks
    another unit since today is found here when the number is no legal one. A metric that comes with every tenth
    reading only is allowed to.
    """

    name = "missing"
    general = True
    narrow = True
    in_rows = True
    grace = 60
    arrays: ClassVar[dict[str, State]] = {
        "without": State("u2"),  # readings in a row
        "longest": State("u2"),  # such run before
        "seen": State("u1"),  # readings with it, up to the evidence
        "lacking": State("u4"),  # readings without it since it was first seen
        "first": State("u4"),  # of the device's readings the one in which it was first seen
        "since": State("u4"),  # s since 1970
        "readings": State("u4", per_device=True),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """What is measured and counted: states are told when they change."""
        return [place for place, metric in enumerate(family.metrics) if metric.kind in KINDS]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        assert self.fleet is not None
        given = rows.slot, rows.time, rows.short, self.judged, self.fleet.interval_s
        return self.changes(sweep(*given, self.records, self.parameters))


@compiled
def sweep(
    slots: Array, times: Array, values: Array, places: Array, interval_s: Array, kept: Records, asked: Parameters
) -> Told:
    """Most metrics are there as they were before: of these nothing is noted."""
    told = none_told()
    each, devices, rows = kept
    lines, end = lines_of(rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot = slots[i]
        device = devices[slot]
        readings = i8(device.readings) + 1
        device.readings = readings
        for j in range(len(places)):
            entry, value = each[slot, j], values[i, places[j]]
            gone = value != value
            seen = i8(entry.seen)
            if not gone and seen < asked.evidence:
                entry.seen = seen + 1
            if likely((gone & (seen == 0)) | ((not gone) & (entry.without == 0) & (seen > 0))):
                continue
            noted(told, entry, i8(slot), j, times[i], interval_s[slot], gone, seen, readings, asked)
    return columns(told)


@compiled
def noted(
    told: list[Change],
    entry: Record,
    slot: int,
    column: int,
    time: int,
    interval_s: Number,
    gone: bool,
    seen: int,
    readings: int,
    asked: Parameters,
) -> None:
    """A reading without the metric, or the first that has it. Apart from the loop, which is short without it."""
    without = i8(entry.without)
    if gone:
        if without == 0:
            entry.since = time // SECOND_US
        entry.lacking += 1
        without = min(without, 59_999) + 1
    else:
        if seen == 0:
            entry.first = readings
        entry.longest = max(i8(entry.longest), without)
        without = 0
    entry.without = without
    score = 0.0
    known = max(readings - i8(entry.first) - without, 1)
    if gone and seen >= asked.evidence and known * interval_s >= asked.days * 86_400:
        share = (i8(entry.lacking) - without) / known
        score = min(without / too_many(share, entry.longest, asked), 1.0)
    entry.score = score
    on = gone if entry.on else score >= 1
    if on != entry.on:
        entry.on = on
        since = i8(entry.since) * SECOND_US
        told.append(change(slot, column, on, time, since, entry.score, without, np.nan))


@inlined
def too_many(share: Number, longest: int, asked: Parameters) -> Number:
    """Readings without a metric in a row that are no ordinary run; `share`: of the readings that lack it."""
    by_chance = np.log(asked.chance) / np.log(min(max(share, asked.least_share), 0.999))
    return max(np.ceil(by_chance), asked.times * longest + 1.0)


DETECTORS = (Missing,)
