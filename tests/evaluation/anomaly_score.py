"""What anomaly scores are worth: early in a labelled window counts more, every false detection costs.

The rule of Lavin & Ahmad 2015 ("Evaluating real-time anomaly detection algorithms: the Numenta anomaly benchmark",
section II-B), written from the paper:

- the first 15 % of a series (at most 750 rows) are for learning and are not scored;
- a window starts with -1 point for a miss; its best row over the threshold turns that into `sigmoid(position)`,
  where the position runs from -1 (first row of the window) to 0 (just after its last);
- each row over the threshold outside a window costs `false_positive` × sigmoid(distance after the window before it, in
  widths of that window), all of it where no window precedes;
- 0 is what saying nothing scores, 100 is the first row of every window and nothing else.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEARNING_SHARE = 0.15
LEARNING_ROWS = 750
FALSE_POSITIVE = 0.11  # the standard profile
FAR = 3.0  # widths of the window before, after which a false detection costs in full


class Labelled(NamedTuple):
    """A series' scores (0–1, one per row) and its labelled windows as (first row, last row), in order."""

    scores: Floats
    windows: Sequence[tuple[int, int]]


class Swept(NamedTuple):
    """What every threshold is worth: `points` (normalised, ≤ 100) at `thresholds`, highest threshold first."""

    thresholds: Floats
    points: Floats

    def best(self) -> tuple[float, float]:
        """The best threshold, and its points."""
        at = int(np.argmax(self.points))
        return float(self.thresholds[at]), float(self.points[at])

    def at(self, threshold: float) -> float:
        """Points when every score ≥ `threshold` is a detection."""
        over = int(np.searchsorted(-self.thresholds, -threshold, side="right"))
        return float(self.points[over - 1]) if over else 0.0


def sigmoid(position: Floats) -> Floats:
    """Worth of a detection at `position` (window widths after the window's end): ~1 at -1, 0 at 0, -1 far after."""
    worth = 2 / (1 + np.exp(5 * np.clip(position, -FAR, FAR))) - 1
    return np.where(position > FAR, -1.0, worth)


def learning(rows: int) -> int:
    """Rows at the start that are not scored."""
    return min(int(LEARNING_SHARE * rows), LEARNING_ROWS)


def sweep(series: Sequence[Labelled], false_positive: float = FALSE_POSITIVE) -> Swept:
    """Points of all series together, one threshold for all, for every threshold that matters."""
    rows = [_worth(one, false_positive) for one in series]
    scores = np.concatenate([one.scores for one in rows])
    worth = np.concatenate([one.worth for one in rows])
    counts = np.cumsum([0, *(one.windows for one in rows)])
    window = np.concatenate(
        [np.where(one.window >= 0, one.window + first, -1) for one, first in zip(rows, counts, strict=False)]
    )
    order = np.argsort(-scores, kind="stable")
    gained = _gains(worth[order], window[order], int(counts[-1]))
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    return Swept(scores[order][last], 100 * np.cumsum(gained)[last] / max(2 * int(counts[-1]), 1))


def points(series: Sequence[Labelled], threshold: float, false_positive: float = FALSE_POSITIVE) -> float:
    """Points (0: nothing said, 100: perfect) of all series together at one threshold."""
    return sweep(series, false_positive).at(threshold)


class _Rows(NamedTuple):
    scores: Floats
    worth: Floats
    window: npt.NDArray[np.int64]  # number of the window a row is in, -1 outside
    windows: int  # windows that have scored rows


def _worth(series: Labelled, false_positive: float) -> _Rows:
    n = len(series.scores)
    skipped = learning(n)
    worth = np.full(n, -false_positive)
    window = np.full(n, -1)
    for number, (first, last) in enumerate(series.windows):
        width = last - first + 1
        inside = np.arange(first, last + 1)
        window[inside] = number
        worth[inside] = sigmoid((inside - last - 1) / width) / sigmoid(np.array(-1.0))
        after = np.arange(last + 1, n)
        worth[after] = false_positive * sigmoid((after - last) / max(width - 1, 1))
    present = np.unique(window[skipped:][window[skipped:] >= 0])
    window = np.where(window >= 0, np.searchsorted(present, window), -1)
    return _Rows(series.scores[skipped:], worth[skipped:], window[skipped:], len(present))


def _gains(worth: Floats, window: npt.NDArray[np.int64], windows: int) -> Floats:
    """Points that each row adds to those before it; the first of a window also saves the -1 of a miss."""
    best = np.full(windows, -1.0)
    gained = worth.copy()
    for at in np.flatnonzero(window >= 0):
        number = window[at]
        gained[at] = max(worth[at] - best[number], 0.0)
        best[number] = max(best[number], worth[at])
    return gained
