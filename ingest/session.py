"""One persistent MQTT session per inbox: connect, take up the session, read, acknowledge; again after every loss."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from ingest.connection import Connection
from ingest.inbox import Inbox, address
from ingest.window import Window

log = structlog.get_logger("ingest.session")

CONNECT_TIMEOUT_S = 10.0
# A broker that has much for others of our sessions answers late; to leave and come again would undo what it has done.
ANSWER_TIMEOUT_S = 60.0
LONGEST_BACKOFF_S = 2.0
# Whoever took a session over may be its new host: by then we know, and no longer come back.
TAKEN_OVER_PAUSE_S = 5.0


class Joined(NamedTuple):
    """A session was taken up, or begun anew when the broker had none. `at`: seconds since 1970."""

    inbox: Inbox
    session_present: bool
    at: float


class TakenOver(NamedTuple):
    """Another client with our id came while we were connected. `at`: seconds since 1970."""

    inbox: Inbox
    at: float


Happening = Joined | TakenOver


def unheard(_: Happening) -> None:
    """Nobody wants to know."""


class Session:
    """Keeps one inbox connected. `ready` says whether messages flow now."""

    def __init__(self, inbox: Inbox, window: Window, tell: Callable[[Happening], None] = unheard) -> None:
        """`tell` hears of sessions taken up and taken over."""
        self.inbox = inbox
        self.ready = asyncio.Event()
        self.connects = 0
        self.down_since: float | None = time.time()  # seconds since 1970
        self._window = window
        self._tell = tell
        self._connection: Connection | None = None

    async def run(self) -> None:
        """Connect and read until cancelled; after a loss again, with growing pauses and jitter."""
        backoff_s = 0.1
        while True:
            began = time.monotonic()
            why = await self._one_connection()
            if self.ready.is_set():
                self.ready.clear()
                self.down_since = time.time()
            backoff_s = 0.1 if time.monotonic() - began > 5 else min(2 * backoff_s, LONGEST_BACKOFF_S)
            if self._connection and self._connection.taken_over:
                backoff_s = TAKEN_OVER_PAUSE_S
                self._tell(TakenOver(self.inbox, time.time()))
            log.warning("inbox disconnected", inbox=self.inbox.name, why=why, again_in_s=round(backoff_s, 1))
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnects, no secret

    async def _one_connection(self) -> str:
        """One connect and all that follows; returns why it ended."""
        host, port, context = address(self.inbox.url)
        loop = asyncio.get_running_loop()
        self._connection = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S) as patience:
                _, connection = await loop.create_connection(
                    lambda: Connection(self.inbox, self._window), host, port, ssl=context
                )
                self._connection = connection
                patience.reschedule(loop.time() + ANSWER_TIMEOUT_S)
                await asyncio.wait((connection.subscribed, connection.closed), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.leave()
            seconds = ANSWER_TIMEOUT_S if self._connection else CONNECT_TIMEOUT_S
            return f"no answer from the broker at {host}:{port} within {seconds:.0f} s"
        except OSError as error:
            return f"broker at {host}:{port}: {error.strerror or error}"
        if connection.subscribed.done():
            self._joined(connection.subscribed.result())
        return await connection.closed

    def _joined(self, session_present: bool) -> None:
        log.info("inbox connected", inbox=self.inbox.name, session_present=session_present)
        self.connects += 1
        self.down_since = None
        self.ready.set()
        self._tell(Joined(self.inbox, session_present, time.time()))

    def stop(self) -> None:
        """Read no more, keep acknowledging."""
        if self._connection:
            self._connection.stop()

    def leave(self) -> None:
        """Close the connection, keep the session at the broker."""
        if self._connection:
            self._connection.leave()
