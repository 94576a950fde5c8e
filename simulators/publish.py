"""Gateways: a few MQTT 5 connections that carry the messages of many devices, QoS 1, to one or several brokers.

Open loop: a message is written when it is due, whatever became of those before it. What the window or the socket has no
room for waits in its line and is counted as late; what waited longer than `PATIENCE_S` is given up and counted.
A PUBACK that says "no matching subscribers" means that nobody will ever read the message: it is counted apart.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np

from simulators.draw import Floats
from simulators.line import Line
from simulators.mqtt import PINGREQ, StreamError, reason_name
from simulators.spool import FAILURE
from simulators.tally import Tally
from simulators.wire import GOODBYE_PACKET, Heard, Reader, connect

PAUSE_S = 0.005
"""PUBACKs are read so often at most: so exact are the times to PUBACK."""
LISTEN_S = 0.05
"""PUBACKs that were read are taken so often at most, unless the window is full: fewer and larger heaps cost less."""
KEEPALIVE_S = 30
QUIET_S = 10.0
"""After so long without a word of ours the broker is asked whether it is there."""
SILENCE_S = 40.0
"""A broker that owes us an answer and says nothing for so long is given up, and connected to anew."""
CONNECT_S = 10.0
SESSION_S = 60
FIRST_DELAY_S, MOST_DELAY_S = 0.5, 8.0
"""Reconnects wait a random time up to this, which doubles with every failure: devices never come back all at once."""

Clock = Callable[[], float]
"""Seconds since 1970, never set back."""


class BrokerError(Exception):
    """A broker refuses or does not answer; the message says which and why."""


class Broker(NamedTuple):
    """A broker's URL (`mqtt[s]://user:password@host:port`) and the areas it serves; none named: all that are left."""

    url: str
    areas: tuple[str, ...] = ()


class Wire(asyncio.Protocol):
    """One TCP connection. Reading pauses for a moment after every piece: many PUBACKs at once cost little."""

    def __init__(self, hello: bytes, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.transport: asyncio.Transport | None = None
        self._hello, self._clock = hello, clock
        self._reader, self._arrived = Reader(), deque[tuple[float, bytes]]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Keep what has come, with the time."""
        assert self.transport
        self._arrived.append((self._clock(), data))
        self.transport.pause_reading()
        self._loop.call_later(PAUSE_S, self._resume)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the gateway know."""
        if not self.closed.done():
            self.closed.set_result(None)

    def heard(self) -> tuple[Heard, Floats] | None:
        """What has come since, and when each PUBACK was read, s since 1970. Raises StreamError."""
        if not self._arrived:
            return None
        moments, chunks = zip(*self._arrived, strict=True)
        self._arrived.clear()
        heard = self._reader.feed(b"".join(chunks))
        edges = np.cumsum([len(chunk) for chunk in chunks])
        return heard, np.array(moments)[np.searchsorted(edges, heard.ends)]

    def _resume(self) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.resume_reading()

    @property
    def has_room(self) -> bool:
        """Whether the socket took all it was given."""
        return bool(self.transport and not self.transport.is_closing() and not self.transport.get_write_buffer_size())


class Gateway:
    """A connection that is made again whenever it is lost, and the line of messages that go through it."""

    def __init__(self, url: str, client_id: str, line: Line, tally: Tally, clock: Clock) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "mqtts"
        self._address = (parts.hostname or "127.0.0.1", parts.port or (8883 if self._tls else 1883))
        self.where = f"{self._address[0]}:{self._address[1]}"
        self.line, self.refusal, self.trouble, self.is_up = line, "", "", False
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password or "") if parts.username else None
        self._hello = connect(client_id, user, password, keepalive=KEEPALIVE_S, session_s=SESSION_S)
        self._tally, self._clock = tally, clock
        self._wire: Wire | None = None
        self._failures, self._was_up = 0, False
        self._wrote_at = self._heard_at = 0.0

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                await self._connect_once()
            except (OSError, TimeoutError) as error:
                self.trouble = str(error)
            self._down()
            self._failures += 1
            most = min(FIRST_DELAY_S * 2**self._failures, MOST_DELAY_S if self._was_up else 2 * FIRST_DELAY_S)
            await asyncio.sleep(random.uniform(0, most))  # noqa: S311 - spreads reconnects, guards nothing

    def turn(self, now: float) -> None:
        """Take what has come and write what is due. `now`: s since 1970."""
        self.line.give_up(now)
        wire = self._wire
        if wire is None:
            return
        try:
            if self._is_to_listen(wire, now) and (said := wire.heard()):
                self._heard_at = now
                self._take(*said)
        except StreamError as error:
            self.trouble = str(error)
            self._hang_up()
        if self.is_up and self._wire is wire:
            self._write_due(wire, now)
            self._watch(wire, now)
        elif now - self._heard_at > CONNECT_S:
            self._hang_up()

    def leave(self) -> None:
        """Say goodbye."""
        if self._wire and self._wire.transport:
            self._wire.transport.write(GOODBYE_PACKET)
            self._wire.transport.close()

    async def _connect_once(self) -> None:
        """One connection from its beginning to its end."""
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context() if self._tls else None
        async with asyncio.timeout(CONNECT_S):
            _, self._wire = await loop.create_connection(
                lambda: Wire(self._hello, self._clock), *self._address, ssl=context
            )
        self._wrote_at = self._heard_at = self._clock()
        await self._wire.closed
        self.turn(self._clock())  # what came last

    def _is_to_listen(self, wire: Wire, now: float) -> bool:
        """Whether PUBACKs are to be taken: not in every turn, while nothing waits for them."""
        rests = self.is_up and not wire.closed.done() and self.line.has_room
        return not rests or now - self._heard_at >= LISTEN_S

    def _take(self, heard: Heard, moments: Floats) -> None:
        if heard.connack:
            self._admitted(heard.connack.reason, heard.connack.receive_maximum)
        if len(heard.ids):
            self.line.answered(heard.ids, heard.codes, moments)
        if heard.closed is not None:
            self._hang_up()

    def _admitted(self, reason: int, receive_maximum: int) -> None:
        if reason >= FAILURE:
            self.refusal = reason_name(reason)
            self._hang_up()
            return
        self.refusal, self._failures, self.is_up = "", 0, True
        self._tally.up += 1
        self._tally.reconnects += self._was_up
        self._was_up = True
        self.line.connected(receive_maximum)

    def _write_due(self, wire: Wire, now: float) -> None:
        while wire.has_room and (chunk := self.line.bytes_due(now)):
            assert wire.transport
            wire.transport.write(chunk)
            self._wrote_at = now

    def _watch(self, wire: Wire, now: float) -> None:
        """Ask a quiet broker, give up a dead one."""
        if now - self._wrote_at > QUIET_S and wire.has_room:
            assert wire.transport
            wire.transport.write(PINGREQ)
            self._wrote_at = now
        if now - self._heard_at > SILENCE_S:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._wire and self._wire.transport:
            self._wire.transport.abort()
        self._down()

    def _down(self) -> None:
        self._wire = None
        if self.is_up:
            self.is_up = False
            self._tally.up -= 1
            self.line.lost()
