"""What all ways to a receiver have in common: a message goes in; an answer comes out, or why there is none."""

import os
import re
from typing import Literal, NamedTuple

MOST_SAID = 300
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")

Sort = Literal["away", "refused", "gone"]
"""Why something was not delivered. away: the receiver as a whole, which is asked again; refused: this message, of
which more tries will hardly change anything; gone: the receiver wants nothing any more."""


class Message(NamedTuple):
    """What a receiver is told. `key` is the same in every try; `thread` in all that is told of one alarm."""

    key: str
    thread: str
    subject: str
    body: str
    document: bytes  # the same as JSON, for programs


class Undelivered(Exception):
    """A receiver has not taken a message. `said`: one line, no secrets; `after_s`: when it asks to be tried again."""

    def __init__(self, said: str, sort: Sort = "away", after_s: float | None = None) -> None:
        super().__init__(said)
        self.said = one_line(said)
        self.sort: Sort = sort
        self.after_s = after_s


def one_line(text: str) -> str:
    """Text of others on one line, without what would move a cursor or end a header, and not endless.

    >>> one_line("550 no\\r\\n  such\\x1b[31m user")
    '550 no such [31m user'
    """
    return " ".join(CONTROL.sub(" ", text).split())[:MOST_SAID]


def reason(error: BaseException) -> str:
    """What the system said below all that libraries put around it."""
    seen: set[int] = set()
    below: BaseException | None = error
    while below is not None and id(below) not in seen:
        seen.add(id(below))
        if isinstance(below, OSError) and below.strerror:
            # Python's own words name the address; the system's say what is wrong with it.
            return one_line(os.strerror(below.errno) if below.errno and below.errno > 0 else below.strerror)
        below = next((one for one in below.args if isinstance(one, BaseException)), None) or (
            below.__cause__ or below.__context__ or getattr(below, "reason", None)
        )
        below = below if isinstance(below, BaseException) else None
    return type(error).__name__
