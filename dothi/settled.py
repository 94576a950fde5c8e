"""How many readings were settled since somebody began to watch, by the ledger: exact, however few of them are shown."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

Connection = psycopg.Connection[Any]

OPEN = timedelta(minutes=5)
"""So old a minute of the ledger is summed up for good; what changes later (a replay) is none of the watcher's."""
LEDGER = """
select coalesce(sum(stored) filter (where minute < %(floor)s), 0)::bigint,
       coalesce(sum(partial) filter (where minute < %(floor)s), 0)::bigint,
       coalesce(sum(quarantined) filter (where minute < %(floor)s), 0)::bigint,
       coalesce(sum(stored), 0)::bigint, coalesce(sum(partial), 0)::bigint, coalesce(sum(quarantined), 0)::bigint
from ops.ledger where minute >= %(from)s
"""


class Counts(NamedTuple):
    """Readings: `stored` with those that were `partial`, and `quarantined`."""

    stored: int = 0
    partial: int = 0
    quarantined: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(one + more for one, more in zip(self, other, strict=True)))

    def minus(self, other: "Counts") -> "Counts":
        """What is more than the other has; nothing is less than nothing."""
        return Counts(*(max(one - less, 0) for one, less in zip(self, other, strict=True)))


class Settled:
    """Counts since it was made."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._from = minute_of(now - OPEN)
        self._closed = Counts()
        self._before = Counts()
        self._before = self.look(now)

    def look(self, now: datetime) -> Counts:
        """Settled since it was made; `now`: the database's clock."""
        floor = minute_of(now - OPEN)
        row = self._connection.execute(LEDGER, {"floor": floor, "from": self._from}).fetchone()
        assert row is not None  # an aggregate always gives a row
        came = self._closed.plus(Counts(*row[3:]))
        self._closed, self._from = self._closed.plus(Counts(*row[:3])), max(floor, self._from)
        return came.minus(self._before)


def minute_of(when: datetime) -> datetime:
    """Its beginning."""
    return when.replace(second=0, microsecond=0)
