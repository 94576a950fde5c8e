"""What an index over time is, and which buckets of rollups it has still to take in.

A new one is a module of this folder with a class in its `INDICES`: formulas are in analytics/indices, tables and views
in a migration.
"""

from datetime import UTC, datetime, timedelta
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import psycopg

from analytics.columns import Columns
from analytics.rollup.width import Width


@runtime_checkable
class Hearing(Protocol):
    """An index that is due when readings of a family have come: it is given them, inside the round that takes them."""

    hears: ClassVar[str]

    def hear(self, columns: Columns) -> None:
        """Remember who spoke; nothing else, for the stream waits."""
        ...


class Index(Protocol):
    """Something that is reckoned when it is due. Made without arguments; `name`: a word, unique. One that keeps rows of
    rollup.finding itself names their detectors in `finds`; the engine of detectors leaves these alone."""

    name: ClassVar[str]

    def due(self, now: datetime) -> bool:
        """Whether to reckon; asked about once a second, so it only looks at the clock. `now` is in UTC."""
        ...

    def make(self, connection: psycopg.Connection, now: datetime) -> bool | None:
        """Reckon and write, in a transaction of its own on a connection beside the stream. The stream waits for whoever
        has written and not committed: after a second or so return True, that more is waiting, and it is called again.

        What fails is rolled back, said, and tried again after a while.
        """
        ...


class Every:
    """When something is due that is made at fixed distances, the first time at once.

    >>> each = Every(timedelta(minutes=5))
    >>> [each.passed(datetime(2026, 1, 1, 0, minute, tzinfo=UTC)) for minute in (0, 1, 5, 6)]
    [True, False, True, False]
    """

    def __init__(self, distance: timedelta) -> None:
        self._distance = distance
        self._last: datetime | None = None

    def passed(self, now: datetime) -> bool:
        """Whether the distance is over; then it begins again. A clock that was put back does not hold it up."""
        if self._last and timedelta(0) <= now - self._last < self._distance:
            return False
        self._last = now
        return True


class Fresh(NamedTuple):
    """Begins of buckets: `closed` since the last look, and `remade` ones, that had been taken in before, each in order.
    `more`: there are further ones behind `closed`."""

    closed: list[datetime]
    remade: list[datetime]
    more: bool = False


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATE = "select until, xid::text from rollup.bulletin where name = %s and family = %s and width = %s"
CLOSED = "select until from rollup.closed where family = %s and width = %s"
REMADE = """
select bucket from rollup.remade where family = %s and width = %s and xid >= %s::xid8 and bucket >= %s and bucket < %s
order by bucket
"""
KEEP = """
insert into rollup.bulletin (name, family, width, until, xid)
values (%s, %s, %s, %s, pg_snapshot_xmin(pg_current_snapshot()))
on conflict (name, family, width) do update set (until, xid) = (excluded.until, excluded.xid)
"""


def fresh_buckets(
    connection: psycopg.Connection, name: str, family: str, width: Width, reach: timedelta, most: int = 200
) -> Fresh:
    """Which buckets of rollup.<family>_<width> an index has to take in; with the caller's transaction it has.

    The first time it begins `reach` before what is closed; later ones that are made anew and older than that are left
    alone. At most `most` closed ones at a time. A bucket may come again without having changed.
    """
    row = connection.execute(CLOSED, (family, width.name)).fetchone()
    if row is None:
        return Fresh([], [])
    until: datetime = row[0]
    since, xid = connection.execute(STATE, (name, family, width.name)).fetchone() or (until - reach, "0")
    begin = since if xid != "0" else start_of(width, since)
    known = (family, width.name, xid, until - reach, begin)
    again = connection.execute(REMADE, known).fetchall() if xid != "0" else []
    step = timedelta(seconds=width.seconds)
    closed = [begin + step * n for n in range(min(most, max(0, (until - begin) // step)))]
    taken = closed[-1] + step if closed else begin
    connection.execute(KEEP, (name, family, width.name, taken))
    return Fresh(closed, [bucket for (bucket,) in again], more=taken < until)


def start_of(width: Width, moment: datetime) -> datetime:
    """The begin of the bucket in which a moment lies."""
    return EPOCH + timedelta(microseconds=width.floor((moment - EPOCH) // timedelta(microseconds=1)))
