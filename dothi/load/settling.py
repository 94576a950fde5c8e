"""Waiting until a platform has dealt with all that its brokers took."""

import contextlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg

from dothi.commands.readiness import queue

QUIET_S = 3.0
"""Nothing in hand, nothing new in the ledger for so long: settled."""
COUNTED_S = 1.0
"""The same once it has counted as many readings as were sent."""
BUSY_S = 10.0
"""So long after that the platform is busy with others' messages."""
STUCK_S = 30.0
EVERY_S = 0.5
STATE = """
select (select coalesce(sum(in_flight), 0)::bigint from city.worker where at > now() - interval '5 seconds'),
       (select coalesce(sum(received), 0)::bigint from city.ledger),
       (select coalesce(sum(stored), 0)::bigint from city.ledger),
       (select coalesce(sum(duplicate), 0)::bigint from city.ledger),
       (select coalesce(sum(quarantined), 0)::bigint from city.ledger)
"""


class Ledger(NamedTuple):
    """What the platform counts of itself, in readings; of all senders."""

    received: int
    stored: int
    duplicate: int
    quarantined: int

    def since(self, before: "Ledger") -> dict[str, int]:
        """What was added."""
        return dict(zip(self._fields, (new - old for new, old in zip(self, before, strict=True)), strict=True))


def ledger(url: str) -> Ledger:
    """The totals now. Raises psycopg.Error."""
    return _state(url)[1]


def _state(url: str) -> tuple[int, Ledger]:
    with psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="dothi simulate") as connection:
        row: Any = connection.execute(STATE).fetchone()
    return row[0], Ledger(*row[1:])


def held(page: str | None) -> int:
    """Messages that the brokers hold, as the /metrics page of `up` tells; some they hold always (retained ones)."""
    found = queue(page)
    return found["messages"] if found else 0


def settled(
    url: str,
    patience_s: float,
    told: Callable[[float, int], None] = lambda waited, in_hand: None,
    held_now: Callable[[], int] = lambda: 0,
    expected: int | None = None,
) -> bool:
    """Wait until the platform has nothing in hand and counts nothing new; False when it did not come to that in time.

    `told` is called with the seconds waited and the messages in hand. `held_now`: messages that brokers hold for it.
    `expected`: what its ledger will have received at least; from then on it is waited for less long, and not at all for
    the messages of others.
    """
    before: tuple[Ledger | None, int] | None = None
    begun = moved = time.monotonic()
    while (now := time.monotonic()) - begun < patience_s:
        waiting, in_hand, counted = held_now(), 1, None
        with contextlib.suppress(psycopg.Error):  # a database that is being restarted has not settled anything
            in_hand, counted = _state(url)
        if (counted, waiting) != before:
            before, moved = (counted, waiting), now
        all_counted = expected is not None and counted is not None and counted.received >= expected
        verdict = verdict_of(now - begun, now - moved, in_hand, waiting, all_counted)
        if verdict is not None:
            return verdict
        told(now - begun, in_hand + waiting)
        time.sleep(EVERY_S)
    return False


def verdict_of(waited: float, still: float, in_hand: int, waiting: int, all_counted: bool) -> bool | None:
    """Whether it is settled; None: not to be said yet. Where nothing moves for long, waiting longer would not help."""
    if all_counted:
        return True if waited >= BUSY_S or (not in_hand and still >= COUNTED_S) else None
    if still >= STUCK_S:
        return False
    return True if not in_hand and not waiting and still >= QUIET_S else None
