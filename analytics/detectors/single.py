"""Detectors of one metric, and rows cut down to it: the other metrics are not copied round after round."""

from collections.abc import Iterator

import numpy as np

from analytics.detectors.detector import Detector
from analytics.detectors.rows import Changes, Rows, joined


class Single(Detector):
    """Judges one metric: `_round` is given the rows that have it, and nothing of the others."""

    def update(self, rows: Rows) -> Changes:
        """As every detector."""
        return joined([self._round(some) for some in rounds_of(rows, int(self.judged[0]))])


def rounds_of(rows: Rows, *places: int) -> Iterator[Rows]:
    """The rows that have the first of these metrics, a round each, their `values` being these metrics alone."""
    wanted = np.array(places)
    there = ~np.isnan(rows.values[:, places[0]])
    if there.all():
        few = Rows(rows.family, rows.slot, rows.time, rows.received, rows.values[:, wanted])
    else:
        kept = np.flatnonzero(there)
        values = rows.values[kept[:, None], wanted]
        few = Rows(rows.family, rows.slot[kept], rows.time[kept], rows.received[kept], values)
    rounds = few.rounds()
    if len(rounds) == 1:
        yield few
        return
    for some in rounds:
        yield few.of(some)
