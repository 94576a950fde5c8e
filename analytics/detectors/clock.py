"""A device's clock that is wrong: what it says of the time, against when we received it."""

from typing import ClassVar, NamedTuple

from analytics.detectors.compiled import (
    SECOND_US,
    Array,
    Told,
    change,
    columns,
    compiled,
    f4,
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
    """`wrong_s`: how far off is wrong, s; `readings` in a row and `seconds`: how long it must have been so.

    `nearer`: a reading whose offset is below this share of the least one before begins anew: a buffer that is being
    emptied, not a clock.
    """

    wrong_s: float = 60.0
    readings: int = 4
    seconds: float = 1200.0
    nearer: float = 0.8


class Clock(Detector):
    """Score: readings in a row that were off, as a share of those that are enough.

    Latency goes one way only, so what counts is the least offset of a run: one reading on time ends it. A clock that is
    ahead shows the same with the other sign.
    """

    name = "clock"
    whole = True
    in_rows = True
    grace = 4
    late = True
    arrays: ClassVar[dict[str, State]] = {
        "offset": State("f4"),  # s: least in this run; above 0: the device is behind, or late
        "run": State("u1"),
        "since": State("i8"),  # µs since 1970: receipt of the first of the run
    }

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        return self.changes(sweep(rows.slot, rows.time, rows.received, self.records, self.parameters))


@compiled
def sweep(slots: Array, times: Array, receipts: Array, kept: Records, asked: Parameters) -> Told:
    """Most readings are on time, as those before: of these nothing is noted."""
    told = []
    each, lines, end = kept.each, lines_of(kept.rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        entry, received = each[slots[i], 0], receipts[i]
        offset, run = (received - times[i]) / SECOND_US, i8(entry.run)
        wrong = abs(offset) > asked.wrong_s
        if not wrong and run == 0:
            continue
        least = entry.offset
        near = f4(asked.nearer) * abs(least) - f4(30)
        if wrong and run > 0 and offset * least > 0 and abs(offset) >= near:
            run = min(run, 250) + 1
            if abs(offset) < abs(least):
                least = f4(offset)
        else:
            run, least = i8(wrong), f4(offset)
            entry.since = received
        long = (received - entry.since) / SECOND_US >= asked.seconds
        score, was = min(run / asked.readings, 1.0 if long else 0.99), entry.on
        if was and wrong:
            score = max(score, 0.6)  # a smaller error is an error still
        entry.offset, entry.run, entry.score = least, run, score
        on = latched(was, score)
        if on != was:
            entry.on = on
            told.append(change(slots[i], 0, on, received, entry.since, entry.score, least, 0.0))
    return columns(told)


DETECTORS = (Clock,)
