"""What is usual at an hour of the day and of the week, learnt from the means of hours that are over."""

import numpy as np

from analytics.detectors.anomaly_state import DAY_S, HOUR_S, WEEK_S, Floats, Ints, Kept, Parameters


def usual_at(kept: Kept, series: Ints, time: Ints, value: Floats, parameters: Parameters) -> tuple[Floats, Floats]:
    """What is usual now by the day (NaN before two days are known), and by day or week, whichever is nearer to `value`.

    Takes the value in: it counts once its hour is over. `time`: s since 1970 UTC; `value`: from the origin.
    """
    hour = time // HOUR_S
    _turn_hours(kept, series, hour, parameters)
    rows = np.minimum(kept["hour_rows"][series].astype(np.int64) + 1, 65_535)
    mean = kept["hour_mean"][series]
    kept["hour_mean"][series] = mean + (value - mean) / rows
    kept["hour_rows"][series] = rows
    age = time - kept["begun"][series]
    by_day = np.where(age >= 2 * DAY_S, kept["day"][series, hour % 24], np.nan).astype(np.float64)
    if "week" not in kept:
        return by_day, by_day
    by_week = np.where(age >= 2 * WEEK_S, kept["week"][series, hour % 168], np.nan).astype(np.float64)
    return by_day, np.where(np.abs(value - by_week) < np.abs(value - by_day), by_week, by_day)


def _turn_hours(kept: Kept, series: Ints, hour: Ints, parameters: Parameters) -> None:
    """Take in the means of hours that are over."""
    turned = hour != kept["hour"][series]
    if not turned.any():
        return
    over = series[turned & (kept["hour_rows"][series] > 0)]
    past = kept["hour"][over].astype(np.int64)
    mean = kept["hour_mean"][over].astype(np.float64)
    age = np.maximum(past * HOUR_S - kept["begun"][over], 0)
    for name, hours, span, rate in (
        ("day", 24, DAY_S, parameters.day_rate),
        ("week", 168, WEEK_S, parameters.week_rate),
    ):
        if name not in kept:
            continue
        usual = kept[name][over, past % hours]
        share = np.maximum(rate, 1 / (age // span + 1))
        kept[name][over, past % hours] = np.where(np.isnan(usual), mean, usual + share * (mean - usual))
    begun = series[turned]
    kept["hour"][begun] = hour[turned]
    kept["hour_rows"][begun] = 0
    kept["hour_mean"][begun] = 0
