"""One persistent MQTT session per inbox: connect, take up the session, read, acknowledge; again after every loss."""

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import structlog

from ingest import mqtt
from ingest.window import Arrival, Window

log = structlog.get_logger("ingest.session")

KEEPALIVE_S = 30
RECEIVE_MAXIMUM = 65_535  # as many as there are packet ids: what is on its way is bounded by the window
CONNECT_TIMEOUT_S = 10.0
LONGEST_BACKOFF_S = 2.0
# Whoever took a session over may be its new host: by then we know, and no longer come back.
TAKEN_OVER_PAUSE_S = 5.0
TAKEN_OVER = 0x8E
# The broker sends one packet per write. Reading a few milliseconds later brings many at once: 0.88 → 0.39 CPU seconds
# per 100,000 messages end to end (design limits, measured), for that much delay.
READ_PACE_S = 0.003
# As much as a read can bring. The rule: the fuller a read was, the sooner the next one; after a full one at once, so
# that what has piled up during an outage, or messages of many readings, are not held back.
LARGEST_READ = 256 << 10


class Inbox(NamedTuple):
    """What one session subscribes to: an area's devices, or a foreign route."""

    name: str
    url: str
    subscriptions: tuple[mqtt.Subscription, ...]

    @property
    def client_id(self) -> str:
        """Fixed for good: the broker keeps the queue under it."""
        return f"dothi-inbox-{self.name}"

    @property
    def broker(self) -> str:
        """Host and port of the broker that keeps the session."""
        host, port, _ = address(self.url)
        return f"{host}:{port}"


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


def area_inbox(area: str, url: str) -> Inbox:
    """The inbox of an operating zone: readings, and what devices say of themselves."""
    prefix = f"dothi/v1/{area}/+"
    return Inbox(area, url, (mqtt.Subscription(f"{prefix}/up", False), mqtt.Subscription(f"{prefix}/status", True)))


def route_inbox(route: str, topics: Sequence[str], url: str, retained: Sequence[str] = ()) -> Inbox:
    """The inbox of a foreign route; `retained`: filters of what is wanted from the broker's memory at every connect."""
    subscriptions = [mqtt.Subscription(topic, False) for topic in topics]
    return Inbox(route, url, (*subscriptions, *(mqtt.Subscription(topic, True, always=True) for topic in retained)))


class Connection(asyncio.Protocol):
    """One connection of one inbox. Every connect makes a new one, so an old packet id can never be acknowledged."""

    def __init__(self, inbox: Inbox, window: Window) -> None:
        self.inbox = inbox.name
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.subscribed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._inbox = inbox
        self._window = window
        self._reader = mqtt.Reader()
        self._transport: asyncio.Transport | None = None
        self._session_present = False
        self._keepalive = KEEPALIVE_S
        self._heard = time.monotonic()
        self._stopped = False
        self.taken_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        user, password = credentials(self._inbox.url)
        transport.write(mqtt.connect(self._inbox.client_id, user, password, KEEPALIVE_S, RECEIVE_MAXIMUM))

    def data_received(self, data: bytes) -> None:
        """Hand on what came, then wait a moment so that the next read brings many messages at once."""
        self._heard = time.monotonic()
        try:
            messages, others = self._reader.feed(data)
            for other in others:
                self._answer(other)
        except mqtt.ProtocolError as error:
            self._close(str(error))
            return
        if messages:
            self._window.put(Arrival(self, time.time_ns() // 1000, messages, len(data)))
            self._pace(pause_s(len(data)))

    def _pace(self, seconds: float) -> None:
        if seconds and self._transport and not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(seconds, self.resume)

    def _answer(self, packet: mqtt.Packet) -> None:
        assert self._transport
        match packet:
            case mqtt.Connack(session_present, 0, keepalive):
                self._session_present = session_present
                self._keepalive = keepalive or KEEPALIVE_S
                self._window.join(self)  # a session that was kept starts sending at once
                self._transport.write(mqtt.subscribe(1, self._inbox.subscriptions))
                self._ping()
            case mqtt.Connack(_, reason, _):
                raise mqtt.ProtocolError(f"the broker refused the session: {said(reason)}")
            case mqtt.Suback(reasons) if any(reason >= 0x80 for reason in reasons):
                raise mqtt.ProtocolError(f"the broker refused a subscription: {said(max(reasons))}")
            case mqtt.Suback() if not self.subscribed.done():
                self.subscribed.set_result(self._session_present)
            case mqtt.Disconnect(reason):
                self.taken_over = reason == TAKEN_OVER
                raise mqtt.ProtocolError(f"the broker ended the connection: {said(reason)}")

    def _ping(self) -> None:
        if self.closed.done() or not self._transport:
            return
        if self._transport.is_reading() and time.monotonic() - self._heard > 1.5 * self._keepalive:
            self._close(f"nothing heard for {1.5 * self._keepalive:.0f} s")
            return
        self._transport.write(mqtt.PINGREQ_PACKET)
        asyncio.get_running_loop().call_later(self._keepalive / 2, self._ping)

    def acknowledge(self, pids: Sequence[int]) -> None:
        """Send PUBACKs in the order of receipt; nothing when this connection has gone."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(mqtt.pubacks(pids))

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Send a message at QoS 0; nothing when this connection has gone."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(mqtt.publish(topic, payload))

    def pause(self) -> None:
        """Stop reading: the broker keeps what comes."""
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on, unless the window is full or the session is being given up."""
        if self._transport and not self._transport.is_closing() and not self._window.full and not self._stopped:
            self._heard = max(self._heard, time.monotonic() - self._keepalive / 2)
            self._transport.resume_reading()

    def stop(self) -> None:
        """Read no more; acknowledgements still go out."""
        self._stopped = True
        self.pause()

    def leave(self) -> None:
        """Say goodbye; the broker keeps the session."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(mqtt.DISCONNECT_PACKET)
        self._close("left")

    def _close(self, why: str) -> None:
        if not self.closed.done():
            self.closed.set_result(why)
        if self._transport:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whoever's doing."""
        self._window.leave(self)
        if not self.closed.done():
            self.closed.set_result(str(exc) if exc else "the broker closed the connection")


def pause_s(size: int) -> float:
    """Seconds to wait after a read of so many bytes.

    >>> pause_s(0), pause_s(128 << 10), pause_s(256 << 10)
    (0.003, 0.0015, 0.0)
    """
    return READ_PACE_S * max(0.0, 1 - size / LARGEST_READ)


def said(reason: int) -> str:
    """A reason code in words."""
    return mqtt.REFUSALS.get(reason, f"reason {reason:#04x}")


def credentials(url: str) -> tuple[str | None, str | None]:
    """User and password of a broker URL."""
    parts = urlsplit(url)
    return (unquote(parts.username) if parts.username else None, unquote(parts.password) if parts.password else None)


def address(url: str) -> tuple[str, int, ssl.SSLContext | None]:
    """Host, port and TLS of `mqtt://…` or `mqtts://…`."""
    parts = urlsplit(url)
    secure = parts.scheme == "mqtts"
    context = ssl.create_default_context() if secure else None
    return parts.hostname or "127.0.0.1", parts.port or (8883 if secure else 1883), context


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
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(self.inbox, self._window), host, port, ssl=context
                )
                self._connection = connection
                await asyncio.wait((connection.subscribed, connection.closed), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.leave()
            return f"no answer from the broker at {host}:{port} within {CONNECT_TIMEOUT_S:.0f} s"
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
