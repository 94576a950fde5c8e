"""One MQTT connection of one inbox: greet, subscribe, read, acknowledge, until it ends."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from ingest import mqtt
from ingest.inbox import Inbox, credentials
from ingest.window import Arrival, Window

KEEPALIVE_S = 30
RECEIVE_MAXIMUM = 65_535  # as many as there are packet ids: what is on its way is bounded by the window
TAKEN_OVER = 0x8E
# The broker sends one packet per write. Reading a few milliseconds later brings many at once: 0.88 → 0.39 CPU seconds
# per 100,000 messages end to end on one connection (measured), for that much delay. A city comes by many connections,
# each of which has little to say: nine with 333 messages/s each cost half of what they cost with 10 ms.
READ_PACE_S = 0.020
# As much as a read can bring. The rule: the fuller a read was, the sooner the next one; after a full one at once, so
# that what has piled up during an outage, or messages of many readings, are not held back.
LARGEST_READ = 256 << 10


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

    def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Send messages (topic, payload) at QoS 0, in one piece; nothing when this connection has gone."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(b"".join([mqtt.publish(topic, payload) for topic, payload in messages]))

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
    (0.02, 0.01, 0.0)
    """
    return READ_PACE_S * max(0.0, 1 - size / LARGEST_READ)


def said(reason: int) -> str:
    """A reason code in words."""
    return mqtt.REFUSALS.get(reason, f"reason {reason:#04x}")
