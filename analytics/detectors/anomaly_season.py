"""What is to be expected: by the hour of the day and of the week, and by the last rows."""

from typing import Any

import numpy as np

from analytics.detectors.anomaly_state import DAY_S, HOUR_S, TAPS, WEEK_S, Parameters
from analytics.detectors.compiled import Array, Number, f4, f8, i8, inlined

TINY = f4(1e-37)
Record = Any
"""What is kept of one series."""
Beside = Any
"""What the full form keeps beside of all series; None in the brief one."""


@inlined
def usual_at(
    one: Record, more: Beside, place: int, time: int, value: Number, asked: Parameters
) -> tuple[Number, Number]:
    """What is usual now by the day (NaN before two days are known), and by day or week, whichever is nearer to `value`.

    Learnt from the means of hours: the value counts once its own is over.
    """
    hour, begun = time // HOUR_S, i8(one.begun)
    if hour != one.hour:
        turn_hour(one, more, place, asked)
        one.hour, one.hour_rows, one.hour_mean = hour, 0, 0
    rows, mean = min(i8(one.hour_rows) + 1, 65_535), f8(one.hour_mean)
    one.hour_rows, one.hour_mean = rows, mean + (value - mean) / rows
    by_day = f8(one.day[hour % 24]) if time - begun >= 2 * DAY_S else np.nan
    if more is not None:
        by_week = f8(more[place].week[hour % 168]) if time - begun >= 2 * WEEK_S else np.nan
        if abs(value - by_week) < abs(value - by_day):
            return by_day, by_week
    return by_day, by_day


@inlined
def turn_hour(one: Record, more: Beside, place: int, asked: Parameters) -> None:
    """Take in the mean of an hour that is over."""
    if one.hour_rows == 0:
        return
    past, mean = i8(one.hour), f8(one.hour_mean)
    age = max(past * HOUR_S - i8(one.begun), 0)
    learn(one.day, past % 24, mean, max(asked.day_rate, 1 / (age // DAY_S + 1)))
    if more is not None:
        learn(more[place].week, past % 168, mean, max(asked.week_rate, 1 / (age // WEEK_S + 1)))


@inlined
def learn(usual: Array, hour: int, mean: Number, share: Number) -> None:
    """Move what is usual at an hour."""
    before = f8(usual[hour])
    usual[hour] = mean if np.isnan(before) else before + share * (mean - before)


@inlined
def foretold(more: Record, value: Number, asked: Parameters) -> Number:
    """Difference from the linear prediction out of the last rows (normalised least mean squares, Widrow & Hoff)."""
    last, weights = more.last, more.weights
    about = f4(value - f8(more.centre))
    wrong, power = about, f4(0)
    for tap in range(TAPS):
        wrong -= last[tap] * weights[tap]
        power += last[tap] * last[tap]
    step = f4(asked.pace) * wrong / max(power + f4(1e-12) * about * about, TINY)
    for tap in range(TAPS):
        weights[tap] += step * last[tap]
    for tap in range(TAPS - 1, 0, -1):
        last[tap] = last[tap - 1]
    last[0] = about
    more.centre = f8(more.centre) + (value - f8(more.centre)) / asked.centre_rows
    return wrong
