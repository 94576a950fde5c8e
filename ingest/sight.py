"""What can be known of a family's rows before they are copied: which keys come twice, which are stored already."""

from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from devices.family import FAMILIES
from ingest.batch import Columns
from ingest.recent import Recent, marks_of, repeats
from ingest.settle import LOOK_UP, Verdicts, bounds, keys_of, table_of

Found = tuple[Any, ...]  # place of the row, whether the stored one has no `extra`, its values
Values = npt.NDArray[np.float64]


class Sight:
    """Rows of one family whose key an earlier row has (`again`: that row) or that may be stored (`suspects`)."""

    def __init__(self, columns: Columns, recent: Recent) -> None:
        self.columns = columns
        self.marks = marks_of(columns)
        self.again = repeats(columns, self.marks)
        self.suspects: list[int] = np.flatnonzero(recent.seen(self.marks)).tolist()
        self._stored: dict[int, Found] = {}

    async def ask(self, connection: psycopg.AsyncConnection[Any]) -> psycopg.AsyncCursor[Any] | None:
        """Look the suspects up; None: there are none."""
        if not self.suspects:
            return None
        # Planned with the bounds as constants, so that only the chunks between them are looked at.
        return await connection.execute(
            look_up(self.columns.family.name),
            (*keys_of(self.columns, self.suspects), *bounds(self.columns, self.suspects)),
            prepare=False,
        )

    def hear(self, found: list[Found]) -> None:
        """What was found of the suspects."""
        self._stored = {self.suspects[place]: (place, *rest) for place, *rest in found}

    @property
    def free(self) -> npt.NDArray[np.intp] | None:
        """The rows to copy; None: all."""
        if not self.again and not self._stored:
            return None
        free = np.ones(len(self.columns), dtype=np.bool_)
        free[[*self.again, *self._stored]] = False
        return np.flatnonzero(free)

    def foreseen(self, verdicts: Verdicts) -> bool:
        """Whether all that was not stored could be known before."""
        known = {*self.suspects, *self.again}
        return not verdicts.refused and known.issuperset(chain(verdicts.duplicates, verdicts.conflicts))

    def judge(self) -> tuple[Verdicts, list[int]]:
        """Duplicates and conflicts, as far as numbers alone tell; and the rows of which the database must say."""
        rows = sorted({*self.again, *self._stored})
        if not rows:
            return Verdicts([], [], {}), []
        ours = self.columns.values
        others = np.array([list(self._other(row, ours)) for row in rows], dtype=np.float64)
        same = ((ours[rows] == others) | (np.isnan(ours[rows]) & np.isnan(others))).all(axis=1).tolist()
        plain = [self._plain(row) for row in rows]
        judged = [(row, equal) for row, equal, sure in zip(rows, same, plain, strict=True) if sure]
        unsure = [row for row, sure in zip(rows, plain, strict=True) if not sure]
        return Verdicts(
            [row for row, equal in judged if equal], [row for row, equal in judged if not equal], {}
        ), unsure

    def _other(self, row: int, ours: Values) -> Iterator[Any]:
        """The values under the same key."""
        first = self.again.get(row, row)
        yield from self._stored[first][2:] if first in self._stored else ours[first]

    def _plain(self, row: int) -> bool:
        """Whether neither of the two has anything but numbers."""
        first, extra = self.again.get(row, row), self.columns.table.extra
        ours = extra is None or extra[row] is None
        return ours and (self._stored[first][1] if first in self._stored else extra is None or extra[first] is None)


@cache
def look_up(family: str) -> bytes:
    """What is stored under keys: place of the key, whether there is no `extra`, the values."""
    values = sql.SQL(", ").join(sql.Identifier("r", name) for name in FAMILIES[family].index)
    return (
        sql.SQL(LOOK_UP)
        .format(sql.SQL("k.place::int - 1, r.extra is null, {}").format(values), table_of(family))
        .as_bytes(None)
    )
