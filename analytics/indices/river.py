"""Rivers: where a water level stands among a station's alarm levels, how fast it rises, when it reaches the next one.

Alarm levels (báo động) I, II and III are heights in m above the zero of the station's gauge, kept in a legal table. The
trend is the median of all slopes between two readings (H. Theil 1950; P. K. Sen, Journal of the American Statistical
Association 63, 1968), which a third of wild readings does not move.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]

LEVELS = 3
HYSTERESIS_M = 0.05
"""How far below a level the water must be before that level is left: waves are not an all-clear."""
WINDOW_S = 3 * 3600
LEAST_POINTS = 4
LEAST_SPAN_S = 3600
"""A trend needs so many readings over so long."""
SLOPE_M_PER_H = 0.03
FIT = 0.8
"""A time to the next level is said only from this rise on and from this share of the variance explained."""
FARTHEST_H = 72.0


def reached(level: Floats, bounds: Floats) -> Ints:
    """The highest alarm level that the water stands at or above: 0 none, 1 to 3 for I to III; -1 for NaN.

    `level` in m; `bounds` (…, 3) in m, NaN where a station's level is not known.
    """
    at = (level[..., None] >= bounds) * np.arange(1, LEVELS + 1)
    return np.where(np.isnan(level), -1, at.max(axis=-1))


def held(before: Ints, level: Floats, bounds: Floats, margin: float = HYSTERESIS_M) -> Ints:
    """The alarm level after a reading: up as soon as one is reached, down when the water is `margin` m below it.

    `before`: 0 to 3, -1: nothing known yet. NaN leaves it as it was.
    """
    up = reached(level, bounds)
    kept = np.minimum(before, reached(level + margin, bounds))
    return np.where(np.isnan(level), before, np.where(before < 0, up, np.maximum(up, kept)))


class Trend(NamedTuple):
    """Of each row. `slope` m/h, `fit` share of the variance that the line explains (0 to 1); NaN: too few readings."""

    slope: Floats
    fit: Floats


def trend(time: Floats, level: Floats) -> Trend:
    """The trend of readings (rows × points): `time` in s, `level` in m, NaN for a point that is not there."""
    known = ~np.isnan(level) & ~np.isnan(time)
    time, level = np.where(known, time, np.nan), np.where(known, level, np.nan)
    enough = known.sum(axis=1) >= LEAST_POINTS
    span = np.where(known, time, -np.inf).max(axis=1, initial=-np.inf) - np.where(known, time, np.inf).min(
        axis=1, initial=np.inf
    )
    enough &= span >= LEAST_SPAN_S
    slope = np.full(len(time), np.nan)
    fit = np.full(len(time), np.nan)
    for row in np.flatnonzero(enough):
        at = known[row]
        slope[row], fit[row] = _line(time[row, at], level[row, at])
    return Trend(slope * 3600.0, fit)


def _line(time: Floats, level: Floats) -> tuple[float, float]:
    """Median slope, m/s, and the fit of the line with the median intercept."""
    one, other = np.triu_indices(len(time), 1)
    apart = time[other] - time[one]
    slopes = (level[other] - level[one])[apart != 0] / apart[apart != 0]
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    rest = level - slope * time
    rest = rest - np.median(rest)
    spread = ((level - level.mean()) ** 2).sum()
    return slope, float(np.clip(1.0 - (rest**2).sum() / spread, 0.0, 1.0)) if spread > 0 else 1.0


def next_level(level: Floats, bounds: Floats) -> Ints:
    """Which level comes next above the water: 1 to 3; 0 where none does or the water is not known."""
    above = bounds > level[..., None]
    return np.where(above.any(axis=-1), above.argmax(axis=-1) + 1, 0)


def hours_to_next(level: Floats, bounds: Floats, found: Trend) -> Floats:
    """Hours until the water, rising as it does, stands at the next level; NaN where that cannot be said.

    Said only from a rise above 3 cm/h with a fit above 0.8 on, and no more than 72 h ahead.
    """
    number = next_level(level, bounds)
    bounds = np.broadcast_to(bounds, (*number.shape, LEVELS))
    height = np.take_along_axis(bounds, np.maximum(number - 1, 0)[..., None], axis=-1)[..., 0]
    clear = (number > 0) & (found.slope > SLOPE_M_PER_H) & (found.fit > FIT)
    hours = (height - level) / np.where(clear, found.slope, np.nan)
    return np.where(hours <= FARTHEST_H, hours, np.nan)
