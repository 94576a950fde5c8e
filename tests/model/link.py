"""A network between the real ingest.connection.Connection and the broker: bytes lie in it until they are carried."""

import asyncio
from typing import Any

from ingest.connection import Connection
from tests.model.broker import Broker, Line


class Link(asyncio.Transport):
    """The receiver's transport, a network, and the broker's end of it."""

    def __init__(self, broker: Broker, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.line = Line(write=self._to_receiver, close=self._broken)
        self._broker = broker
        self._inbound = bytearray()
        self._outbound = bytearray()
        self._reading, self._closing, self.up, self.over = True, False, True, False
        connection.connection_made(self)

    # --- as asyncio's transport

    def write(self, raw: Any) -> None:
        """Into the network, if there still is one."""
        if self.up and not self._closing:
            self._outbound += raw

    def pause_reading(self) -> None:
        """Bytes stay in the network."""
        self._reading = False

    def resume_reading(self) -> None:
        """Bytes may be carried again."""
        self._reading = True

    def is_reading(self) -> bool:
        """Whether bytes may be carried."""
        return self._reading and not self._closing

    def is_closing(self) -> bool:
        """Whether the receiver knows that it is over."""
        return self._closing

    def close(self) -> None:
        """By the receiver: what it wrote still goes out, then the connection is over."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.notice)

    # --- the network

    def _to_receiver(self, raw: bytes) -> None:
        if self.up:
            self._inbound += raw

    def _broken(self) -> None:
        self.up = False

    @property
    def wanted(self) -> bool:
        """Whether bytes wait for a receiver that reads."""
        return bool(self._inbound) and self.is_reading()

    @property
    def waiting(self) -> bool:
        """Whether bytes wait for the broker."""
        return bool(self._outbound) and self.up

    def carry_in(self, most: int) -> None:
        """Up to so many bytes to the receiver, if it reads."""
        if self.wanted:
            piece = bytes(self._inbound[:most])
            del self._inbound[:most]
            self.connection.data_received(piece)

    def carry_out(self, most: int) -> None:
        """Up to so many bytes to the broker."""
        if self.waiting:
            piece = bytes(self._outbound[:most])
            del self._outbound[:most]
            self._broker.received(self.line, piece)

    def cut(self) -> None:
        """The network breaks; the broker notices, the receiver does not yet."""
        self._broker.dropped(self.line)
        self._outbound.clear()
        self.up = False

    def notice(self) -> None:
        """The receiver learns that the connection is over."""
        if self.over:
            return
        self.over = self._closing = True
        self.carry_out(1 << 20)
        if self.up:
            self._broker.dropped(self.line)
        self.up = False
        self.connection.connection_lost(None)
