"""What an operator must hear of: possible losses as `ops.event`, and which sessions the brokers keep for us."""

import asyncio
import contextlib
from collections import deque
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg.types.json import Jsonb

from ingest.session import Happening, Joined, TakenOver

log = structlog.get_logger("ingest.watch")

MOST_WAITING = 1_000
SEEN_EVERY_S = 5.0
LEAST_WAIT_S = 0.1

Connection = psycopg.AsyncConnection[Any]


class Event(NamedTuple):
    """A row of ops.event. `time`: seconds since 1970; `device`: its id, where it is of one."""

    time: float
    kind: str
    severity: str
    inbox: str | None
    message: str
    detail: dict[str, Any]
    device: str | None = None


def possible_loss(kind: str, start: float, end: float, message: str, inbox: str | None = None, **more: object) -> Event:
    """Messages received by a broker between two times (seconds since 1970) may be lost."""
    interval = {"from": said_time(start), "to": said_time(end)}
    return Event(end, kind, "major", inbox, message, {**interval, **more})


def said_time(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Events:
    """Events on their way to the database; they wait while it is away, the newest ones at most."""

    def __init__(self) -> None:
        self.waiting: deque[Event] = deque(maxlen=MOST_WAITING)

    def add(self, event: Event) -> None:
        """Say it in the log now, store it when possible."""
        log.error(event.message, kind=event.kind, inbox=event.inbox, detail=event.detail)
        self.waiting.append(event)

    def note(self, event: Event) -> None:
        """Something that is no fault of ours: store it when possible."""
        log.info(event.message, kind=event.kind, inbox=event.inbox)
        self.waiting.append(event)

    async def write(self, connection: Connection) -> None:
        """Store all that wait."""
        while self.waiting:
            event = self.waiting[0]
            await connection.execute(
                "insert into ops.event (time, kind, severity, inbox, device, message, detail) "
                "values (to_timestamp(%s), %s, %s, %s, %s, %s, %s)",
                (
                    *(event.time, event.kind, event.severity, event.inbox, event.device, event.message),
                    Jsonb(event.detail),
                ),
            )
            if self.waiting and self.waiting[0] is event:  # a full deque drops its oldest meanwhile
                self.waiting.popleft()


class Register:
    """Compares the sessions that brokers have kept with those that ops.inbox remembers."""

    def __init__(self, worker: int, events: Events) -> None:
        self._worker = worker
        self._events = events
        self._joined: deque[Joined] = deque()
        self._told = asyncio.Event()

    def tell(self, happening: Happening) -> None:
        """A session was taken up, or taken over."""
        if isinstance(happening, TakenOver):
            self._events.add(taken_over(happening))
        else:
            self._joined.append(happening)
        self._told.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something to note, or for so long; at least for a moment, as sessions come together."""
        await asyncio.sleep(LEAST_WAIT_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), seconds - LEAST_WAIT_S)
        self._told.clear()

    async def write(self, connection: Connection) -> None:
        """Note the sessions taken up since the last time; one that should have been there and was not is an event."""
        while self._joined:
            joined = self._joined[0]
            seen = await remember(connection, self._worker, joined)
            if seen is not None and not joined.session_present:
                self._events.add(session_lost(joined, seen))
            self._joined.popleft()

    async def write_seen(self, connection: Connection, inboxes: list[str]) -> None:
        """These are connected now."""
        await connection.execute(
            "update ops.inbox set seen = now(), worker = %s where inbox = any(%s)", (self._worker, inboxes)
        )


async def remember(connection: Connection, worker: int, joined: Joined) -> float | None:
    """Note a session; when it was last known to be connected (seconds since 1970), None when it is new to us."""
    inbox, present, at = joined
    cursor = await connection.execute(
        "with before as (select seen from ops.inbox where inbox = %(inbox)s and broker = %(broker)s), "
        "noted as (insert into ops.inbox as i (inbox, broker, worker, since, seen) "
        " values (%(inbox)s, %(broker)s, %(worker)s, to_timestamp(%(at)s), to_timestamp(%(at)s)) "
        " on conflict (inbox, broker) do update set worker = excluded.worker, seen = excluded.seen, "
        " since = case when %(present)s then i.since else excluded.since end) "
        "select extract(epoch from seen)::float8 from before",
        {"inbox": inbox.name, "broker": inbox.broker, "worker": worker, "at": at, "present": present},
    )
    row = await cursor.fetchone()
    return None if row is None else float(row[0])


def session_lost(joined: Joined, seen: float) -> Event:
    """The broker had no session where there was one before."""
    return possible_loss(
        "session_lost",
        min(seen, joined.at),
        joined.at,
        f"the broker at {joined.inbox.broker} had no session of inbox {joined.inbox.name} any more (expired, removed, "
        "or its memory lost): messages that it acknowledged in between may be lost",
        joined.inbox.name,
        broker=joined.inbox.broker,
    )


def taken_over(happening: TakenOver) -> Event:
    """Somebody else came with our client id."""
    return possible_loss(
        "session_taken_over",
        happening.at,
        happening.at,
        f"another client took over the session of inbox {happening.inbox.name} at {happening.inbox.broker}; unless it "
        "is a worker of this stack, what it acknowledges is lost",
        happening.inbox.name,
        broker=happening.inbox.broker,
    )
