"""A sensor that repeats its value, longer than this series ever does by itself."""

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
    inlined,
    latched,
    later,
    likely,
    lines_of,
    none_told,
)
from analytics.detectors.detector import Changes, Detector, Rows, State
from analytics.detectors.implausible import bound
from analytics.detectors.layout import Records
from devices.family import Family

REACH = 6
"""Lengths of runs that are counted one by one."""
POSITION = frozenset(("latitude", "longitude", "altitude"))
MOST = 8192
"""Runs of a length, beyond which what is long ago counts half."""
HIGHEST = 65_535
"""That fits; a series that repeats nothing comes here, for what is long ago is thought of when something repeats."""


class Parameters(NamedTuple):
    """`least`: equal values in a row, at least; `evidence`: pairs of values, and `days`, before anything is judged.

    `beyond`: how much longer than the longest ordinary run it must be at short intervals, where values follow a smooth
    curve and stand still at its turning points; at hourly ones one value longer is enough. `chance`: of an ordinary run
    that long, at one reading per hour; in proportion to the interval, so that the false detections of a day do not grow
    with the rate; at least `least_chance`, at most ten times as much. `memory_days`: after which the longest ordinary
    run has lost two thirds of its weight.
    """

    least: int = 6
    evidence: int = 30
    days: float = 2.0
    beyond: float = 1.5
    chance: float = 3e-5
    least_chance: float = 1e-8
    memory_days: float = 60.0


class Stuck(Detector):
    """Score: the run of equal values as a share of the run that is too long for this series.

    How likely a run of so many equal values is to go on is learnt per series and length, so that quantised, slow and
    mostly constant metrics judge themselves: they are stuck after a very long time or never. A series whose values all
    come three times (what is measured every three hours, told every hour) says so by its lengths, too. Runs at either
    end of the metric's range are saturation (no rain, dark), not a fault; those of implausible values teach nothing.
    Repeated times count once.
    """

    name = "stuck"
    general = True
    narrow = True
    in_rows = True
    grace = 30
    arrays: ClassVar[dict[str, State]] = {
        "last": State("f4", np.nan),
        "run": State("u2"),
        "first": State("u2"),  # runs that were begun
        "reached": State("u2", 0, (REACH,)),  # runs of 2, … REACH values; last: values beyond these
        "longest": State("f4"),
        "longest_at": State("u4"),  # s since 1970
        "since": State("u4"),
        "time": State("i8", -1, per_device=True),
    }

    @classmethod
    def judges(cls, family: Family) -> list[int]:
        """All gauges but positions: what is parked stays where it is."""
        return [place for place in super().judges(family) if family.metrics[place].name not in POSITION]

    def __init__(self, family: Family, parameters: Parameters | None = None) -> None:
        super().__init__(family)
        self.parameters = parameters or Parameters()
        metrics = [family.metrics[place] for place in self.judged]
        low = np.array([metric.low for metric in metrics], np.float32)
        high = np.array([metric.high for metric in metrics], np.float32)
        least = np.array([bound(metric, "low") for metric in metrics], np.float32)
        most = np.array([bound(metric, "high") for metric in metrics], np.float32)
        least = np.where(least > low, np.nextafter(least, f4(-np.inf)), low)
        self._ends = Ends(low, high, least, np.where(most < high, np.nextafter(most, f4(np.inf)), high))

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        assert self.fleet is not None
        given = rows.slot, rows.time, rows.short, self.judged, self.fleet.interval_s
        return self.changes(sweep(*given, self._ends, self.records, self.parameters))


class Ends(NamedTuple):
    """Of the range of each judged metric: the legal one, and the plausible one, which teaches; exclusive."""

    low: Array
    high: Array
    least: Array
    most: Array


@compiled
def sweep(
    slots: Array,
    times: Array,
    values: Array,
    places: Array,
    interval_s: Array,
    ends: Ends,
    kept: Records,
    asked: Parameters,
) -> Told:
    """Most values differ from the one before, which differed, too: of these nothing but the value is noted."""
    told = none_told()
    each, devices, rows = kept
    lines, end = lines_of(rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        slot, time = np.uint64(slots[i]), times[i]
        device = devices[slot]
        before = device.time
        if time <= before:
            continue
        device.time = time
        for j in range(len(places)):
            entry, value = each[slot, j], values[i, places[j]]
            last = entry.last
            learn = (ends.least[j] < value) & (value < ends.most[j])
            other = value != last
            if value != value:
                continue
            entry.last = value
            entry.first += learn & other & (entry.first < HIGHEST)
            if likely(other & (entry.run == 1)):
                continue
            when = When(slots[i], j, time, before, interval_s[slot])
            again(told, entry, value, last, learn, when, ends.low[j], ends.high[j], ends.least[j], ends.most[j], asked)
    return columns(told)


class When(NamedTuple):
    """Of a value: its slot and column, its time and that of the reading before, µs since 1970, and the interval."""

    slot: int
    column: int
    time: int
    before: int
    interval_s: float


@compiled
def again(
    told: list[Change],
    entry: Record,
    value: Number,
    last: Number,
    learn: Number,
    when: When,
    low: Number,
    high: Number,
    least: Number,
    most: Number,
    asked: Parameters,
) -> None:
    """A value that repeats the one before, or the first that does not."""
    if entry.first > MOST:  # what is long ago counts half
        entry.first //= 2
        for place in range(REACH):
            entry.reached[place] //= 2
    run = i8(entry.run)
    now_s, was = when.time // SECOND_US, entry.on
    longest = entry.longest * fading(now_s - i8(entry.longest_at), asked.memory_days)
    score = f4(0)
    if value == last and low < value < high:
        if run == 1:  # a run begins with the reading before its second value
            entry.since = when.before // SECOND_US
        run = min(run + 1, 60_000)
        if learn and not was:
            entry.reached[min(run, REACH + 1) - 2] += 1
        if run >= asked.least:
            score = judged(entry, run, longest, when.interval_s, asked)
    else:
        if run > 1 and not was and least < last < most:
            entry.longest, entry.longest_at = max(longest, run), now_s
        entry.since = now_s
        run = 1
    entry.run, entry.score = run, score
    on = latched(was, score)
    if on != was:
        entry.on = on
        told.append(change(when.slot, when.column, on, when.time, i8(entry.since) * SECOND_US, score, value, np.nan))


@inlined
def fading(passed_s: int, memory_days: Number) -> Number:
    """What is left of the longest ordinary run."""
    return np.exp(-max(passed_s, 0) / (memory_days * 86_400))


@inlined
def judged(entry: Record, run: int, longest: Number, interval_s: Number, asked: Parameters) -> Number:
    """Score of a long run, as a share of the run that no ordinary one of its series reaches. It is no witness for
    itself, and once found it teaches nothing."""
    others = np.empty(REACH + 1, np.int64)
    for place in range(REACH + 1):
        reached = entry.first if place == 0 else entry.reached[place - 1]
        own = run - REACH if place == REACH else 1
        others[place] = max(i8(reached) - max(own, 0) * (run > place), 0)
    hours = interval_s / f4(3600)
    chance = min(max(f4(asked.chance) * hours, asked.least_chance), 10 * asked.chance)
    too_long = max(np.ceil(rare_length(others, chance)), asked.least)
    beyond = longest * (1.0 + asked.beyond * min(max(1.0 - hours, 0.0), 1.0)) + 1.0
    a_while = max(asked.evidence, min(asked.days * 86_400 / interval_s, 4000.0))
    score = f4(min(run / max(too_long, beyond), 1.0) * (others.sum() > a_while))
    if score >= 1 and not entry.on:
        for place in range(REACH):
            entry.reached[place] = others[place + 1]
    return score


@inlined
def rare_length(reached: Array, chance: Number) -> Number:
    """How long a run must be to be no more likely than `chance`.

    `reached` (REACH + 1): how many runs had 1, 2, … REACH values at least, and by how many values the longest went
    beyond. A length that was hardly ever reached is taken to go on as the one before, or as all do, whichever is less
    likely.
    """
    likely = (reached[1] + 0.5) / (reached[0] + 1.0)
    usually = (reached[2:].sum() + 2.0 * likely) / (reached[1:].sum() + 2.0)
    left, found = np.log(chance / likely), 2.0
    for length in range(2, REACH + 1):
        tried = reached[length - 1] + (reached[length] if length == REACH else 0)
        likely = min((reached[length] + 2.0 * min(likely, usually)) / (tried + 2.0), 0.9999)
        step = np.log(likely)
        if left < 0:
            found += max(left / step if length == REACH else min(left / step, 1.0), 0.0)
        left -= step
    return found


DETECTORS = (Stuck,)
