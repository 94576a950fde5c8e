"""Rows that late readings touched, made anew beside the stream: in passes, each over all families and widths."""

import time
from collections.abc import Iterator, Sequence

import psycopg

from analytics.beside import Beside, Here, Job, Piece
from analytics.rollup.late import PIECE, Due, remake
from analytics.rollup.rolling import Rolling

# A pass costs by the statement, one for each bucket of a family and width, and by row, each of which is made from all
# readings of its bucket, however few of them came late. Who catches up touches the same rows again and again. So the
# next pass waits for a multiple of what the last one took: after a short one hardly at all.
PAUSES, LONGEST_PAUSE_S = 4.0, 300.0


class Remaking:
    """`hands`: who does it, nobody else's work; where it is the caller there is no pause."""

    def __init__(self, hands: Beside | Here) -> None:
        self.hands = hands
        self._touched: set[Rolling] = set()
        self._pass: Sequence[Rolling] = ()
        self._job: Job | None = None
        self._next = 0.0
        self._began_us = self.through_us = 0

    def note(self, rolling: Rolling) -> None:
        """Rows were touched, or those that are can be made anew now."""
        self._touched.add(rolling)

    def tick(self, connection: psycopg.Connection, now_us: int, deadline: float) -> Sequence[Rolling]:
        """Begin a pass, where one is due, or go on with it; returns what has been gone through when it ends, and then
        `through_us` says that all is made anew that was touched by then.

        What the caller noted before is committed by now, and so is the border as it stands.
        """
        if not self._job and self._touched and time.monotonic() >= self._next:
            self._began_us = now_us
            self._begin(connection)
        while self.hands.step(connection) and time.monotonic() < deadline:
            pass
        if not self._job or not self._job.done.is_set():
            return ()
        self._job, self.through_us = None, self._began_us
        return self._pass

    def hurry(self) -> None:
        """Somebody waits for the next pass."""
        self._next = 0.0

    def _begin(self, connection: psycopg.Connection) -> None:
        """Hours before days, which may ask for them."""
        row = connection.execute("select pg_current_xact_id()::text").fetchone()
        assert row is not None  # a function always gives a row
        self._pass = sorted(self._touched, key=lambda rolling: (rolling.width.seconds, rolling.family.name))
        self._touched = set()
        due = [Due(rolling.fresh, rolling.until, row[0]) for rolling in self._pass]
        self._job = self.hands.give(Job(self._pieces(due)))

    def _pieces(self, some: Sequence[Due]) -> Iterator[Piece]:
        began = time.monotonic()
        for due in some:
            made = PIECE

            def piece(connection: psycopg.Connection, due: Due = due) -> None:
                nonlocal made
                made = remake(connection, due)

            while made == PIECE:
                yield piece
        if isinstance(self.hands, Beside):
            now = time.monotonic()
            self._next = now + min(PAUSES * (now - began), LONGEST_PAUSE_S)
