"""What the anomaly score keeps of a series, and the numbers by which it judges: one set for all series."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.detectors.layout import State, record

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


def arrays(signs: int) -> dict[str, State]:
    """What is kept of a series in either form; the brief one follows the first FEW signs."""
    return {
        "origin": State("f8", np.nan),  # first value: all others are kept as differences from it
        "begun": State("u4"),  # s since 1970: first reading
        "hour": State("i4"),  # hours since 1970: the hour of which the mean is being taken
        "hour_mean": State("f4"),
        "hour_rows": State("u2"),
        "day": State("f4", np.nan, (DAY_HOURS,)),  # usual at an hour of the day, UTC
        "level": State("f4"),
        "lasting": State("f4"),
        "above": State("?"),
        "run": State("u2"),
        "low": State("f4", np.inf, (2, signs)),  # of this span and of the one before, by sign
        "high": State("f4", -np.inf, (2, signs)),
        "range": State("f4", 0, (signs,)),  # widest of spans before, fading
        "rows": State("u1"),  # seen, up to 255
        "seasons": State("u1"),  # of these, rows for which it was known what is usual
        "span_begun": State("u4"),  # s since 1970
        "span_rows": State("u2"),  # up to 65,535
        "peak": State("f4"),  # evidence of the last detection
        "since_peak": State("u2", 65_535),  # rows since then
    }


BRIEF = arrays(FEW)
"""For millions of series: the first FEW signs, and of the season the day alone."""
FULL = arrays(len(SIGNS))
MORE = {
    "week": State("f4", np.nan, (WEEK_HOURS,)),  # usual at an hour of the week, from Thursday, as 1970 began
    "centre": State("f4"),
    "last": State("f4", 0, (TAPS,)),  # the last values about the centre, newest first
    "weights": State("f4", 0, (TAPS,)),  # with which they foretell the next
    "sudden_rows": State("u2"),
}
"""What the full form keeps beside."""


class Series(NamedTuple):
    """What is kept of some series, a record each: in either form, and what the full form keeps beside."""

    kept: npt.NDArray[Any]
    more: npt.NDArray[Any] | None


def new_series(count: int, full: bool = True) -> Series:
    """State of series of which nothing was seen."""
    return Series(_new(count, FULL), _new(count, MORE)) if full else Series(_new(count, BRIEF), None)


def _new(count: int, states: dict[str, State]) -> npt.NDArray[Any]:
    kept = np.zeros(count, record(states))
    for name, state in states.items():
        kept[name] = state.filling
    return kept
