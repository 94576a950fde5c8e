"""The follower that keeps rollups: adds up what streams in, closes buckets, makes anew what late readings touched.

A bucket is closed once, some seconds after its end. Gauges are added up in memory meanwhile; families with counters or
states are computed in the database, for the devices heard. After a restart memory lacks the beginning of the buckets
that are open: what was taken of them is read again (`again.py`). Whatever is large is done beside the stream.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import psycopg
import structlog

from analytics.beside import Beside, Here
from analytics.columns import Columns, FloatArray
from analytics.newest_rows import highest_device
from analytics.rollup.after import Border, waiting
from analytics.rollup.again import Again, BatchesAgain, HoursAgain, batches_taken
from analytics.rollup.closing import touched_within
from analytics.rollup.grid import Places
from analytics.rollup.intervals import Intervals
from analytics.rollup.late import remake, touch_after, touch_late, touched_since
from analytics.rollup.open_areas import OpenAreas
from analytics.rollup.remaking import PAUSES, Remaking
from analytics.rollup.rolling import Rolling
from analytics.rollup.shape import gauges_only
from analytics.rollup.width import DAY, HOUR, SECOND_US, WIDTHS
from devices.family import FAMILIES

log = structlog.get_logger("analytics.rollup")

GRACE_US = 15 * SECOND_US
# Each piece is some thousand devices of millions: they are looked up, the registry is not read as a whole for each.
PLANS = "set local enable_hashjoin = off; set local enable_mergejoin = off"


class Rollups:
    """Follower `rollups`. `consumer`: the name under which the caller takes batches; `budget_s`: work in one tick,
    so that other followers are not kept waiting; beyond it each family and width still gets one step ahead; `beside`:
    whether a second connection does what is large, or the caller's; `open_every_s`: how often at most the open buckets
    of areas are written; `pauses`: between the passes that make rows anew, as multiples of what one takes."""

    name = "rollups"

    def __init__(
        self,
        consumer: str = "analyst",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        budget_s: float = 2.0,
        beside: bool = True,
        open_every_s: float = 1.0,
        pauses: float = PAUSES,
    ) -> None:
        self.budget_s = budget_s
        self.hands: Beside | Here = Here()
        self._beside = beside
        self._open_every_s = open_every_s
        self._pauses = pauses
        self._consumer = consumer
        self._clock = clock
        self._rollings: dict[str, dict[str, Rolling]] = {}
        self._remaking = Remaking(self._make_anew, pauses)
        self._again: list[Again] = []
        self._open_areas: dict[str, OpenAreas] = {}
        self._intervals = Intervals()

    @property
    def nbytes(self) -> int:
        """Bytes that the sums of open buckets take."""
        return sum(rolling.nbytes for widths in self._rollings.values() for rolling in widths.values())

    def reset(self, connection: psycopg.Connection) -> None:
        """Forget the sums, look up to where buckets are closed; begin to read again what was taken of the others."""
        self.hands.close()
        self.hands = Beside(connection) if self._beside else Here()
        self._intervals = Intervals()
        now = microseconds(self._clock())
        places = {family: Places() for family in FAMILIES}
        self._rollings = {family: {} for family in FAMILIES}
        rows = connection.execute(
            "select family, width, (extract(epoch from until) * 1000000)::bigint from rollup.closed order by 1, 2 desc"
        )
        for family, name, until in rows.fetchall():
            if family in FAMILIES:
                self._rollings[family][name] = Rolling(FAMILIES[family], WIDTHS[name], until, now, places[family])
        self._remaking = Remaking(self._make_anew, self._pauses)
        for (family,) in connection.execute("select family from rollup.touched union select family from rollup.late"):
            for rolling in self._rollings.get(family, {}).values():
                self._remaking.note(rolling)
        self._again = [again for widths in self._rollings.values() for again in self._read_again(connection, widths)]
        for again in self._again:
            self.hands.give(again.job)
        self._open_areas = {
            family: OpenAreas(widths[HOUR.name], widths[DAY.name])
            for family, widths in self._rollings.items()
            if HOUR.name in widths and widths[HOUR.name].summing
        }

    def _read_again(self, connection: psycopg.Connection, widths: dict[str, Rolling]) -> Iterator[Again]:
        summing = [rolling for rolling in widths.values() if rolling.reading_again]
        batched = [rolling for rolling in summing if rolling.width is not DAY]
        if batched:
            since = min(rolling.again_from for rolling in batched)
            yield BatchesAgain(batched, batches_taken(connection, self._consumer, batched[0].family, since))
        for day in (rolling for rolling in summing if rolling.width is DAY):
            day.suspect(*touched_since(connection, day.family, HOUR, day.again_from))
            yield HoursAgain(day, widths[HOUR.name].until, highest_device(connection))

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Add rows to open buckets; note what they touch in closed ones."""
        now = microseconds(self._clock())
        widths = self._rollings[columns.family.name]
        if touch_late(connection, columns, borders(widths)):
            for rolling in widths.values():
                self._remaking.note(rolling)
        for rolling in widths.values():
            rows = np.arange(len(columns.time))
            if rolling.width is DAY and rolling.summing:
                # Days are added up from their hours as these close; only what came too late for its hour is left.
                rows = np.flatnonzero(HOUR.floors(columns.time) < widths[HOUR.name].frozen)
                if rolling.reading_again:  # whether what is read has them nobody knows
                    rolling.suspect(columns.device[rows], columns.time[rows])
                    continue
            rolling.take(columns, rows, now)
        self._stir(columns.family.name)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Make anew what was touched, then close what has ended, as far as the budget reaches."""
        deadline = time.monotonic() + self.budget_s
        connection.execute(PLANS)
        self._take_again(connection, deadline)
        for rolling in self._remaking.go_on(connection, deadline):
            self._stir(rolling.family.name)
        for widths in self._rollings.values():
            for rolling in sorted(widths.values(), key=lambda rolling: rolling.width.seconds):
                while self._advance(connection, rolling, microseconds(now)) and time.monotonic() < deadline:
                    pass
        for areas in self._open_areas.values():
            if areas.due(self._open_every_s):
                areas.write(connection, microseconds(now), self._interval_s(connection, areas.hour), self._open_every_s)

    def _make_anew(self, connection: psycopg.Connection, rolling: Rolling, most: int) -> int:
        """So many rows of those that late readings changed; how many it were."""
        looked_up = touch_after(connection, rolling.family, borders(self._rollings[rolling.family.name]), most)
        return max(looked_up, remake(connection, rolling.fresh, rolling.until, most))

    def _take_again(self, connection: psycopg.Connection, deadline: float) -> None:
        """Add what was read again."""
        while self._again and (self._add_again() or self.hands.step(connection)):
            if time.monotonic() >= deadline:
                break
        for again in self._again:
            self._stir(again.family)
        self._again = [again for again in self._again if not again.over]

    def _stir(self, family: str) -> None:
        """What is written of the family's open areas is no longer all."""
        if family in self._open_areas:
            self._open_areas[family].dirty = True

    def _add_again(self) -> bool:
        added = [again.take() for again in self._again]  # of each something
        return any(added)

    def _advance(self, connection: psycopg.Connection, rolling: Rolling, now: int) -> bool:
        """One step towards closing the next bucket; False when there is nothing to do yet."""
        job = rolling.closing
        if job is None:
            if now < rolling.ends + GRACE_US or not self._may_close(connection, rolling, now):
                return False
            self.hands.give(rolling.begin(connection, self._interval_s(connection, rolling)))
            return True
        if job.done.is_set():
            self._finish(connection, rolling)
            return True
        return self.hands.step(connection)

    def _interval_s(self, connection: psycopg.Connection, rolling: Rolling) -> FloatArray:
        """Seconds between two readings, by place."""
        if not rolling.summing:
            return np.zeros(0)
        self._intervals.follow(connection)
        return self._intervals.of(rolling.places.devices[: rolling.places.count])

    def _may_close(self, connection: psycopg.Connection, rolling: Rolling, now: int) -> bool:
        """Whether everything is taken that was there in time, and days have all their hours."""
        family, width = rolling.family, rolling.width
        if rolling.reading_again and rolling.keeps(rolling.until):
            return False
        if width is DAY and (
            self._rollings[family.name][HOUR.name].until < rolling.ends
            or waiting(connection, family)
            or touched_within(connection, family, HOUR, rolling.until, rolling.ends)
        ):
            return False
        behind = connection.execute(
            "select from ops.consumer c where c.consumer = %s and exists(select from ops.batch b where b.xid > c.xid "
            "and b.committed < now() - %s * interval '1 us')",  # by the server's clock, for the batch has its time
            (self._consumer, now - rolling.ends - GRACE_US),
        ).fetchone()
        return behind is None

    def _finish(self, connection: psycopg.Connection, rolling: Rolling) -> None:
        """Close the bucket; the hour's sums go into its day."""
        bucket = rolling.until
        whole = rolling.is_whole(bucket)
        grid = rolling.finish(connection)
        self._remaking.note(rolling)
        self._stir(rolling.family.name)
        if rolling.width is HOUR and gauges_only(rolling.family):
            day = self._rollings[rolling.family.name][DAY.name]
            start = DAY.floor(bucket)
            if not whole:
                day.doubt(start)
            elif grid and day.keeps(start):
                day.grid(start).merge(grid)


def borders(widths: dict[str, Rolling]) -> list[Border]:
    """Up to where buckets of each width are closed."""
    return [Border(rolling.width, rolling.frozen) for rolling in widths.values()]


def microseconds(time: datetime) -> int:
    """µs since 1970 UTC."""
    return round(time.timestamp() * SECOND_US)
