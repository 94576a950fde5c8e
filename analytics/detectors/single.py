"""Rows cut down to what a detector of one metric looks at: the other metrics are not copied round after round."""

from collections.abc import Iterator

import numpy as np

from analytics.detectors.rows import Rows


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
