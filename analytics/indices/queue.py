"""Queues: how many vehicles wait (input–output method), and whether a queue stands over a counter.

Source: May, Traffic Flow Fundamentals (1990), chapter 12, for input–output; the rule of presence (half the free-flow
speed and an occupancy above the critical one for three intervals) is common practice of freeway operation.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SLOW, FULL, INTERVALS = 0.5, 0.25, 3
"""Share of the free-flow speed, critical occupancy (1; a road carries most at about this) and intervals in a row."""


def waiting(into: Floats, out: Floats, before: float = 0.0) -> Floats:
    """Vehicles that wait at the end of each interval: N(t) = max(0, N(t - 1) + in - out).

    `into`, `out`: vehicles counted at both ends of a stretch in each interval; NaN counts as none. Counting errors add
    up, so begin anew where the road is known to be empty.
    """
    grown = np.cumsum(np.nan_to_num(into) - np.nan_to_num(out)) + before
    return np.asarray(grown - np.minimum(np.minimum.accumulate(grown), 0.0))


def slow_and_full(speed_kmh: Floats, occupancy: Floats, free_kmh: Floats) -> Bools:
    """Whether traffic is both; without an occupancy speed alone decides, a NaN of the speeds is no evidence."""
    return np.asarray((speed_kmh < SLOW * free_kmh) & ~(occupancy <= FULL))


def present(hit: Bools) -> Bools:
    """Whether a queue stands at the end of each interval: `hit` in it and the two before. Shape (intervals, …)."""
    run = hit.copy()
    for back in range(1, INTERVALS):
        run[back:] &= hit[:-back]
    run[: INTERVALS - 1] = False
    return run
