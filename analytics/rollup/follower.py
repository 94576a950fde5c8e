"""The follower that keeps rollups: adds up what streams in, closes buckets, makes anew what late readings touched.

A bucket is closed once, some seconds after its end. Gauges are added up in memory meanwhile; families with counters or
states are computed in the database, for the devices heard. After a restart memory lacks the beginning of the buckets
that are open: those are computed in the database too, from the readings of all devices of the family.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import psycopg
import structlog

from analytics.columns import Columns
from analytics.rollup.closing import touched_within
from analytics.rollup.grid import Places
from analytics.rollup.late import remake, touch_late
from analytics.rollup.rolling import Rolling
from analytics.rollup.shape import gauges_only
from analytics.rollup.width import DAY, HOUR, SECOND_US, WIDTHS
from devices.family import FAMILIES

log = structlog.get_logger("analytics.rollup")

GRACE_US = 20 * SECOND_US
AHEAD_US = 600 * SECOND_US  # no reading lies as far ahead of its receipt
# Each piece is some thousand devices of millions: they are looked up, the registry is not read as a whole for each.
PLANS = "set local enable_hashjoin = off; set local enable_mergejoin = off"


class Rollups:
    """Follower `rollups`. `consumer`: the name under which the caller takes batches; `budget_s`: work in one tick,
    so that other followers are not kept waiting; beyond it each family and width still gets one step ahead."""

    name = "rollups"

    def __init__(
        self,
        consumer: str = "analyst",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        budget_s: float = 2.0,
    ) -> None:
        self.budget_s = budget_s
        self._consumer = consumer
        self._clock = clock
        self._rollings: dict[str, dict[str, Rolling]] = {}
        self._pending: set[tuple[str, str]] = set()

    @property
    def nbytes(self) -> int:
        """Bytes that the sums of open buckets take."""
        return sum(rolling.nbytes for widths in self._rollings.values() for rolling in widths.values())

    def reset(self, connection: psycopg.Connection) -> None:
        """Forget the sums and look up to where buckets are closed."""
        now = microseconds(self._clock())
        places = {family: Places() for family in FAMILIES}
        self._rollings = {family: {} for family in FAMILIES}
        rows = connection.execute(
            "select family, width, (extract(epoch from until) * 1000000)::bigint from rollup.closed order by 1, 2 desc"
        )
        for family, name, until in rows.fetchall():
            if family in FAMILIES:
                width = WIDTHS[name]
                whole_from = width.floor(now + AHEAD_US) + width.us
                rolling = Rolling(FAMILIES[family], width, until, whole_from, places[family])
                self._rollings[family][name] = rolling
        self._pending = set(connection.execute("select distinct family, width from rollup.touched").fetchall())

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Add rows to open buckets; note what they touch in closed ones."""
        now = microseconds(self._clock())
        widths = self._rollings[columns.family.name]
        for rolling in widths.values():
            if touch_late(connection, columns, rolling.width, rolling.frozen):
                self._pending.add((columns.family.name, rolling.width.name))
            rows = np.arange(len(columns.time))
            if rolling.width is DAY and rolling.summing:
                # Days are added up from their hours as these close; only what came too late for its hour is left.
                rows = np.flatnonzero(HOUR.floors(columns.time) < widths[HOUR.name].frozen)
            rolling.take(columns, rows, now)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Make anew what was touched, then close what has ended, as far as the budget reaches."""
        deadline = time.monotonic() + self.budget_s
        connection.execute(PLANS)
        self._remake(connection, deadline)
        for widths in self._rollings.values():
            for rolling in sorted(widths.values(), key=lambda rolling: rolling.width.seconds):
                while self._advance(connection, rolling, microseconds(now)) and time.monotonic() < deadline:
                    pass

    def _remake(self, connection: psycopg.Connection, deadline: float) -> None:
        for family, width in sorted(self._pending, key=lambda pair: WIDTHS[pair[1]].seconds):
            rolling = self._rollings[family][width]
            while made := remake(connection, rolling.fresh, rolling.family, rolling.width, rolling.until):
                if time.monotonic() >= deadline:
                    break
            if not made:
                self._pending.discard((family, width))

    def _advance(self, connection: psycopg.Connection, rolling: Rolling, now: int) -> bool:
        """One step towards closing the next bucket; False when there is nothing to do yet."""
        if not rolling.closing:
            if now < rolling.ends + GRACE_US or not self._may_close(connection, rolling):
                return False
            rolling.begin(connection)
        if not rolling.step(connection):
            self._finish(connection, rolling)
        return True

    def _may_close(self, connection: psycopg.Connection, rolling: Rolling) -> bool:
        """Whether everything is taken that was there in time, and days have all their hours."""
        family, width = rolling.family, rolling.width
        if width is DAY and (
            self._rollings[family.name][HOUR.name].until < rolling.ends
            or touched_within(connection, family, HOUR, rolling.until, rolling.ends)
        ):
            return False
        behind = connection.execute(
            "select from ops.consumer c where c.consumer = %s and exists(select from ops.batch b where b.xid > c.xid "
            "and b.committed < timestamptz 'epoch' + %s * interval '1 us')",
            (self._consumer, rolling.ends + GRACE_US),
        ).fetchone()
        return behind is None

    def _finish(self, connection: psycopg.Connection, rolling: Rolling) -> None:
        """Close the bucket; the hour's sums go into its day."""
        bucket = rolling.until
        whole = rolling.is_whole(bucket)
        grid = rolling.finish(connection)
        self._pending.add((rolling.family.name, rolling.width.name))
        if rolling.width is HOUR and gauges_only(rolling.family):
            day = self._rollings[rolling.family.name][DAY.name]
            start = DAY.floor(bucket)
            if not whole:
                day.doubt(start)
            elif grid and day.is_whole(start):
                day.grid(start).merge(grid)


def microseconds(time: datetime) -> int:
    """µs since 1970 UTC."""
    return round(time.timestamp() * SECOND_US)
