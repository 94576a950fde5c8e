"""Rows that late readings touched, made anew in passes, each over all families and widths."""

import time
from collections.abc import Iterator

import psycopg

from analytics.rollup.late import PIECE, remake
from analytics.rollup.rolling import Rolling

# A pass costs by the statement, one for each bucket of a family and width, and by the row, each of which is made from
# all readings of its bucket, however few of them came late. Who catches up touches the same rows again and again. So
# the next pass waits for a multiple of what the last one took: after a short one hardly at all.
PAUSES, LONGEST_PAUSE_S = 4.0, 300.0
MOST_PIECES = 20  # of a family and width in a pass: where rows are touched as fast as they are made anew, others wait


class Remaking:
    """`pauses`: how many times as long as a pass took the next one waits."""

    def __init__(self, pauses: float = PAUSES) -> None:
        self._pauses = pauses
        self._noted: set[Rolling] = set()
        self._left: list[Rolling] = []  # of a pass, from the last one on
        self._pieces = 0  # of the one whose turn it is
        self._took_s = 0.0
        self._next = 0.0

    def note(self, rolling: Rolling) -> None:
        """Rows were touched, or those that are can be made anew now."""
        self._noted.add(rolling)

    def go_on(self, connection: psycopg.Connection, deadline: float) -> Iterator[Rolling]:
        """Begin a pass, where one is due, or go on with it, until the deadline and at least a piece; what is made anew.

        Hours come before days: when those of a family are through, none of them is touched until more is taken.
        """
        began = time.monotonic()
        if not self._left and began >= self._next:
            self._left = sorted(self._noted, key=lambda one: (one.width.seconds, one.family.name), reverse=True)
            self._noted = set()
        if not self._left:
            return
        while self._left:
            rolling = self._left[-1]
            yield rolling
            self._count(remake(connection, rolling.fresh, rolling.family, rolling.width, rolling.until))
            if time.monotonic() >= deadline:
                break
        self._took_s += time.monotonic() - began
        if not self._left:
            self._next = time.monotonic() + min(self._pauses * self._took_s, LONGEST_PAUSE_S)
            self._took_s = 0.0

    def _count(self, rows: int) -> None:
        """Of the family and width whose turn it is so many rows were made anew: it is through, or goes on."""
        self._pieces += 1
        if rows == PIECE and self._pieces < MOST_PIECES:
            return
        through, self._pieces = self._left.pop(), 0
        if rows == PIECE:
            self._noted.add(through)
