"""What the anomaly score keeps of a series, and the numbers by which it judges: one set for all series."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.detectors.detector import State
from analytics.detectors.rows import Floats, Ints

Kept = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, first axis: the series."""

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
DAY_HOURS = 24
WEEK_HOURS = 168
TAPS = 12


class Sign(NamedTuple):
    """A quantity that is followed because it goes where it never was when something is wrong.

    `usual`: by how much of its range a new record may exceed the old one: evidence 1, score 0.5. `most`: the most that
    an excess counts, in ranges; runs of rows are whole numbers with a small range, and say little by how far.
    """

    name: str
    usual: float
    most: float = 1000.0


SIGNS = (
    Sign("value", 0.02),
    Sign("season", 0.12),  # from what is usual at this hour of the day or of the week, whichever is nearer
    Sign("level", 0.03),  # mean over some 80 rows
    Sign("lasting", 0.08),  # mean over some 12 rows of the difference from what is usual at this hour
    Sign("run", 0.01, 0.1),  # rows for which the value has stayed on one side of its level
    Sign("predicted", 0.2),  # from what the last rows foretell
    Sign("sudden", 1.0),  # value again, with a short memory
)
VALUE, SEASON, LEVEL, LASTING, RUN, PREDICTED, SUDDEN = range(len(SIGNS))
FEW = RUN + 1
SEASONAL = [SEASON, LASTING]
USUAL = np.array([sign.usual for sign in SIGNS], np.float32)
MOST = np.array([sign.most for sign in SIGNS], np.float32)


class Parameters(NamedTuple):
    """Numbers of the score; rows are readings of the series.

    `memory_rows`, `memory_s`: a record is kept for one to two spans of at least so many rows and seconds;
    `sudden_rows`: the same for the sign of short memory; `grace`: rows of a sign before it counts; `rest_rows`: for so
    many rows after a detection only stronger evidence counts; `fading`: part of the widest range kept per span;
    `level_rows`, `lasting_rows`, `centre_rows`: rows that the running means cover; `day_rate`, `week_rate`: share of a
    new day or week in what is usual; `pace`: of the predictor, 0–1.
    """

    memory_rows: int = 2000
    memory_s: int = WEEK_S
    sudden_rows: int = 700
    grace: int = 50
    rest_rows: int = 100
    fading: float = 0.7
    level_rows: int = 80
    lasting_rows: int = 12
    centre_rows: int = 500
    day_rate: float = 0.1
    week_rate: float = 0.3
    pace: float = 0.1


DEFAULTS = Parameters()

ARRAYS: dict[str, State] = {
    "origin": State("f8", np.nan),  # first value: all others are kept as differences from it
    "begun": State("u4"),  # s since 1970: first reading
    "hour": State("i4"),  # hours since 1970: the hour of which the mean is being taken
    "hour_mean": State("f4"),
    "hour_rows": State("u2"),
    "day": State("f4", np.nan, (DAY_HOURS,)),  # usual at an hour of the day, UTC
    "week": State("f4", np.nan, (WEEK_HOURS,)),  # the same of the week, from Thursday, as 1970 began
    "level": State("f4"),
    "lasting": State("f4"),
    "centre": State("f4"),
    "last": State("f4", 0, (TAPS,)),  # the last values about the centre, newest first
    "weights": State("f4", 0, (TAPS,)),  # with which they foretell the next
    "above": State("?"),
    "run": State("u2"),
    "low": State("f4", np.inf, (2, len(SIGNS))),  # of this span and of the one before, by sign
    "high": State("f4", -np.inf, (2, len(SIGNS))),
    "range": State("f4", 0, (len(SIGNS),)),  # widest of spans before, fading
    "rows": State("u1"),  # seen, up to 255
    "seasons": State("u1"),  # of these, rows for which it was known what is usual
    "span_begun": State("u4"),  # s since 1970
    "span_rows": State("u2"),  # up to 65,535
    "sudden_rows": State("u2"),
    "peak": State("f4"),  # evidence of the last detection
    "since_peak": State("u2", 65_535),  # rows since then
}

RECORDS = ("low", "high", "range")


def brief() -> dict[str, State]:
    """Arrays of the brief form, for millions of series: the first FEW signs, and of the season the day alone."""
    left_out = ("week", "centre", "last", "weights", "sudden_rows")
    short = {name: state for name, state in ARRAYS.items() if name not in left_out}
    return short | {name: short[name]._replace(shape=(*short[name].shape[:-1], FEW)) for name in RECORDS}


def bytes_per_series(arrays: Mapping[str, State] = ARRAYS) -> int:
    """What one series takes."""
    return sum(np.dtype(state.kind).itemsize * int(np.prod(state.shape, dtype=int)) for state in arrays.values())


def new_series(count: int, arrays: Mapping[str, State] = ARRAYS) -> dict[str, npt.NDArray[Any]]:
    """State of series of which nothing was seen."""
    return {name: np.full((count, *state.shape), state.filling, np.dtype(state.kind)) for name, state in arrays.items()}


__all__ = [
    "ARRAYS",
    "DEFAULTS",
    "SIGNS",
    "Floats",
    "Ints",
    "Kept",
    "Parameters",
    "brief",
    "bytes_per_series",
    "new_series",
]
