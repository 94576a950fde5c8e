"""Rows that late readings touched, made anew in passes, each over all families and widths."""

import time
from collections.abc import Callable, Iterator

import psycopg

from analytics.rollup.rolling import Rolling

# A pass costs by the statement, one for each bucket of a family and width and for each hour of late readings, and by
# the row, which is made from all readings of its bucket, however few came late. Who catches up touches the same rows
# again and again. So the next pass waits for a multiple of what the last one took: after a short one hardly at all.
# Longer and longer ones get more of the time, one that left rows behind has no pause: days wait for touched hours.
PAUSES, LONGEST_PAUSE_S = 4.0, 100.0
# A piece has so many rows as take about half a second by the pace of the one before.
PIECE_S, LEAST, PIECE = 0.5, 200, 5000
MOST_PIECES = 20  # of a family and width in a pass: where rows are touched as fast as they are made anew, others wait


class Remaking:
    """`piece`: makes so many rows of a family and width anew, and says how many there were; `pauses`: how many times as
    long as a pass took the next one waits."""

    def __init__(self, piece: Callable[[psycopg.Connection, Rolling, int], int], pauses: float = PAUSES) -> None:
        self._piece = piece
        self._most = PIECE
        self._pauses = pauses
        self._noted: set[Rolling] = set()
        self._left: list[Rolling] = []  # of a pass, from the last one on
        self._pieces = 0  # of the one whose turn it is
        self._took_s = 0.0
        self._behind = False  # whether the pass left rows that it might have made
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
            self._make_anew(connection, rolling)
            if time.monotonic() >= deadline:
                break
        self._took_s += time.monotonic() - began
        if not self._left:
            pause_s = 0.0 if self._behind else min(self._pauses * self._took_s, LONGEST_PAUSE_S)
            self._next = time.monotonic() + pause_s
            self._took_s, self._behind = 0.0, False

    def _make_anew(self, connection: psycopg.Connection, rolling: Rolling) -> None:
        """A piece of the family and width whose turn it is, which then is through, or goes on."""
        began, most = time.monotonic(), self._most
        rows = self._piece(connection, rolling, most)
        self._pieces += 1
        if rows:
            self._most = fitting(rows, time.monotonic() - began)
        if rows < most or self._pieces >= MOST_PIECES:
            self._left.pop()
            self._pieces = 0
        if rows >= most and not self._pieces:
            self._noted.add(rolling)
            self._behind = True


def fitting(rows: int, took_s: float) -> int:
    """How many rows a piece may have, by the pace of one.

    >>> fitting(5000, 50.0), fitting(400, 0.25), fitting(3, 0.001)
    (200, 800, 1500)
    """
    return round(min(max(rows * PIECE_S / max(took_s, 1e-6), LEAST), PIECE))
