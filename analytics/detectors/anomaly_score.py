"""How unusual each value of a series is, from what came before it alone: one score, one threshold for all series.

A value is judged by seven signs (anomaly_state.SIGNS): itself, its difference from what is usual at this hour and from
what the last rows foretell, its level, … For each sign the range of the last one to two spans of rows is kept. What
stays inside is nothing new; how far a sign goes beyond its record, in ranges, is what is evidence. Records need no
distribution: heavy tails have wide ranges, and of n rows only about one in n is a record by chance.

evidence = the most of (excess / range) / usual over the signs; score = evidence / (1 + evidence), so that evidence 1,
score 0.5, is worth a look, and 0.99 is as far beyond the record again as all that was seen. Once a value has been seen
it is within the range: an event that lasts is told once. For a while after it only stronger evidence counts.

What is kept of a series is one record. Numbers are reckoned in 64 bits and kept in 32, ranges in 32 throughout.
"""

from typing import NamedTuple

import numpy as np

from analytics.detectors.anomaly_season import Beside, Record, foretold, usual_at
from analytics.detectors.anomaly_state import (
    DEFAULTS,
    LASTING,
    LEVEL,
    PREDICTED,
    RUN,
    SEASON,
    SIGNS,
    SUDDEN,
    VALUE,
    Parameters,
    Series,
)
from analytics.detectors.compiled import (
    SECOND_US,
    Array,
    Number,
    Told,
    change,
    columns,
    compiled,
    f4,
    f8,
    fetch,
    i8,
    inlined,
    later,
    likely,
    lines_of,
)
from analytics.detectors.rows import Floats, Ints

LARGEST = 1e15
"""Differences from the first value are kept as 32-bit numbers, and squared."""


class Scale(NamedTuple):
    """By sign: see `Sign`. `least`: ranges below it, in the unit of the values, count as so wide."""

    usual: Array
    most: Array
    least: Number


def scale(least: float = 0.0) -> Scale:
    """Of SIGNS."""
    usual, most = (np.array([getattr(sign, name) for sign in SIGNS], np.float32) for name in ("usual", "most"))
    return Scale(usual, most, np.float32(least))


def evidence_of(
    series: Series, places: Ints, time: Ints, values: Floats, parameters: Parameters = DEFAULTS, least: float = 0.0
) -> Floats:
    """Evidence (0: nothing new, ≥ 1: unusual) of values in the order in which they came, which are taken in.

    `places`: the series of each value; `time`: µs since 1970 UTC, of each; `values`: NaN and infinite ones are passed
    over, with evidence 0; `least`: see `Scale`.
    """
    found = np.zeros(len(values))
    sweep(places, time, values, series.kept, series.more, parameters, scale(least), found)
    return found


def score(evidence: Floats) -> Floats:
    """0–1; 0.5 at evidence 1."""
    return evidence / (1 + evidence)


@compiled
def sweep(
    places: Array,
    times: Array,
    values: Array,
    kept: Array,
    more: Beside,
    asked: Parameters,
    scale: Scale,
    found: Array,
) -> None:
    """Evidence of all values."""
    for i in range(len(places)):
        if np.isfinite(values[i]):
            found[i] = evidence(kept[places[i]], more, places[i], times[i] // SECOND_US, values[i], asked, scale)


class Asked(NamedTuple):
    """Of findings: see `anomaly.Parameters`."""

    threshold: float
    learning_s: int
    hold_rows: int


@compiled
def findings(
    slots: Array,
    times: Array,
    values: Array,
    place: int,
    kept: Array,
    rows: Array,
    asked: Parameters,
    of: Asked,
    scale: Scale,
) -> Told:
    """What is found in rows; `place`: of the metric that is judged. It is told for a while after its evidence."""
    told = []
    lines, end = lines_of(rows), len(slots) - 1
    for i in range(len(slots)):
        fetch(lines, slots[later(i, end)])
        value = values[i, place]
        if not np.isfinite(value):
            continue
        one, second = kept[slots[i], 0], times[i] // SECOND_US
        found = evidence(one, None, 0, second, value, asked, scale)
        score = found / (1.0 + found)
        one.score = score
        if score >= of.threshold and second - i8(one.begun) >= of.learning_s:
            one.hold = of.hold_rows
        elif one.hold > 0:
            one.hold -= 1
        if (one.hold > 0) != one.on:
            one.on = one.hold > 0
            usual = one.origin + one.level
            told.append(change(slots[i], 0, one.on, times[i], times[i], f4(score), value, usual))
    return columns(told)


@inlined
def evidence(
    one: Record, more: Beside, place: int, time: int, value: Number, asked: Parameters, scale: Scale
) -> Number:
    """Of one more value of a series. `time`: s since 1970; `more`: None in the brief form."""
    second = max(time, 0)
    if np.isnan(one.origin):
        one.origin = value
        one.begun = one.span_begun = second
    value = f8(f4(min(max(value - one.origin, -LARGEST), LARGEST)))
    by_day, nearer = usual_at(one, more, place, second, value, asked)
    known = by_day == by_day
    seasons, rows = i8(one.seasons), i8(one.rows)
    if known:
        apart = value - by_day - f8(one.lasting)
        one.lasting = f8(one.lasting) + apart / min(seasons + 1.0, f8(asked.lasting_rows))
        one.seasons += seasons < 255
    one.rows += rows < 255
    level = f8(one.level) + (value - f8(one.level)) / asked.level_rows
    one.level = level
    above = value > level
    one.run = min(i8(one.run) + 1, 65_535) if above == one.above else 1
    one.above = above
    turn_spans(one, second, asked)
    most, moves = beyond(one, VALUE, f4(value), scale)
    season, _ = beyond(one, SEASON, f4(value - nearer) if known else f4(0), scale)
    lasting, _ = beyond(one, LASTING, one.lasting, scale)
    if seasons >= asked.grace:
        most = max(most, season, lasting)
    most = max(most, beyond(one, LEVEL, one.level, scale)[0])
    run, _ = beyond(one, RUN, f4(one.run), scale)
    if moves:  # what never moves has no level to be on one side of
        most = max(most, run)
    if more is not None:
        turn_sudden(one, more, place, asked)
        most = max(most, beyond(one, PREDICTED, foretold(more[place], value, asked), scale)[0])
        most = max(most, beyond(one, SUDDEN, f4(value), scale)[0])
    return rested(one, f8(most) if rows >= asked.grace else 0.0, asked)


@inlined
def beyond(one: Record, sign: int, value: Number, scale: Scale) -> tuple[Number, bool]:
    """How far a sign is beyond its record, which it then is itself; and whether it has ever moved."""
    low, high = min(one.low[0, sign], one.low[1, sign]), max(one.high[0, sign], one.high[1, sign])
    one.low[0, sign], one.high[0, sign] = min(one.low[0, sign], value), max(one.high[0, sign], value)
    width = max(high - low, one.range[sign])
    if sign != RUN:
        width = max(width, scale.least)
    excess = max(value - high, low - value)
    if likely(not excess > 0):
        return f4(0), width > 0
    # A first movement has no range to be measured by: it counts as one.
    return min(excess / (width if width > 0 else excess), scale.most[sign]) / scale.usual[sign], width > 0


@inlined
def turn_spans(one: Record, time: int, asked: Parameters) -> None:
    """Begin a new span of records where one is over."""
    one.span_rows = min(i8(one.span_rows) + 1, 65_535)
    if one.span_rows > asked.memory_rows and time - i8(one.span_begun) >= asked.memory_s:
        one.span_rows, one.span_begun = 0, time
        for sign in range(min(SUDDEN, one.range.shape[0])):
            turn(one, sign, asked)


@inlined
def turn_sudden(one: Record, more: Beside, place: int, asked: Parameters) -> None:
    """The same for the sign of short memory."""
    more[place].sudden_rows += 1
    if more[place].sudden_rows > asked.sudden_rows:
        more[place].sudden_rows = 0
        turn(one, SUDDEN, asked)


@inlined
def turn(one: Record, sign: int, asked: Parameters) -> None:
    """The widest range fades; the span before is forgotten."""
    width = max(one.high[0, sign], one.high[1, sign]) - min(one.low[0, sign], one.low[1, sign])
    one.range[sign] = f4(asked.fading) * max(one.range[sign], width)
    one.low[1, sign], one.high[1, sign] = one.low[0, sign], one.high[0, sign]
    one.low[0, sign], one.high[0, sign] = f4(np.inf), f4(-np.inf)


@inlined
def rested(one: Record, evidence: Number, asked: Parameters) -> Number:
    """After evidence was told, only stronger counts until the rest is over."""
    since = i8(one.since_peak)
    told = evidence > 0 and (evidence > f8(one.peak) or since >= asked.rest_rows)
    one.since_peak = 0 if told else min(since + 1, 65_535)
    if not told:
        return 0.0
    one.peak = evidence
    return evidence
