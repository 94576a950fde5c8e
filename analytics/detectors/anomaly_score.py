"""How unusual each value of a series is, from what came before it alone: one score, one threshold for all series.

A value is judged by seven signs (anomaly_state.SIGNS): itself, its difference from what is usual at this hour and from
what the last rows foretell, its level, … For each sign the range of the last one to two spans of rows is kept. What
stays inside is nothing new; how far a sign goes beyond its record, in ranges, is what is evidence. Records need no
distribution: heavy tails have wide ranges, and of n rows only about one in n is a record by chance.

evidence = the most of (excess / range) / usual over the signs; score = evidence / (1 + evidence), so that evidence 1,
score 0.5, is worth a look, and 0.99 is as far beyond the record again as all that was seen. Once a value has been seen
it is within the range: an event that lasts is told once. For a while after it only stronger evidence counts.
"""

import numpy as np

from analytics.detectors.anomaly_season import usual_at
from analytics.detectors.anomaly_state import (
    DEFAULTS,
    MOST,
    RUN,
    SIGNS,
    SUDDEN,
    TAPS,
    USUAL,
    VALUE,
    Floats,
    Ints,
    Kept,
    Parameters,
)
from analytics.detectors.rows import Bools

LARGEST = 1e37
"""Differences from the first value are kept as 32-bit numbers."""
TINY = 1e-200


def evidence_of(
    kept: Kept, series: Ints, time: Ints, values: Floats, parameters: Parameters = DEFAULTS, least: float = 0.0
) -> Floats:
    """Evidence (0: nothing new, ≥ 1: unusual) of one more value of each of some series, which it takes in.

    `series`: places in the arrays of `kept`, each once; `time`: µs since 1970 UTC; `values`: NaN and infinite ones are
    passed over, with evidence 0; `least`: ranges below it, in the unit of the values, count as so wide.
    """
    there = np.isfinite(values)
    if not there.all():
        found = np.zeros(len(values))
        found[there] = evidence_of(kept, series[there], time[there], values[there], parameters, least)
        return found
    if not len(series):
        return np.zeros(0)
    value = _from_origin(kept, series, time, values)
    signs = _signs(kept, series, time, value, parameters)
    return _rested(kept, series, _beyond(kept, series, time, signs, parameters, least), parameters)


def score(evidence: Floats) -> Floats:
    """0–1; 0.5 at evidence 1."""
    return evidence / (1 + evidence)


def _from_origin(kept: Kept, series: Ints, time: Ints, values: Floats) -> Floats:
    """Values as differences from the first of their series, rounded as they are kept."""
    origin = kept["origin"][series]
    fresh = np.isnan(origin)
    if fresh.any():
        new = series[fresh]
        kept["origin"][new] = origin[fresh] = values[fresh]
        kept["begun"][new] = kept["span_begun"][new] = time[fresh]
    return np.clip(values - origin, -LARGEST, LARGEST).astype(np.float32).astype(np.float64)


def _signs(kept: Kept, series: Ints, time: Ints, value: Floats, parameters: Parameters) -> Floats:
    """The signs of one row of each series: rows × SIGNS, NaN where there is none yet."""
    by_day, nearer = usual_at(kept, series, time, value, parameters)
    season = value - by_day
    level = _run_mean(kept, "level", series, value, parameters.level_rows)
    seen = kept["seen"][series, 1] + 1.0
    known = ~np.isnan(season)
    lasting = kept["lasting"][series].astype(np.float64)
    lasting = np.where(known, lasting + (season - lasting) / np.minimum(seen, parameters.lasting_rows), lasting)
    kept["lasting"][series] = lasting
    run = _run(kept, series, value > level)
    foretold = _foretold(kept, series, value, parameters)
    columns = (value, value - nearer, level, np.where(known, lasting, np.nan), foretold, run, value)
    return np.asarray(np.stack(columns, axis=1), np.float32)


def _run_mean(kept: Kept, name: str, series: Ints, value: Floats, rows: float) -> Floats:
    """Exponential mean, from the origin on."""
    mean = kept[name][series].astype(np.float64)
    mean += (value - mean) / rows
    kept[name][series] = mean
    return mean


def _run(kept: Kept, series: Ints, above: Bools) -> Floats:
    """Rows on one side of the level."""
    length = np.where(above == kept["above"][series], np.minimum(kept["run"][series] + 1.0, 65_535), 1.0)
    kept["above"][series] = above
    kept["run"][series] = length
    return length


def _foretold(kept: Kept, series: Ints, value: Floats, parameters: Parameters) -> Floats:
    """Difference from the linear prediction out of the last rows (normalised least mean squares, Widrow & Hoff)."""
    last = kept["last"][series].astype(np.float64)
    weights = kept["weights"][series].astype(np.float64)
    about = value - kept["centre"][series]
    wrong = about - (last * weights).sum(axis=1)
    power = (last * last).sum(axis=1)
    step = parameters.pace * wrong / np.maximum(power + 1e-12 * about * about, TINY)
    kept["weights"][series] = weights + step[:, None] * last
    kept["last"][series, 1:] = last[:, : TAPS - 1]
    kept["last"][series, 0] = about
    _run_mean(kept, "centre", series, value, parameters.centre_rows)
    return np.asarray(wrong)


def _beyond(kept: Kept, series: Ints, time: Ints, signs: Floats, parameters: Parameters, least: float) -> Floats:
    """Evidence of each row: how far signs are beyond their records, which they then are themselves."""
    _turn_spans(kept, series, time, parameters)
    lows, highs = kept["low"][series], kept["high"][series]
    low, high = np.fmin(lows[:, 0], lows[:, 1]), np.fmax(highs[:, 0], highs[:, 1])
    excess = np.fmax(signs - high, low - signs).astype(np.float64)
    width = np.fmax(high - low, kept["range"][series]).astype(np.float64)
    if least:
        width[:, :RUN] = np.fmax(width[:, :RUN], least)
        width[:, SUDDEN] = np.fmax(width[:, SUDDEN], least)
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = np.where(width > 0, excess / width, 1.0)  # a first movement has no range to be measured by
    seen = kept["seen"][series]
    new = (excess > 0) & (seen >= parameters.grace)
    new[:, RUN] &= width[:, VALUE] > 0  # what never moves has no level to be on one side of
    kept["seen"][series] = seen + ((seen < 255) & ~np.isnan(signs))
    lows[:, 0], highs[:, 0] = np.fmin(lows[:, 0], signs), np.fmax(highs[:, 0], signs)
    kept["low"][series], kept["high"][series] = lows, highs
    return np.asarray(np.where(new, np.minimum(ranges, MOST) / USUAL, 0.0).max(axis=1))


def _turn_spans(kept: Kept, series: Ints, time: Ints, parameters: Parameters) -> None:
    """Begin a new span of records where one is over."""
    rows = kept["span_rows"][series] + 1
    short = kept["sudden_rows"][series] + 1
    over = (rows > parameters.memory_rows) & (time - kept["span_begun"][series] >= parameters.memory_us)
    short_over = short > parameters.sudden_rows
    kept["span_rows"][series], kept["sudden_rows"][series] = rows, short
    if over.any():
        ended = series[over]
        _turn(kept, ended, slice(0, SUDDEN), parameters)
        kept["span_rows"][ended] = 0
        kept["span_begun"][ended] = time[over]
    if short_over.any():
        ended = series[short_over]
        _turn(kept, ended, slice(SUDDEN, len(SIGNS)), parameters)
        kept["sudden_rows"][ended] = 0


def _turn(kept: Kept, series: Ints, signs: slice, parameters: Parameters) -> None:
    low, high = kept["low"], kept["high"]
    width = np.fmax.reduce(high[series, :, signs], axis=1) - np.fmin.reduce(low[series, :, signs], axis=1)
    kept["range"][series, signs] = np.fmax(parameters.fading * kept["range"][series, signs], parameters.fading * width)
    for record in (low, high):
        record[series, 1, signs] = record[series, 0, signs]
        record[series, 0, signs] = np.nan


def _rested(kept: Kept, series: Ints, evidence: Floats, parameters: Parameters) -> Floats:
    """After evidence was told, only stronger counts until the rest is over."""
    evidence = evidence.astype(np.float32).astype(np.float64)
    since = kept["since_peak"][series]
    told = (evidence > 0) & ((evidence > kept["peak"][series]) | (since >= parameters.rest_rows))
    kept["since_peak"][series] = np.where(told, 0, np.minimum(since.astype(np.int64) + 1, 65_535))
    kept["peak"][series] = np.where(told, evidence, kept["peak"][series])
    return np.where(told, evidence, 0.0)
