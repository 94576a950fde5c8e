"""How full the disk is, when it will be, and saying so while there is still room to act."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from ingest.chunks import chunks
from ingest.retention import Kept, going, tables

LEAST_DAYS = 3.0
LEAST_SHARE = 0.05
LEAST_WINDOW_S = 600.0
WINDOW_S = 86_400.0
DAY_S = 86_400.0

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
    """How fast the free space shrinks, from what was seen of it in the last day. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._given_back: deque[tuple[float, int]] = deque()

    def see(self, now: float, free: int) -> None:
        """The disk has so many bytes free now."""
        self._seen.append((now, free))
        while self._seen[-1][0] - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    def give_back(self, now: float, size: int) -> None:
        """Retention has just freed so many bytes."""
        self._given_back.append((now, size))

    def per_day(self) -> float | None:
        """Bytes that a day adds, before retention; None as long as too little was seen."""
        (began, free_then), (now, free) = self._seen[0], self._seen[-1]
        while self._given_back and self._given_back[0][0] < began:
            self._given_back.popleft()
        if now - began < LEAST_WINDOW_S:
            return None
        return (free_then - free + sum(size for _, size in self._given_back)) * DAY_S / (now - began)


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
