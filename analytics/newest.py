"""The newest reading of every device, kept in rollup.newest_<family>; see docs/decisions/0008-newest-values.md.

While a rebuild is under way its rows go to rollup.next_<family>, which no view reads.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import numpy as np
import numpy.typing as npt
import psycopg
import structlog
from psycopg import sql

from analytics.beside import Beside, Job, Piece
from analytics.columns import Columns
from analytics.consume import CONSUMER, Taken
from analytics.newest_rows import (
    highest_device,
    insert,
    known_devices,
    listed,
    newest_columns,
    newest_table,
    rebuild,
    update,
)
from devices.family import FAMILIES

log = structlog.get_logger("analytics.newest")

STEP = 5_000  # devices
STEPS_FOR_S = 2.0
FEW = 50_000  # devices that are rebuilt within a moment
TOLD_EVERY_S = 10.0
# The planner knows nothing of rows that have just come and would scan the whole table: a lookup for each is right.
BY_KEY = "set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_seqscan = off"
ANYHOW = "reset enable_hashjoin; reset enable_mergejoin; reset enable_seqscan"
REBUILDS, TAKES = 1, 20  # numbers of hands, apart from the other hands of an analyst
# The newest chunk that has anything of a device ends its look-up; without this all chunks are asked (0.1 against 1 ms a
# device with 95 chunks).
IN_ORDER = "set local timescaledb.enable_chunk_append = on"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FAMILIES_OF = "select distinct family from registry.device where id >= %s and id < %s"
AS_OF = """
update rollup.newest_state set as_of = least(now(), (
    select b.committed from ops.batch b
    where b.xid > coalesce((select c.xid from ops.consumer c where c.consumer = %s), '0') order by b.xid limit 1))
"""


class Taker:
    """A connection that takes over what it is given; `rows`: how much of this round."""

    def __init__(self, hands: Beside) -> None:
        self.hands = hands
        self.rows = 0
        self._job: Job | None = None

    def give(self, piece: Piece, rows: int) -> None:
        """One more family."""
        self.rows += rows
        self._job = self.hands.give(Job(iter([piece])))

    def wait(self, connection: psycopg.Connection) -> None:
        """Until the last one is done."""
        if self._job:
            self.hands.wait(self._job, connection)
        self._job, self.rows = None, 0


class Newest:
    """Follower: takes a reading over where it is newer, by (time, seq), than what is kept.

    To take it over twice changes nothing. So it is done on connections of its own, by several families at a time, and
    is committed before the position that says so; what came in between is done again after a failure.
    """

    name = "newest"

    def __init__(self, step: int = STEP, beside: int = 0, consumer: str = CONSUMER) -> None:
        """`beside`: how many further connections take over, and as many rebuild; 0: the caller's does both, for a
        moment in each tick; `consumer`: the name under which the caller takes batches."""
        self._consumer = consumer
        self._step = step
        self._beside = beside
        self._hands: list[Beside] = []
        self._jobs: list[Job] = []
        self._takers: list[Taker] = []
        self._complete = False
        self._next = 0
        self._told = 0.0
        self._known: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)  # by registry id: whether there is a row

    def reset(self, connection: psycopg.Connection) -> None:
        """Know which devices have a row; begin a rebuild where there is no word of one."""
        self._leave()
        for taker in self._takers:
            taker.hands.close()
        self._takers = [Taker(Beside(connection, TAKES + number)) for number in range(self._beside)]
        row = connection.execute("select next, complete from rollup.newest_state").fetchone()
        self._next, self._complete = row or (0, False)
        if row is None:
            begin_rebuild(connection)
        self._known = known_devices(connection, self._complete)

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Insert devices that have no row yet, then take over what is newer."""
        strangers = self._strangers(columns)
        self._known[strangers] = True
        piece = partial(take_over, together(columns), strangers.tolist(), self._complete)
        if self._takers:
            min(self._takers, key=lambda taker: taker.rows).give(piece, len(columns.device))
        else:
            piece(connection)

    def settle(self, connection: psycopg.Connection) -> None:
        """Wait until all that was given is taken over and committed. Raises what failed."""
        for taker in self._takers:
            taker.wait(connection)

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """Say how fresh the tables are; or rebuild for a moment."""
        if self._complete:
            connection.execute(AS_OF, (self._consumer,))
            return
        highest = highest_device(connection)
        if self._hands or (self._beside and highest > FEW):
            self._rebuild_beside(connection, highest)
            return
        until = time.monotonic() + STEPS_FOR_S
        while not self._complete and time.monotonic() < until:
            self.rebuild_step(connection)

    def _strangers(self, columns: Columns) -> npt.NDArray[np.integer]:
        """Devices of these rows that have no row of their own yet."""
        highest = int(columns.device.max())
        if highest >= len(self._known):
            self._known = np.pad(self._known, (0, highest + 1 + highest // 8 - len(self._known)))
        return np.unique(columns.device[~self._known[columns.device]])

    def rebuild_step(self, connection: psycopg.Connection) -> None:
        """One step; the last one puts everything into place at once."""
        highest = highest_device(connection)
        if self._next > highest:
            self._finish(connection)
            return
        self._rebuild_from(connection, self._next)
        self._next += self._step
        connection.execute("update rollup.newest_state set next = %s", (self._next,))
        self._tell(highest)

    def _rebuild_from(self, connection: psycopg.Connection, first: int) -> None:
        connection.execute(IN_ORDER)
        some = first, first + self._step
        for (name,) in connection.execute(FAMILIES_OF, some).fetchall():
            if name in FAMILIES:
                connection.execute(rebuild(FAMILIES[name]), some)

    def _rebuild_beside(self, connection: psycopg.Connection, highest: int) -> None:
        """Let others rebuild while rounds go on. It begins anew with a new process: what is there does no harm."""
        if not self._hands:
            starts = count(0, self._step)
            self._hands = [Beside(connection, REBUILDS + number) for number in range(self._beside)]
            self._jobs = [hands.give(Job(self._pieces(starts, highest))) for hands in self._hands]
        for hands in self._hands:
            hands.step(connection)
        if all(job.done.is_set() for job in self._jobs):
            self._leave()
            self._finish(connection)
        else:
            self._tell(highest)

    def _pieces(self, starts: Iterator[int], highest: int) -> Iterator[Piece]:
        """Ranges of devices that nobody else has begun. Whoever is enrolled later comes with the rounds."""
        while (first := next(starts)) <= highest:
            self._next = first
            yield partial(self._piece, first)

    def _piece(self, first: int, connection: psycopg.Connection) -> None:
        # A round and we may insert the same devices: before they wait for each other we begin again.
        connection.execute("set local lock_timeout = '300ms'")
        self._rebuild_from(connection, first)

    def _leave(self) -> None:
        """Nobody rebuilds any more."""
        for hands in self._hands:
            hands.close()
        self._hands, self._jobs = [], []

    def _tell(self, highest: int) -> None:
        if time.monotonic() - self._told > TOLD_EVERY_S:
            self._told = time.monotonic()
            log.info("newest values are being rebuilt", devices=min(self._next, highest), of=highest)

    def _finish(self, connection: psycopg.Connection) -> None:
        for family in FAMILIES.values():
            names = listed(map(sql.Identifier, newest_columns(family)))
            move = sql.SQL("insert into {} ({names}) select {names} from {}").format(
                newest_table(family, True), newest_table(family, False), names=names
            )
            connection.execute(move)
            connection.execute(sql.SQL("truncate {}").format(newest_table(family, False)))
        connection.execute("update rollup.newest_state set complete = true")
        connection.execute(AS_OF, (self._consumer,))
        self._known = known_devices(connection, True)
        self._complete = True
        log.info("newest values are complete", devices=int(self._known.sum()))


def take_over(taken: Taken, strangers: list[int], complete: bool, connection: psycopg.Connection) -> None:
    """Insert devices that have no row yet, then take over what is newer."""
    connection.execute(BY_KEY)
    if strangers:
        connection.execute(insert(taken, complete), (strangers,))
    connection.execute(update(taken, complete))
    connection.execute(ANYHOW)


def begin_rebuild(connection: psycopg.Connection) -> None:
    """Empty tables, and a mark that says so."""
    for family in FAMILIES.values():
        for complete in (True, False):
            connection.execute(sql.SQL("delete from {}").format(newest_table(family, complete)))
    connection.execute("insert into rollup.newest_state (next, complete) values (0, false)")
    log.info("newest values: rebuild begins; until it ends the views ask the readings")


def together(columns: Columns) -> Taken:
    """The batches that columns are, to be found again."""
    bounds = (EPOCH + timedelta(microseconds=int(edge)) for edge in (columns.time.min(), columns.time.max()))
    return Taken(columns.family, columns.batches, len(columns.device), *bounds)
