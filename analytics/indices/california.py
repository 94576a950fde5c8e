"""The California algorithms #7 and #8: an incident between two stations, from their occupancies alone.

Source: Payne & Tignor, Freeway Incident-Detection Algorithms Based on Decision Trees with States (Transportation
Research Record 682, 1978). The tree of #8 is put here as #7 with what it adds: after a compression wave downstream it
waits for five intervals. For stations at most about 500 m apart, intervals of 30 to 60 s.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int8]

FREE, TENTATIVE, CONFIRMED, CONTINUING, WAVE = 0, 1, 2, 3, 4
"""States; WAVE and the four after it are the intervals since a compression wave, the last of which is first."""
WAVE_INTERVALS = 5


class Thresholds(NamedTuple):
    """`apart`: occupancy upstream less downstream, percent (OCCDF); `share`: the same as a share of upstream (OCCRDF);
    `downstream`: the highest occupancy downstream at which it is an incident, percent (DOCC); `wave`: the occupancy
    downstream, percent, from which it is a compression wave, and `rise`: how much it rose in two intervals, as a share
    (-DOCCTD). To be calibrated for a road; these are of a public implementation and of common practice."""

    apart: float = 8.0
    share: float = 0.5
    downstream: float = 30.0
    wave: float = 30.0
    rise: float = 0.4


class Pairs(NamedTuple):
    """What is remembered of each pair of stations: state, and the occupancy downstream one and two intervals ago."""

    state: Numbers
    before: Floats
    earlier: Floats


def begin(pairs: int) -> Pairs:
    """Free, and nothing known."""
    return Pairs(np.zeros(pairs, np.int8), np.full(pairs, np.nan), np.full(pairs, np.nan))


def step(known: Pairs, upstream: Floats, downstream: Floats, asked: Thresholds, *, eight: bool) -> Pairs:
    """After one more interval; occupancies in percent, one entry per pair. `eight`: #8, else #7.

    Where one of both is NaN the state stays. An incident is there while the state is CONFIRMED or CONTINUING.
    """
    apart = upstream - downstream
    share = apart / np.where(upstream > 0, upstream, np.nan)
    rise = (downstream - known.earlier) / np.where(known.earlier > 0, known.earlier, np.nan)
    state = known.state
    lasting = share >= asked.share
    beginning = (apart >= asked.apart) & lasting & (downstream <= asked.downstream)
    new = np.where(beginning, TENTATIVE, FREE)
    new = np.where(state == TENTATIVE, np.where(lasting, CONFIRMED, FREE), new)
    new = np.where((state == CONFIRMED) | (state == CONTINUING), np.where(lasting, CONTINUING, FREE), new)
    if eight:
        new = np.where(state > WAVE, state - 1, np.where(state == WAVE, FREE, new))
        wave = (downstream >= asked.wave) & (rise > asked.rise) & ((state == FREE) | (state >= WAVE))
        new = np.where(wave, WAVE + WAVE_INTERVALS - 1, new)
    gap = np.isnan(apart)
    return Pairs(np.where(gap, state, new).astype(np.int8), downstream, known.before)


def incident(state: Numbers) -> npt.NDArray[np.bool_]:
    """Whether it is one."""
    return np.asarray((state == CONFIRMED) | (state == CONTINUING), dtype=np.bool_)
