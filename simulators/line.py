"""The messages of one gateway connection, from written to settled: what may be sent now, what came back, what is owed.

Pure: told what time it is, and that a connection was lost, it says which bytes to write. Messages are numbered in the
order in which they become due, and number and packet identifier go together, so that a PUBACK finds its message without
any search: number n has identifier n mod 65,535 + 1.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.draw import Floats, Ints
from simulators.messages import Messages
from simulators.packets import Packets
from simulators.spool import NO_ANSWER, NOT_SENT, Rows, never_sent
from simulators.tally import Tally
from simulators.wire import DUP, IDS

PATIENCE_S = 30.0
"""A message that waited longer than this to be sent is given up."""
WINDOW = 20_000
"""Messages of one connection that may wait for their PUBACK at the same time."""
MOST_WAITING = 200_000
"""Messages of one connection that are kept to be sent, due or written ahead: about 70 MB."""
MOST_AT_ONCE = 1_000
"""Messages that are handed to a socket at once."""


class Batch(NamedTuple):
    """All that is due before `until` (s since 1970) and after the batch before; by line, messages and their packets."""

    until: float
    parts: list[tuple[int, Messages, Packets]]


class Piece:
    """Messages written at once, and what became of each: `late`, `answer` in s, `code` as in the spool."""

    def __init__(self, messages: Messages, packets: Packets) -> None:
        self.messages, self.due, self.body = messages, messages.due, packets.body
        self.ids, self.ends, self.starts = packets.ids, packets.ends, np.concatenate(([0], packets.ends[:-1]))
        count = len(messages)
        self.late, self.answer = np.full(count, np.nan), np.full(count, np.nan)
        self.code = np.full(count, NOT_SENT, dtype=np.uint8)
        self.first, self.open, self.settled = 0, count, 0  # none of the first `settled` waits for an answer

    def __len__(self) -> int:
        return len(self.due)

    def number(self, first: int) -> None:
        """Give each packet its identifier; `first`: the number of the first message."""
        self.first = first
        ids = (first + np.arange(len(self))) % IDS + 1
        self.body[self.ids], self.body[self.ids + 1] = ids >> 8, ids & 255

    def packets(self, start: int, end: int) -> memoryview:
        """The bytes of packets one after another."""
        return self.body[self.starts[start] : self.ends[end - 1]].data

    def rows(self, count: int) -> Rows:
        """The first messages as the spool keeps them."""
        rows = never_sent(self.messages.take(slice(count)))
        rows["late"], rows["answer"], rows["code"] = self.late[:count], self.answer[:count], self.code[:count]
        return rows


class Line:
    """Messages on their way through one connection.

    `_head`: number of the next message to send. `_flying`: sent on the connection that stands and not answered.
    `_again`: numbers to send once more, because the connection was lost before they were answered.
    """

    def __init__(self, tally: Tally, window: int = WINDOW) -> None:
        self._tally, self._most, self._window = tally, window, min(window, IDS - 1)
        self._pieces: deque[Piece] = deque()
        self._done: list[Rows] = []
        self._head = self._next = self._flying = 0
        self._cut = np.inf
        self._again: Ints = np.empty(0, dtype=np.int64)

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits for a PUBACK."""
        return not self._flying and not len(self._again)

    @property
    def has_room(self) -> bool:
        """Whether at least half of the window is free."""
        return 2 * self._flying < self._window

    def offer(self, piece: Piece) -> None:
        """Put messages in line; they become due after those that are there."""
        if len(piece):
            piece.number(self._next)
            self._next += len(piece)
            self._pieces.append(piece)

    def bytes_due(self, now: float) -> bytes | memoryview:
        """What to write now, counted as sent; empty when nothing is due or the window is full. Give it all, in order.

        `now`: s since 1970.
        """
        room = min(self._window - self._flying, MOST_AT_ONCE)
        if len(self._again):
            return self._repeated(room)
        piece = self._to_send()
        if piece is None or room < 1 or now >= self._cut or piece.due[self._head - piece.first] > now:
            return b""
        at = self._head - piece.first
        end = min(int(piece.due.searchsorted(now, side="right")), at + min(room, self._free_ids()))
        return self._sent(piece, at, end, now) if end > at else b""

    def give_up(self, now: float) -> None:
        """Count as not sent what has waited for `PATIENCE_S`, and what more than `MOST_WAITING` wait before."""
        least = self._next - MOST_WAITING
        while now < self._cut and (piece := self._to_send()):
            at = self._head - piece.first
            if self._head >= least and piece.due[at] >= now - PATIENCE_S:
                return
            old = int(piece.due.searchsorted(now - PATIENCE_S))
            until = min(max(old, least - piece.first), len(piece))
            self._head += until - at
            self._tally.unsent += until - at
            piece.open -= until - at
            self._put_away()

    def answered(self, ids: Ints, codes: NDArray[np.uint8], moments: Floats) -> None:
        """Take PUBACKs, by identifier, reason code and s since 1970; one that nobody waits for changes nothing."""
        places = self._head - 1 - (self._head - ids) % IDS
        for piece in self._pieces:
            if piece.first >= self._head:
                break
            here = (places >= piece.first) & (places < piece.first + len(piece))
            if here.all():
                self._settle(piece, places - piece.first, codes, moments)
                break
            self._settle(piece, places[here] - piece.first, codes[here], moments[here])
        self._put_away()

    def connected(self, receive_maximum: int) -> None:
        """A connection stands on which so many messages may be unanswered."""
        self._window = max(1, min(self._most, receive_maximum, IDS - 1))

    def lost(self) -> None:
        """The connection is gone: what was not answered is sent again over the next one."""
        unanswered = [piece.first + np.flatnonzero(piece.code == NO_ANSWER) for piece in self._pieces]
        self._again = np.concatenate(unanswered) if unanswered else self._again
        self._flying = 0

    def cut(self, moment: float) -> None:
        """Nothing new is sent any more: what became due before `moment` (s since 1970) and was not sent is given up."""
        self._cut = moment
        for piece in self._pieces:
            at = max(self._head - piece.first, 0)
            self._tally.unsent += max(int(np.searchsorted(piece.due, moment, side="left")) - at, 0)

    def end(self) -> None:
        """No answer is waited for any more; after `cut`."""
        for piece in self._pieces:
            due = int(np.searchsorted(piece.due, self._cut, side="left"))
            self._keep(piece, max(due, min(len(piece), self._head - piece.first)))
        self._pieces.clear()

    def settled(self) -> Iterator[Rows]:
        """Rows of messages whose fate is known, once."""
        yield from self._done
        self._done.clear()

    def _to_send(self) -> Piece | None:
        """The piece of the next message."""
        for piece in self._pieces:
            if self._head < piece.first + len(piece):
                return piece
        return None

    def _sent(self, piece: Piece, at: int, end: int, now: float) -> memoryview:
        piece.late[at:end] = now - piece.due[at:end]
        piece.code[at:end] = NO_ANSWER
        self._head += end - at
        self._flying += end - at
        self._tally.sent += end - at
        return piece.packets(at, end)

    def _repeated(self, room: int) -> bytes:
        numbers, self._again = self._again[: max(room, 0)], self._again[max(room, 0) :]
        packets: list[memoryview] = []
        for piece in self._pieces:
            own = numbers[(numbers >= piece.first) & (numbers < piece.first + len(piece))] - piece.first
            own = own[piece.code[own] == NO_ANSWER]
            self._flying += len(own)
            self._tally.repeated += len(own)
            piece.body[piece.starts[own]] |= DUP
            packets += [piece.packets(at, at + 1) for at in own.tolist()]
        return b"".join(packets)

    def _settle(self, piece: Piece, places: Ints, codes: NDArray[np.uint8], moments: Floats) -> None:
        if not (places[1:] > places[:-1]).all():
            places, first = np.unique(places, return_index=True)
            codes, moments = codes[first], moments[first]
        waiting = piece.code[places] == NO_ANSWER
        if not waiting.all():
            places, codes, moments = places[waiting], codes[waiting], moments[waiting]
        piece.answer[places] = moments - piece.due[places] - piece.late[places]
        piece.code[places] = codes
        piece.open -= len(places)
        self._flying = max(self._flying - len(places), 0)
        self._tally.codes += np.bincount(codes, minlength=256)

    def _free_ids(self) -> int:
        """How many more messages may be sent before an identifier would mean two of them."""
        if not self._pieces or self._head - self._pieces[0].first < IDS // 2:
            return IDS // 2
        return IDS - 1 - (self._head - self._oldest())

    def _oldest(self) -> int:
        """The number of the oldest message that waits for its PUBACK, or of the next to send."""
        for piece in self._pieces:
            sent = min(len(piece), self._head - piece.first)
            waiting = piece.code[piece.settled : sent] == NO_ANSWER
            if waiting.any():
                piece.settled += int(np.argmax(waiting))
                return piece.first + piece.settled
            piece.settled = sent
            if sent < len(piece):
                break
        return self._head

    def _put_away(self) -> None:
        if all(piece.open for piece in self._pieces):
            return
        for piece in self._pieces:
            if not piece.open:
                self._keep(piece, len(piece))
        self._pieces = deque(piece for piece in self._pieces if piece.open)

    def _keep(self, piece: Piece, count: int) -> None:
        self._done.append(piece.rows(count))
