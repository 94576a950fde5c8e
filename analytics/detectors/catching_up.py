"""After a restart: the batches that what was remembered has not seen are read again, until the stream is reached.

Ranges of devices were stored one after the other, so each goes on from its own position. What was found up to the
position that rollup.detecting keeps is written already and not written again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import numpy as np
import psycopg

from analytics.columns import Columns
from analytics.consume import Taken, read, taken_from
from analytics.detectors.rows import Ints
from analytics.detectors.slots import NOBODY
from devices.family import Family

PORTION_ROWS = 50_000
MOST_BATCHES = 2_000
NEXT = """
select batch, rows, time_min, time_max, xid::text from ops.batch
where family = %s and xid > %s::xid8 and xid <= %s::xid8 order by xid, batch limit %s
"""

Batch = tuple[int, int, datetime, datetime, int]


class Again(NamedTuple):
    """Rows that come again. `slot`: NOBODY where what is remembered has the row; `known`: whether what is found in
    them is written already; `xid`: the position behind them."""

    slot: Ints
    columns: Columns
    known: bool
    xid: int


class CatchingUp:
    """One family on its way. `seen`: by slot, the position up to which what is remembered goes; `begin`: of devices
    that come into the registry meanwhile; `written`: up to where what was found is written."""

    def __init__(self, family: Family, seen: Ints, begin: int, written: int) -> None:
        self.family = family
        self.position = min(int(seen.min(initial=written)), begin, written)
        self._seen = seen
        self._begin = begin
        self._written = written
        self._batches: list[Batch] = []

    def portion(self, connection: psycopg.Connection, until: int) -> tuple[Taken, dict[int, int], bool] | None:
        """The next batches up to a position with the position of each, and whether what they hold is written; None:
        there are none."""
        if not self._batches:
            known = (self.family.name, str(self.position), str(until), MOST_BATCHES)
            found = connection.execute(NEXT, known).fetchall()
            self._batches = [(*batch, int(xid)) for *batch, xid in found]
            if len(found) == MOST_BATCHES:  # the last transaction may have more
                whole = [batch for batch in self._batches if batch[4] != self._batches[-1][4]]
                self._batches = whole or self._batches
        if not self._batches:
            return None
        some, self._batches = portion(self._batches, self._written)
        self.position = some[-1][4]
        numbered = {batch: xid for batch, *_, xid in some}
        taken = taken_from(self.family, [(self.family.name, *batch[:4]) for batch in some])
        return taken, numbered, self.position <= self._written

    def read(self, connection: psycopg.Connection, until: int, slots_of: Callable[[Ints], Ints]) -> Again | None:
        """The rows of the next portion; None when a position is reached."""
        found = self.portion(connection, until)
        if found is None:
            self.position = max(self.position, until)
            return None
        taken, numbered, known = found
        columns = read(connection, taken, numbered=True)
        slot = slots_of(columns.device)
        more = int(slot.max(initial=NOBODY)) + 1 - len(self._seen)
        if more > 0:
            self._seen = np.concatenate([self._seen, np.full(more, self._begin, np.int64)])
        assert columns.batch is not None  # asked for
        batches = np.array(sorted(numbered))
        xids = np.array([numbered[batch] for batch in batches.tolist()])[np.searchsorted(batches, columns.batch)]
        at = np.maximum(slot, 0)
        new = (slot >= 0) & (self._seen[at] < xids) if len(self._seen) else np.zeros(len(slot), np.bool_)
        return Again(np.where(new, slot, NOBODY), columns, known, self.position)


def portion(batches: list[Batch], border: int) -> tuple[list[Batch], list[Batch]]:
    """Batches of some size together, whole transactions, on one side of a position; and the rest.

    >>> now = datetime.min
    >>> some, rest = portion([(n, 30_000, now, now, xid) for n, xid in enumerate((5, 5, 5, 6, 7))], 6)
    >>> [batch[0] for batch in some], [batch[0] for batch in rest]
    ([0, 1, 2], [3, 4])
    """
    rows = 0
    for place, (_, count, _, _, xid) in enumerate(batches):
        new = place and xid != batches[place - 1][4]
        if new and (rows >= PORTION_ROWS or (xid > border >= batches[0][4])):
            return batches[:place], batches[place:]
        rows += count
    return batches, []
