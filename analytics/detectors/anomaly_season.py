"""What is usual at an hour of the day and of the week, learnt from the means of hours that are over."""

import numpy as np

from analytics.detectors.anomaly_state import DAY_HOURS, DAY_S, HOUR_S, WEEK_HOURS, WEEK_S, Kept, Parameters
from analytics.detectors.compiled import Array, Number, compiled, f8, i8


@compiled
def usual_at(kept: Kept, at: int, time: int, value: Number, asked: Parameters) -> tuple[Number, Number]:
    """What is usual now by the day (NaN before two days are known), and by day or week, whichever is nearer to `value`.

    Takes the value in: it counts once its hour is over. `time`: s since 1970 UTC; `value`: from the origin.
    """
    hour = time // HOUR_S
    if hour != kept.hour[at]:
        turn_hour(kept, at, asked)
        kept.hour[at], kept.hour_rows[at], kept.hour_mean[at] = hour, 0, 0
    rows = min(i8(kept.hour_rows[at]) + 1, 65_535)
    kept.hour_mean[at] += (value - kept.hour_mean[at]) / rows
    kept.hour_rows[at] = rows
    age = time - kept.begun[at]
    by_day = f8(kept.day[at, hour % DAY_HOURS]) if age >= 2 * DAY_S else np.nan
    by_week = np.nan
    if kept.week.size and age >= 2 * WEEK_S:
        by_week = f8(kept.week[at, hour % WEEK_HOURS])
    return by_day, by_week if abs(value - by_week) < abs(value - by_day) else by_day


@compiled
def turn_hour(kept: Kept, at: int, asked: Parameters) -> None:
    """Take in the mean of an hour that is over."""
    if kept.hour_rows[at] == 0:
        return
    past = i8(kept.hour[at])
    mean, age = f8(kept.hour_mean[at]), max(past * HOUR_S - kept.begun[at], 0)
    learn(kept.day[at], past % DAY_HOURS, mean, max(asked.day_rate, 1 / (age // DAY_S + 1)))
    if kept.week.size:
        learn(kept.week[at], past % WEEK_HOURS, mean, max(asked.week_rate, 1 / (age // WEEK_S + 1)))


@compiled
def learn(usual: Array, hour: int, mean: Number, share: Number) -> None:
    """Move what is usual at an hour by a share towards a new mean; the first one is taken as it is."""
    known = usual[hour]
    usual[hour] = mean if known != known else known + share * (mean - known)
