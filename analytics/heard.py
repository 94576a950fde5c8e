"""Who was heard for the first time: devices of which a reading is stored become active, many at once."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import psycopg
import structlog
from psycopg import sql

from analytics.beside import Beside, Here, Job, Piece
from analytics.columns import Columns
from analytics.newest_rows import newest_table
from devices.family import FAMILIES

log = structlog.get_logger("analytics.heard")

STEP = 50_000
EVERY = timedelta(seconds=1)
HEARS = 13  # number of hands, apart from the other hands of an analyst
MANY = 0.1  # of a range: where so many were heard, the next one is not waited for
BUSY = "set local lock_timeout = '100ms'"
WAITING = """
select coalesce((select max(id) from registry.device), 0), array(
    select distinct p.family from registry.device_count c join registry.profile p on p.id = c.profile
    where c.state in ('planned', 'enrolled') and c.devices > 0)
"""
# A device that was brought back is heard when a reading comes after that, not by those before.
FIRST = """
select d.id from registry.device d join {newest} n on n.device = d.id
where d.id >= {low} and d.id < {high} and n.device >= {low} and n.device < {high} and d.family = {family}
and d.state in ('planned', 'enrolled')
and not exists (select from registry.history h where h.device = d.id and h.since > n.received)
"""


class Heard:
    """Follower: goes through the registry a range of ids at a time, and rests while nobody waits to be heard.

    `beside`: whether a connection of its own does it; else the caller's. That it is done twice changes nothing.
    """

    name = "heard"

    def __init__(self, step: int = STEP, beside: bool = False) -> None:
        self._step = step
        self._beside = beside
        self._hands: Beside | Here = Here()
        self._job: Job | None = None
        self._low = 0
        self._activated = 0
        self._next: datetime | None = None

    def reset(self, connection: psycopg.Connection) -> None:
        """Begin with the first device."""
        self._hands.close()
        self._hands = Beside(connection, HEARS) if self._beside else Here()
        self._low, self._next, self._job = 0, None, None

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Newest values say who was heard."""

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Look at the next range, and at those after it as long as many are heard."""
        if (not self._next or now >= self._next) and (not self._job or self._job.done.is_set()):
            self._next = now + EVERY
            self._job = self._begun(connection)
        self._hands.step(connection)

    def _begun(self, connection: psycopg.Connection) -> Job | None:
        row = connection.execute(WAITING).fetchone()
        highest, waiting = row or (0, [])
        if not waiting or self._low > highest:
            self._low = 0
        return self._hands.give(Job(self._ranges(waiting, highest))) if waiting else None

    def _ranges(self, waiting: list[str], highest: int) -> Iterator[Piece]:
        many = True
        while many and self._low <= highest:
            yield partial(self._look, waiting)
            many = self._activated >= MANY * self._step

    def _look(self, waiting: list[str], connection: psycopg.Connection) -> None:
        """One range. While an enrolment holds the registry the same range comes again."""
        self._activated = 0
        try:
            with connection.transaction():
                connection.execute(BUSY)
                self._activated = activate(connection, waiting, self._low, self._low + self._step)
        except psycopg.errors.LockNotAvailable:
            return
        self._low += self._step
        if self._activated:
            log.info("devices were heard for the first time", devices=self._activated)


def activate(connection: psycopg.Connection, families: list[str], low: int, high: int) -> int:
    """Of these families and of ids from `low` to below `high`: how many that waited to be heard became active."""
    each = [
        sql.SQL(FIRST).format(
            newest=newest_table(family, True), low=sql.Literal(low), high=sql.Literal(high), family=family.name
        )
        for family in FAMILIES.values()
        if family.name in families
    ]
    if not each:
        return 0
    heard = [device for (device,) in connection.execute(sql.SQL(" union all ").join(each))]
    if not heard:
        return 0
    row = connection.execute("select registry.activate(%s)", (heard,)).fetchone()
    assert row is not None  # a select of a function always gives a row
    return int(row[0])
