"""Open series with seeded faults: one long record of one station each, many copies of it with a fault in each."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.detectors import detectors_of
from analytics.detectors.rows import Fleet as Slots
from analytics.detectors.rows import Rows
from tests.evaluation.city import in_order
from tests.evaluation.judge import Fault, Found, Watch
from tests.evaluation.open_data import SPARSE, Series, Table

US = 1_000_000
WEEK_S = 7 * 86_400.0


class Copy(NamedTuple):
    """A copy of a series with one fault: `time` and `received` in s since 1970."""

    fault: Fault
    time: npt.NDArray[np.float64]
    received: npt.NDArray[np.float64]
    table: Table


KINDS = ("stuck", "drift", "spikes", "silence", "clock")


class Sizes(NamedTuple):
    """How bad. `stuck`, `silence`: intervals; `drift`: deviations per day, for `drift_days`; `spikes`: deviations;
    `clock_s`: s. All are the least that must be found, unless an evaluation asks for others."""

    stuck: int = 6
    drift: float = 3.0
    drift_days: float = 3.0
    spikes: float = 8.0
    silence: int = 3
    clock_s: float = 600.0


def injected(series: Series, kind: str, nth: int, seed: int, sizes: Sizes | None = None) -> Copy:
    """A copy with one fault, drawn from the seed: where there are values, in the last three quarters of the series."""
    sizes = sizes or Sizes()
    random = np.random.default_rng([seed, KINDS.index(kind), nth])
    names = [metric.name for metric in series.family.metrics]
    usable = [name for place, name in enumerate(names) if name not in SPARSE and moves(series.table[:, place])]
    metric = str(random.choice(usable))
    column = names.index(metric)
    table, time = series.table.copy(), series.time
    per_day = 86_400.0 / series.interval_s
    rows = {"stuck": sizes.stuck, "drift": int(max(sizes.drift_days * per_day, 4)), "spikes": 1, "clock": 24}
    length = rows.get(kind, sizes.silence)
    begin = _place(series, column, length, random)
    at = slice(begin, begin + length)
    received = time.copy()
    spread = float(np.nanstd(table[:, column]))
    about: str | None = metric
    if kind == "stuck":
        table[begin : begin + length + 1, column] = table[begin, column]
    elif kind == "drift":
        ramp = np.arange(length) / per_day * sizes.drift * spread
        table[at, column] += ramp * random.choice([-1.0, 1.0])
    elif kind == "spikes":
        table[begin, column] += sizes.spikes * spread * random.choice([-1.0, 1.0])
    elif kind == "silence":
        keep = np.ones(len(time), bool)
        keep[at] = False
        fault = Fault(kind, nth, None, int(time[begin] * US), int(time[begin + length] * US))
        return Copy(fault, time[keep], received[keep], table[keep])
    else:
        about = None
        time = time.copy()
        time[at] += sizes.clock_s * random.choice([-1.0, 1.0])
    last = min(begin + length, len(received) - 1)
    return Copy(Fault(kind, nth, about, int(received[begin] * US), int(received[last] * US)), time, received, table)


WARM_DAYS, AFTER_DAYS = 30.0, 3.0
"""Of a copy only so many days before and after its fault are played: what is learnt in a month is learnt."""


def window(series: Series, copy: Copy) -> Copy:
    """The days around the fault, moved to the beginning of the series: by whole weeks, so that hours and days of the
    week stay what they are and all copies are played at once."""
    begin = max(copy.fault.start / US - max(WARM_DAYS * 86_400, 200 * series.interval_s), series.time[0])
    begin = series.time[0] + (begin - series.time[0]) // WEEK_S * WEEK_S
    end = copy.fault.end / US + max(AFTER_DAYS * 86_400, 6 * series.interval_s)
    there, shift = (copy.received >= begin) & (copy.received < end), begin - series.time[0]
    fault = copy.fault._replace(start=copy.fault.start - int(shift * US), end=copy.fault.end - int(shift * US))
    return Copy(fault, copy.time[there] - shift, copy.received[there] - shift, copy.table[there])


def copies_of(series: Series, each: int, seed: int) -> list[Copy]:
    """So many copies with each kind of fault, numbered through, each cut to the days around its fault."""
    made = [window(series, injected(series, kind, nth, seed)) for kind in KINDS for nth in range(each)]
    return [copy._replace(fault=copy.fault._replace(device=place)) for place, copy in enumerate(made)]


def untouched(series: Series) -> Copy:
    """The series as it is."""
    return Copy(Fault("none", 0, None, 0, 0), series.time, series.time, series.table)


def moves(column: Table) -> bool:
    """Whether a metric changes at most readings."""
    known = column[~np.isnan(column)]
    return bool(np.mean(known[1:] == known[:-1]) < 0.3)


def _place(series: Series, column: int, length: int, random: np.random.Generator) -> int:
    """Where a fault begins: at the pace of the series; a short one has all its values, a long one most."""
    n, gaps = len(series.time), 0.0 if length < 24 else 0.1
    for _ in range(10_000):
        begin = int(random.integers(n // 4, n - length - 30))
        around = slice(begin - 5, begin + length + 3)
        paced = np.diff(series.time[around]) == series.interval_s
        if paced.mean() >= 1 - gaps and np.isnan(series.table[around, column]).mean() <= gaps:
            return begin
    raise ValueError(f"{series.name}: no place for a fault of {length} readings in column {column}")


def slots_of(series: Series, copies: int) -> Slots:
    """Copies as devices without a position: each is alone."""
    interval = np.full(copies, series.interval_s, np.float32)
    nowhere = np.full(copies, np.nan, np.float32)
    ids = np.arange(copies)
    return Slots(
        ids.astype(np.int32),
        np.ones(copies, np.int16),
        np.ones(copies, np.int16),
        interval,
        3 * interval,
        nowhere,
        nowhere,
        np.ones(copies, np.bool_),
    )


def judged(series: Series, copies: Iterable[Copy], names: Iterable[str] = ()) -> list[Found]:
    """What detectors say of copies; the number of a finding's device is the place of the copy."""
    made, wanted = list(copies), set(names)
    detectors = [one for one in detectors_of(series.family) if not wanted or one.name in wanted]
    for detector in detectors:
        detector.grow(slots_of(series, len(made)))
    watch = Watch(series.family, detectors, range(len(made)))
    lengths = [len(copy.time) for copy in made]
    slot = np.repeat(np.arange(len(made)), lengths)
    time = (np.concatenate([copy.time for copy in made]) * US).astype(np.int64)
    received = (np.concatenate([copy.received for copy in made]) * US).astype(np.int64) + US // 10
    rows = Rows(series.family, slot, time, received, np.concatenate([copy.table for copy in made]))
    order = np.argsort(received, kind="stable")
    rows = rows.of(order)
    step = int(series.interval_s * US) // 4
    first = int(series.time[0] * US)
    last = max(float(copy.received[-1]) for copy in made)
    edges = np.arange(first, int(last * US) + 20 * step, step * 2) + step
    newest = np.full(len(made), np.iinfo(np.int64).min)
    cuts = np.searchsorted(rows.received, edges)
    for begin, end, now in zip(np.r_[0, cuts[:-1]], cuts, edges, strict=True):
        late = rows.of(np.arange(begin, end))
        late = late.of(np.argsort(late.slot, kind="stable"))
        watch.update(in_order(late, newest), late)
        watch.tick(int(now))
    return watch.found
