"""The speed of an empty road, learnt for each counter: the registry knows none.

It is the 85th percentile of speeds while the road is rather empty (the 85th percentile is what speed studies use), by
stochastic approximation (Robbins & Monro 1951): two numbers per device.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SHARE = 0.85
EMPTY = 0.1
"""Occupancy (1) up to which a road is rather empty."""
EVIDENCE, BLIND_TIMES = 60, 24
"""Readings of an empty road before it is known; of a counter that tells no occupancy so many times more."""
FIRST_STEP, LAST_STEP = 0.2, 0.005
"""Steps as shares of the speed: they shrink as 1 / readings."""


class Learnt(NamedTuple):
    """`kmh`: the estimate, known or not; `seen`: the evidence, readings of an empty road."""

    kmh: Floats
    seen: Floats


def learn(before: Learnt, speed_kmh: Floats, occupancy: Floats) -> Learnt:
    """After one more reading of each device; those that tell no speed or of a full road change nothing."""
    fits = (speed_kmh > 0) & ~(occupancy > EMPTY)
    weight = np.where(np.isnan(occupancy), 1.0 / BLIND_TIMES, 1.0)
    share = np.maximum(FIRST_STEP / (1.0 + 0.1 * before.seen), LAST_STEP)
    step = np.where(speed_kmh > before.kmh, SHARE, SHARE - 1.0) * share * before.kmh
    step = np.clip(step, -np.abs(speed_kmh - before.kmh), np.abs(speed_kmh - before.kmh))
    moved = np.where(before.seen > 0, before.kmh + step, speed_kmh)
    seen = np.minimum(before.seen + weight, 2.0 * EVIDENCE)
    return Learnt(np.where(fits, moved, before.kmh), np.where(fits, seen, before.seen))


def known(learnt: Learnt) -> Floats:
    """km/h; NaN where the evidence is not enough."""
    return np.where(learnt.seen >= EVIDENCE, learnt.kmh, np.nan)
