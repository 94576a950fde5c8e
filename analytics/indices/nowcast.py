"""NowCast: what fine dust is now, from the twelve newest hours, the newest weighing most where it changes fast.

Decision 1459/QD-TCMT (12 November 2019), section 2.1, as EPA-454/B-24-002 has it, too.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HOURS = 12
NEWEST, OF_NEWEST = 3, 2
SMALLEST_WEIGHT = 0.5


def valid(concentration: npt.ArrayLike) -> Floats:
    """Concentrations of any unit and shape with everything that cannot be one as NaN: below zero, not finite."""
    values = np.array(concentration, dtype=np.float64)
    values[~(np.isfinite(values) & (values >= 0))] = np.nan
    return values


def nowcast(hours: npt.ArrayLike) -> Floats:
    """Hourly means (…, up to 12), the newest first, NaN where missing → their NowCast (…), in the same unit.

    NaN where fewer than two of the three newest hours are there. A missing hour has no weight. The decision prints the
    case of the smallest weight without the division by the sum of weights, which is all but the same with twelve hours
    and too little with fewer: the division is always made here.
    """
    means = valid(hours)[..., :HOURS]
    there = ~np.isnan(means)
    highest = np.where(there, means, -np.inf).max(axis=-1)
    lowest = np.where(there, means, np.inf).min(axis=-1)
    weight = np.full(highest.shape, 1.0)  # twelve hours of clean air
    np.divide(lowest, highest, out=weight, where=highest > 0)
    weights = np.maximum(weight, SMALLEST_WEIGHT)[..., None] ** np.arange(means.shape[-1]) * there
    total = weights.sum(axis=-1)
    result = np.full(total.shape, np.nan)
    enough = there[..., :NEWEST].sum(axis=-1) >= OF_NEWEST
    np.divide((weights * np.where(there, means, 0.0)).sum(axis=-1), total, out=result, where=enough)
    return result
