"""How long ways take beside an empty road: travel-time index, planning index, buffer index.

Source: Federal Highway Administration (USA), Travel Time Reliability: Making It There On Time, All The Time; Texas
Transportation Institute, Urban Mobility Report. Times over a stretch of road are as 1 / speed, so speeds serve.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LATE = 0.95
"""The share of passages that take no longer than what a traveller must reckon with: late on one day of twenty."""


def times(speed_kmh: Floats) -> Floats:
    """Minutes per km; NaN where nothing moves."""
    return np.asarray(60.0 / np.where(speed_kmh > 0, speed_kmh, np.nan))


def travel_index(speed_kmh: Floats, free_kmh: Floats) -> Floats:
    """TTI = time / time on the empty road: 1.3 takes 30 % longer. Below 1 where it goes faster than learnt."""
    return np.asarray(times(speed_kmh) / times(free_kmh))


def planning_index(speed_kmh: Floats, free_kmh: Floats) -> Floats:
    """PTI = 95th percentile of the times / time on the empty road.

    `speed_kmh`: passages × roads, such as the same hour of many days, NaN where there was none; one result per road.
    """
    return np.asarray(quantile(times(speed_kmh), LATE) / times(free_kmh))


def buffer_index(speed_kmh: Floats) -> Floats:
    """(95th percentile of the times - their mean) / their mean; passages × roads, as in `planning_index`."""
    passages = times(speed_kmh)
    count = (~np.isnan(passages)).sum(axis=0)
    mean = np.nansum(passages, axis=0) / np.where(count > 0, count, np.nan)
    return np.asarray((quantile(passages, LATE) - mean) / mean)


def quantile(values: Floats, share: float) -> Floats:
    """Of each column, straight between the two nearest values; NaN are left out, of none it is NaN."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = (~np.isnan(values)).sum(axis=0)
    place = share * np.maximum(count - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low = np.take_along_axis(ordered, below[None], 0)[0]
    high = np.take_along_axis(ordered, above[None], 0)[0]
    return np.asarray(low + (high - low) * (place - below))
