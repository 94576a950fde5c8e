"""How long ways take beside an empty road: travel-time index, planning index, buffer index.

Source: Federal Highway Administration (USA), Travel Time Reliability: Making It There On Time, All The Time; Texas
Transportation Institute, Urban Mobility Report. Times over a stretch of road are as 1 / speed, so speeds serve.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LATE = 95.0
"""The percentile of travel times that a traveller must reckon with to be late on one day of twenty."""


def times(speed_kmh: Floats) -> Floats:
    """Minutes per km; NaN where nothing moves."""
    return np.asarray(60.0 / np.where(speed_kmh > 0, speed_kmh, np.nan))


def travel_index(speed_kmh: Floats, free_kmh: Floats) -> Floats:
    """TTI = time / time on the empty road: 1.3 takes 30 % longer. Below 1 where it goes faster than learnt."""
    return np.asarray(times(speed_kmh) / times(free_kmh))


def planning_index(speed_kmh: Floats, free_kmh: float) -> float:
    """PTI = 95th percentile of the times / time on the empty road, of many passages; NaN of none."""
    known = _known(speed_kmh)
    return float(np.percentile(known, LATE) * free_kmh / 60.0) if len(known) and free_kmh > 0 else float("nan")


def buffer_index(speed_kmh: Floats) -> float:
    """(95th percentile of the times - their mean) / their mean, of many passages; NaN of none."""
    known = _known(speed_kmh)
    if not len(known):
        return float("nan")
    mean = float(known.mean())
    return (float(np.percentile(known, LATE)) - mean) / mean


def _known(speed_kmh: Floats) -> Floats:
    found = times(speed_kmh)
    return found[~np.isnan(found)]
