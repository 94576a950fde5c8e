"""How unusual each value of a series is, from what came before it alone: one score, one threshold for all series.

A value is judged by seven signs (anomaly_state.SIGNS): itself, its difference from what is usual at this hour and from
what the last rows foretell, its level, … For each sign the range of the last one to two spans of rows is kept. What
stays inside is nothing new; how far a sign goes beyond its record, in ranges, is what is evidence. Records need no
distribution: heavy tails have wide ranges, and of n rows only about one in n is a record by chance.

evidence = the most of (excess / range) / usual over the signs; score = evidence / (1 + evidence), so that evidence 1,
score 0.5, is worth a look, and 0.99 is as far beyond the record again as all that was seen. Once a value has been seen
it is within the range: an event that lasts is told once. For a while after it only stronger evidence counts.
"""

from collections.abc import Mapping

import numpy as np

from analytics.detectors.anomaly_season import usual_at
from analytics.detectors.anomaly_state import (
    DEFAULTS,
    LASTING,
    LEVEL,
    MOST,
    PREDICTED,
    RUN,
    SEASON,
    SIGNS,
    SUDDEN,
    TAPS,
    USUAL,
    VALUE,
    Floats,
    Ints,
    Kept,
    Parameters,
    kept_of,
)
from analytics.detectors.compiled import SECOND_US, Array, Number, compiled, f4, f8, i8

LARGEST = 1e15
"""Differences from the first value are kept as 32-bit numbers, and squared."""
TINY = f4(1e-37)
ALL = len(SIGNS)


def evidence_of(
    arrays: Mapping[str, Array],
    series: Ints,
    time: Ints,
    values: Floats,
    parameters: Parameters = DEFAULTS,
    least: float = 0.0,
) -> Floats:
    """Evidence (0: nothing new, ≥ 1: unusual) of values, in their order, which are taken in.

    `series`: places in the arrays; `time`: µs since 1970 UTC; `values`: NaN and infinite ones are passed over, with
    evidence 0; `least`: ranges below it, in the unit of the values, count as so wide.
    """
    found = np.zeros(len(values))
    sweep(kept_of(arrays), series, time, np.asarray(values, np.float64), parameters, float(least), found)
    return found


def score(evidence: Floats) -> Floats:
    """0–1; 0.5 at evidence 1."""
    return evidence / (1 + evidence)


@compiled
def sweep(
    kept: Kept, series: Array, times: Array, values: Array, asked: Parameters, least: Number, found: Array
) -> None:
    """Put the evidence of each value in its place."""
    for i in range(len(series)):
        if np.isfinite(values[i]):
            found[i] = evidence(kept, series[i], times[i], values[i], asked, least)


@compiled
def evidence(kept: Kept, at: int, time_us: int, value: Number, asked: Parameters, least: Number) -> Number:
    """Evidence of one more value of a series."""
    time = max(time_us // SECOND_US, 0)
    if np.isnan(kept.origin[at]):
        kept.origin[at] = value
        kept.begun[at] = kept.span_begun[at] = time
    off = f8(f4(min(max(value - kept.origin[at], -LARGEST), LARGEST)))
    signs = np.empty(ALL, np.float32)
    known = read_signs(kept, at, time, off, asked, signs)
    turn_spans(kept, at, time, asked)
    return rested(kept, at, beyond(kept, at, signs, known, asked, least), asked)


@compiled
def read_signs(kept: Kept, at: int, time: int, value: Number, asked: Parameters, signs: Array) -> Number:
    """Put the signs of a value in place; returns whether the seasonal ones are known (0 where not)."""
    by_day, nearer = usual_at(kept, at, time, value, asked)
    known = by_day == by_day
    if known:
        lasting = f8(kept.lasting[at])
        kept.lasting[at] = lasting + (value - by_day - lasting) / min(kept.seasons[at] + 1.0, asked.lasting_rows)
    level = run_mean(kept.level, at, value, asked.level_rows)
    above = value > level
    kept.run[at] = min(i8(kept.run[at]) + 1, 65_535) if above == kept.above[at] else 1
    kept.above[at] = above
    signs[VALUE] = signs[SUDDEN] = value
    signs[SEASON] = value - nearer if known else 0.0
    signs[LEVEL], signs[LASTING], signs[RUN] = level, kept.lasting[at], kept.run[at]
    if kept.weights.size:
        signs[PREDICTED] = foretold(kept, at, value, asked)
    return known


@compiled
def run_mean(means: Array, at: int, value: Number, rows: Number) -> Number:
    """Exponential mean, from the origin on."""
    mean = f8(means[at])
    mean += (value - mean) / rows
    means[at] = mean
    return mean


@compiled
def foretold(kept: Kept, at: int, value: Number, asked: Parameters) -> Number:
    """Difference from the linear prediction out of the last rows (normalised least mean squares, Widrow & Hoff)."""
    last, weights = kept.last[at], kept.weights[at]
    wrong = about = f4(value - kept.centre[at])
    power = f4(1e-12) * about * about
    for tap in range(TAPS):
        wrong -= last[tap] * weights[tap]
        power += last[tap] * last[tap]
    pace = f4(asked.pace) * wrong / max(power, TINY)
    for tap in range(TAPS):
        weights[tap] += pace * last[tap]
    for tap in range(TAPS - 1, 0, -1):
        last[tap] = last[tap - 1]
    last[0] = about
    run_mean(kept.centre, at, value, asked.centre_rows)
    return wrong


@compiled
def beyond(kept: Kept, at: int, signs: Array, known: bool, asked: Parameters, least: Number) -> Number:
    """How far signs are beyond their records, which they then are themselves."""
    seasonal, counts = kept.seasons[at] >= asked.grace, kept.rows[at] >= asked.grace
    kept.seasons[at] += known and kept.seasons[at] < 255
    kept.rows[at] += kept.rows[at] < 255
    most, moves = f4(0), True
    for sign in range(kept.low.shape[2]):
        here = signs[sign]
        low, high = (
            min(kept.low[at, 0, sign], kept.low[at, 1, sign]),
            max(kept.high[at, 0, sign], kept.high[at, 1, sign]),
        )
        excess, width = max(here - high, low - here), max(high - low, kept.range[at, sign])
        kept.low[at, 0, sign] = min(kept.low[at, 0, sign], here)
        kept.high[at, 0, sign] = max(kept.high[at, 0, sign], here)
        if sign != RUN:
            width = max(width, f4(least))
        if sign == VALUE:
            moves = width > 0
        if excess <= 0 or (sign == RUN and not moves) or (not seasonal and (sign in (SEASON, LASTING))):
            continue  # what never moves has no level to be on one side of
        # A first movement has no range to be measured by: it counts as one.
        ranges = min(excess / width, MOST[sign]) if width > 0 else f4(1)
        most = max(most, ranges / USUAL[sign])
    return f8(most) if counts else 0.0


@compiled
def turn_spans(kept: Kept, at: int, time: int, asked: Parameters) -> None:
    """Begin a new span of records where one is over."""
    rows = min(i8(kept.span_rows[at]) + 1, 65_535)
    if rows > asked.memory_rows and time - kept.span_begun[at] >= asked.memory_s:
        turn(kept, at, 0, min(SUDDEN, kept.low.shape[2]), asked)
        rows, kept.span_begun[at] = 0, time
    kept.span_rows[at] = rows
    if kept.sudden_rows.size:
        rows = i8(kept.sudden_rows[at]) + 1
        if rows > asked.sudden_rows:
            turn(kept, at, SUDDEN, ALL, asked)
            rows = 0
        kept.sudden_rows[at] = rows


@compiled
def turn(kept: Kept, at: int, first: int, end: int, asked: Parameters) -> None:
    """Put the records of some signs behind those of the span that is over, whose own fade."""
    low, high = kept.low[at], kept.high[at]
    for sign in range(first, end):
        width = max(high[0, sign], high[1, sign]) - min(low[0, sign], low[1, sign])
        kept.range[at, sign] = f4(asked.fading) * max(kept.range[at, sign], width)
        low[1, sign], high[1, sign] = low[0, sign], high[0, sign]
        low[0, sign], high[0, sign] = np.inf, -np.inf


@compiled
def rested(kept: Kept, at: int, evidence: Number, asked: Parameters) -> Number:
    """After evidence was told, only stronger counts until the rest is over."""
    since = i8(kept.since_peak[at])
    if evidence > 0 and (evidence > kept.peak[at] or since >= asked.rest_rows):
        kept.since_peak[at], kept.peak[at] = 0, evidence
        return evidence
    kept.since_peak[at] = min(since + 1, 65_535)
    return 0.0
