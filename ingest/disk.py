"""How full the disk is, when it will be, and saying so while there is still room to act."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from ingest.chunks import chunks
from ingest.retention import Kept, going, tables

LEAST_DAYS = 3.0
LEAST_SHARE = 0.05
HOUR_S = 3_600.0
DAY_S = 86_400.0
LEAST_SEEN_S = 6 * HOUR_S
"""Nothing is foretold from less."""

MAY_SEE_LOG = "select has_function_privilege('pg_catalog.pg_ls_waldir()', 'execute')"
LOG = """
select least(coalesce(sum(size), 0), pg_size_bytes(current_setting('max_wal_size')))::int8
from pg_catalog.pg_ls_waldir()
"""

Connection = psycopg.Connection[Any]


class Disk(NamedTuple):
    """The disk as it is, in bytes. `net_per_day`: what a day adds beyond what retention gives back; None: not known."""

    free: int
    total: int
    net_per_day: float | None

    @property
    def days_left(self) -> float | None:
        """Days until it is full; None when it does not fill, or too little was seen of it."""
        return self.free / self.net_per_day if self.net_per_day and self.net_per_day > 0 else None

    @property
    def trouble(self) -> str | None:
        """Why somebody has to act, in one line; None: nobody has to."""
        if self.days_left is not None and self.days_left < LEAST_DAYS:
            return f"the disk is full in {self.days_left:.1f} days: {self.free / 1e9:.1f} GB are free"
        if self.free < LEAST_SHARE * self.total:
            return f"the disk is almost full: {self.free / 1e9:.1f} of {self.total / 1e9:.0f} GB are free"
        return None


class Slope:
    """How fast the disk fills, from a look each hour. Times are monotonic seconds.

    Foretold is what goes on, not what happened once: a load, a restore or a backup of some hours ends. So it is what
    most hours of the last day brought, at most what came in all of it; or what each of the last two days brought.
    """

    def __init__(self) -> None:
        self._hours: deque[tuple[float, int]] = deque()
        self._newest = (0.0, 0)
        self._given_back: deque[tuple[float, int]] = deque()

    def see(self, now: float, free: int, log: int = 0) -> None:
        """The disk has so many bytes free now, beside a `log` that is rewritten and not added to."""
        self._newest = (now, free + log)
        if not self._hours or now - self._hours[-1][0] >= HOUR_S:
            self._hours.append(self._newest)
        while len(self._hours) > 1 and now - self._hours[1][0] >= 2 * DAY_S:
            self._hours.popleft()
        while self._given_back and self._given_back[0][0] < self._hours[0][0]:
            self._given_back.popleft()

    def give_back(self, now: float, size: int) -> None:
        """Retention has just freed so many bytes."""
        self._given_back.append((now, size))

    def per_day(self) -> float | None:
        """Bytes that a day adds, before retention; None as long as too little was seen."""
        now = self._newest[0]
        if now - self._hours[0][0] < LEAST_SEEN_S:
            return None
        day = self._since(now - DAY_S)
        going_on = min(median(self._rate(*pair) for pair in pairwise(day)), self._rate(day[0], day[-1]))
        if now - self._hours[0][0] < 2 * DAY_S:
            return going_on
        return max(going_on, min(self._rate(day[0], day[-1]), self._rate(self._hours[0], day[0])))

    def _since(self, begin: float) -> list[tuple[float, int]]:
        """What was seen from then on, or from a little before."""
        before = [one for one in self._hours if one[0] <= begin][-1:]
        later = [one for one in self._hours if begin < one[0] < self._newest[0]]
        return [*before, *later, self._newest]

    def _rate(self, begin: tuple[float, int], end: tuple[float, int]) -> float:
        """Bytes a day that came from one look to another."""
        back = sum(size for at, size in self._given_back if begin[0] <= at < end[0])
        return (begin[1] - end[1] + back) * DAY_S / (end[0] - begin[0])


def log_bytes(connection: Connection) -> int:
    """Bytes of the write-ahead log, up to those that the server keeps for it anyway; 0 where we may not ask."""
    if connection.execute(MAY_SEE_LOG).fetchone() != (True,):
        return 0
    row = connection.execute(LOG).fetchone()
    assert row is not None  # sums have a row
    return int(row[0])


def stored_bytes(connection: Connection) -> dict[str, int]:
    """Bytes with indexes of every hypertable of readings, rollups and quarantine, by its name."""
    return {
        name: sum(chunk.bytes for chunk in chunks(connection, table, schema))
        for schema, table, name in tables(connection)
    }


def leaving_per_day(connection: Connection, kept: Kept, now: datetime) -> int:
    """Bytes of the chunks that retention gives back within a day."""
    return sum(one.chunk.bytes for one in going(connection, kept, now + timedelta(days=1)))


def warn(connection: Connection, kind: str, message: str, detail: Mapping[str, object]) -> bool:
    """Note a warning as ops.event unless the same kind was noted within a day; whether it was."""
    noted = connection.execute(
        "insert into ops.event (kind, severity, message, detail) select %(kind)s, 'warning', %(message)s, %(detail)s"
        " where not exists (select from ops.event where kind = %(kind)s and time > now() - interval '1 day')",
        {"kind": kind, "message": message, "detail": Jsonb(dict(detail))},
    )
    return noted.rowcount > 0
