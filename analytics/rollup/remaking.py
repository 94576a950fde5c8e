"""Rows that late readings touched, made anew: in passes, each over all families and widths, a piece at a time."""

import time
from collections.abc import Iterator, Sequence

import psycopg

from analytics.beside import Here, Job, Piece
from analytics.rollup.late import PIECE, Due, remake
from analytics.rollup.rolling import Rolling


class Remaking:
    """What was touched, and the pass that is under way."""

    def __init__(self) -> None:
        self._hands = Here()
        self._touched: set[Rolling] = set()
        self._pass: Sequence[Rolling] = ()
        self._job: Job | None = None
        self._began_us = self.through_us = 0

    def note(self, rolling: Rolling) -> None:
        """Rows were touched, or those that are can be made anew now."""
        self._touched.add(rolling)

    def tick(self, connection: psycopg.Connection, now_us: int, deadline: float) -> Sequence[Rolling]:
        """Begin a pass or go on with it, a piece at least; returns what has been gone through when it ends, and then
        `through_us` says that all is made anew that was touched by then.

        What the caller noted before is committed by now, and so is the border as it stands.
        """
        if not self._job and self._touched:
            self._began_us = now_us
            self._begin(connection)
        while self._hands.step(connection) and time.monotonic() < deadline:
            pass
        if not self._job or not self._job.done.is_set():
            return ()
        self._job, self.through_us = None, self._began_us
        return self._pass

    def _begin(self, connection: psycopg.Connection) -> None:
        """Hours before days, which may ask for them."""
        row = connection.execute("select pg_current_xact_id()::text").fetchone()
        assert row is not None  # a function always gives a row
        self._pass = sorted(self._touched, key=lambda rolling: (rolling.width.seconds, rolling.family.name))
        self._touched = set()
        due = [Due(rolling.fresh, rolling.until, row[0]) for rolling in self._pass]
        self._job = self._hands.give(Job(self._pieces(due)))

    def _pieces(self, some: Sequence[Due]) -> Iterator[Piece]:
        for due in some:
            made = PIECE

            def piece(connection: psycopg.Connection, due: Due = due) -> None:
                nonlocal made
                made = remake(connection, due)

            while made == PIECE:
                yield piece
