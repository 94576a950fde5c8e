"""A device that is heard, yet loses much of what it ought to say."""

from typing import ClassVar, NamedTuple

from analytics.detectors.compiled import (
    SECOND_US,
    Array,
    Told,
    change,
    columns,
    compiled,
    f8,
    fetch,
    i8,
    latched,
    later,
    lines_of,
)
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.layout import Records
from devices.family import Family


class Parameters(NamedTuple):
    """`least`: share of the expected readings below which too little arrives; `memory`: readings over which it is
    taken; `evidence`: readings before anything is judged; `most`: intervals that one gap counts, at most: what is
    longer is silence; `burst`: gaps below this share of the interval come from a buffer and do not count."""

    least: float = 0.6
    memory: float = 40.0
    evidence: int = 80
    most: float = 4.0
    burst: float = 0.2


class Reporting(Detector):
    """Score: what is missing, as a share of what may be missing."""

    name = "reporting"
    whole = True
    in_rows = True
    grace = 80
    late = True
    arrays: ClassVar[dict[str, State]] = {
        "heard": State("i8"),
        "gap": State("f4", 1.0),  # intervals between two receipts, mean
        "readings": State("u1"),
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        assert self.fleet is not None
        given = rows.slot, rows.received, self.fleet.interval_s
        return self.changes(sweep(*given, self.records, self.parameters))


@compiled
def sweep(slots: Array, receipts: Array, interval_s: Array, kept: Records, asked: Parameters) -> Told:
    """Every receipt counts."""
    told = []
    each, lines, end = kept.each, lines_of(kept.rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        entry, received = each[slots[i], 0], receipts[i]
        n, mean = i8(entry.readings), f8(entry.gap)
        gap = min((received - entry.heard) / SECOND_US / interval_s[slots[i]], asked.most)
        entry.heard = max(entry.heard, received)
        if n == 0:
            n = 1
        elif gap >= asked.burst:
            mean += (gap - mean) / asked.memory
            n = min(n + 1, 250)
        entry.gap, entry.readings = mean, n
        share = 1.0 / max(mean, 1e-3)
        score = min(max((1.0 - share) / (1.0 - asked.least), 0.0), 1.0) * (n >= asked.evidence)
        entry.score, was = score, entry.on
        on = latched(was, score)
        if on != was:
            entry.on = on
            told.append(change(slots[i], 0, on, received, received, entry.score, share, 1.0))
    return columns(told)


DETECTORS = (Reporting,)
