"""How unusual each value of a series is, from what came before it alone: one score, one threshold for all series.

A value is judged by seven signs (anomaly_state.SIGNS): itself, its difference from what is usual at this hour and from
what the last rows foretell, its level, … For each sign the range of the last one to two spans of rows is kept. What
stays inside is nothing new; how far a sign goes beyond its record, in ranges, is what is evidence. Records need no
distribution: heavy tails have wide ranges, and of n rows only about one in n is a record by chance.

evidence = the most of (excess / range) / usual over the signs; score = evidence / (1 + evidence), so that evidence 1,
score 0.5, is worth a look, and 0.99 is as far beyond the record again as all that was seen. Once a value has been seen
it is within the range: an event that lasts is told once. For a while after it only stronger evidence counts.
"""

from functools import reduce

import numpy as np

from analytics.detectors.anomaly_season import usual_at
from analytics.detectors.anomaly_state import (
    DEFAULTS,
    FEW,
    LASTING,
    LEVEL,
    MOST,
    PREDICTED,
    RUN,
    SEASON,
    SEASONAL,
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

LARGEST = 1e15
"""Differences from the first value are kept as 32-bit numbers, and squared."""
TINY = 1e-37


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
    second = np.maximum(time // 1_000_000, 0)
    value = _from_origin(kept, series, second, values)
    signs, known = _signs(kept, series, second, value, parameters)
    return _rested(kept, series, _beyond(kept, series, second, signs, known, parameters, least), parameters)


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


def _signs(kept: Kept, series: Ints, time: Ints, value: Floats, parameters: Parameters) -> tuple[Floats, Bools]:
    """The signs of one row of each series, rows × SIGNS, and whether the seasonal ones are known (0 where not)."""
    by_day, nearer = usual_at(kept, series, time, value, parameters)
    known = ~np.isnan(by_day)
    rows = np.minimum(kept["seasons"][series] + 1.0, parameters.lasting_rows)
    lasting = kept["lasting"][series].astype(np.float64)
    lasting = np.where(known, lasting + (value - by_day - lasting) / rows, lasting)
    level = _run_mean(kept, "level", series, value, parameters.level_rows)
    signs = np.empty((len(series), kept["low"].shape[-1]), np.float32)
    signs[:, VALUE] = value
    signs[:, SEASON] = np.where(known, value - nearer, 0.0)
    signs[:, LEVEL] = level
    signs[:, LASTING] = kept["lasting"][series] = lasting
    signs[:, RUN] = _run(kept, series, value > level)
    if signs.shape[1] > FEW:
        signs[:, PREDICTED] = _foretold(kept, series, value, parameters)
        signs[:, SUDDEN] = value
    return signs, known


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
    last, weights = kept["last"][series], kept["weights"][series]
    about = (value - kept["centre"][series]).astype(np.float32)
    wrong = about - np.einsum("ij,ij->i", last, weights)
    power = np.einsum("ij,ij->i", last, last)
    weights += (parameters.pace * wrong / np.maximum(power + 1e-12 * about * about, TINY))[:, None] * last
    kept["weights"][series] = weights
    last[:, 1:] = last[:, : TAPS - 1].copy()
    last[:, 0] = about
    kept["last"][series] = last
    _run_mean(kept, "centre", series, value, parameters.centre_rows)
    return np.asarray(wrong)


def _beyond(
    kept: Kept, series: Ints, time: Ints, signs: Floats, known: Bools, parameters: Parameters, least: float
) -> Floats:
    """Evidence of each row: how far signs are beyond their records, which they then are themselves."""
    _turn_spans(kept, series, time, parameters)
    lows, highs = kept["low"][series], kept["high"][series]
    low, high = np.minimum(lows[:, 0], lows[:, 1]), np.maximum(highs[:, 0], highs[:, 1])
    excess = np.maximum(signs - high, low - signs)
    width = np.maximum(high - low, kept["range"][series])
    width[:, :RUN] = np.maximum(width[:, :RUN], least)
    width[:, FEW:] = np.maximum(width[:, FEW:], least)
    moves = width[:, VALUE] > 0
    still = width <= 0  # a first movement has no range to be measured by: it counts as one
    np.copyto(width, np.where(excess > 0, excess, 1), where=still)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.minimum(excess / width, MOST[: width.shape[1]]) / USUAL[: width.shape[1]]
    lows[:, 0], highs[:, 0] = np.minimum(lows[:, 0], signs), np.maximum(highs[:, 0], signs)
    kept["low"][series], kept["high"][series] = lows, highs
    found[:, RUN] *= moves  # what never moves has no level to be on one side of
    found[:, SEASONAL] *= _counted(kept, "seasons", series, known, parameters)[:, None]
    most = reduce(np.maximum, found.T)
    return np.where(_counted(kept, "rows", series, True, parameters) & (most > 0), most, 0.0)


def _counted(kept: Kept, name: str, series: Ints, there: Bools | bool, parameters: Parameters) -> Bools:
    """Whether enough rows came before; counts this one."""
    count = kept[name][series]
    kept[name][series] = count + ((count < 255) & there)
    return np.asarray(count >= parameters.grace)


def _turn_spans(kept: Kept, series: Ints, time: Ints, parameters: Parameters) -> None:
    """Begin a new span of records where one is over."""
    rows = np.minimum(kept["span_rows"][series].astype(np.int64) + 1, 65_535)
    over = (rows > parameters.memory_rows) & (time - kept["span_begun"][series] >= parameters.memory_s)
    kept["span_rows"][series] = rows
    if over.any():
        ended = series[over]
        _turn(kept, ended, slice(0, SUDDEN), parameters)
        kept["span_rows"][ended] = 0
        kept["span_begun"][ended] = time[over]
    if "sudden_rows" in kept:
        rows = kept["sudden_rows"][series] + 1
        over = rows > parameters.sudden_rows
        kept["sudden_rows"][series] = np.where(over, 0, rows)
        if over.any():
            _turn(kept, series[over], slice(SUDDEN, len(SIGNS)), parameters)


def _turn(kept: Kept, series: Ints, signs: slice, parameters: Parameters) -> None:
    low, high = kept["low"], kept["high"]
    width = high[series, :, signs].max(axis=1) - low[series, :, signs].min(axis=1)
    kept["range"][series, signs] = parameters.fading * np.maximum(kept["range"][series, signs], width)
    for record, none in ((low, np.inf), (high, -np.inf)):
        record[series, 1, signs] = record[series, 0, signs]
        record[series, 0, signs] = none


def _rested(kept: Kept, series: Ints, evidence: Floats, parameters: Parameters) -> Floats:
    """After evidence was told, only stronger counts until the rest is over."""
    evidence = evidence.astype(np.float32).astype(np.float64)
    since = kept["since_peak"][series]
    told = (evidence > 0) & ((evidence > kept["peak"][series]) | (since >= parameters.rest_rows))
    kept["since_peak"][series] = np.where(told, 0, np.minimum(since.astype(np.int64) + 1, 65_535))
    kept["peak"][series] = np.where(told, evidence, kept["peak"][series])
    return np.where(told, evidence, 0.0)
