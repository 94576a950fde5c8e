"""A TCP proxy that misbehaves on request: the worker's way to the broker and to the database leads through it."""

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from tests.chaos import wire

CHUNK = 65_536
# Each of them breaks the protocol for certain: a type that does not exist, QoS 3, a PUBLISH of no length, a length
# that does not end. (A changed byte of a payload would be another message to everybody; TLS is against that.)
BROKEN = (b"\x00\x00", b"\x36\x05\x00\x01a\x00\x01", b"\x32\x00", b"\x32\xff\xff\xff\xff\xff")


class Proxy:
    """One listening port in front of one port that is looked up anew for every connection."""

    def __init__(self, upstream: Callable[[], int], mqtt: bool) -> None:
        """`mqtt`: whether packets are followed, so that one can be broken between two others."""
        self.port = 0
        self.bytes = 0
        self.connections = 0
        self.refusing = False
        self.deaf = False  # answers are swallowed
        self.delay_s = 0.0
        self.bytes_per_s = 0
        self.break_next: bytes | None = None
        self.cut_within = False  # the next chunk is passed on by half, then the connection dies
        self._upstream = upstream
        self._mqtt = mqtt
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop what is open."""
        if self._server:
            self._server.close()
        self.reset()
        self.thaw()
        await asyncio.sleep(0)

    def freeze(self) -> None:
        """Pass nothing on in either direction; connections stay open, as with a peer that has gone silently."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on again."""
        self._flowing.set()

    def reset(self) -> None:
        """Drop every connection with RST on both sides."""
        for pair in list(self._open):
            for writer in pair:
                reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream())
        except (OSError, ValueError):
            reset(writer)
            return
        pair = (writer, far_writer)
        self._open.add(pair)
        directions = [
            asyncio.ensure_future(self._pump(reader, far_writer, answers=False)),
            asyncio.ensure_future(self._pump(far_reader, writer, answers=True)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.discard(pair)
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            for one in pair:
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        border = Border() if self._mqtt and answers else None
        with contextlib.suppress(OSError):
            while chunk := await reader.read(self.bytes_per_s // 10 if self.bytes_per_s else CHUNK):
                await self._hold(answers)
                if answers and self.deaf:
                    continue
                if border:
                    chunk = self._broken(chunk, border)
                if self.cut_within and len(chunk) > 1:
                    self.cut_within = False
                    writer.write(chunk[: len(chunk) // 2])
                    await writer.drain()
                    return
                self.bytes += len(chunk)
                writer.write(chunk)
                await writer.drain()

    async def _hold(self, answers: bool) -> None:
        if self.delay_s and answers:
            await asyncio.sleep(self.delay_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        if self.bytes_per_s:
            await asyncio.sleep(0.1)
        if not self._flowing.is_set():
            await self._flowing.wait()

    def _broken(self, chunk: bytes, border: "Border") -> bytes:
        """The chunk, with a broken packet between two whole ones when one is asked for."""
        at = border.first_in(chunk)
        if self.break_next is None or at is None:
            return chunk
        broken, self.break_next = self.break_next, None
        return chunk[:at] + broken + chunk[at:]


class Border:
    """Where packets begin in a stream that is seen in chunks."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the current packet still to come
        self._head = b""  # a fixed header that is not whole yet

    def first_in(self, chunk: bytes) -> int | None:
        """The first place in this chunk at which a packet begins, or None; then stands at the chunk's end."""
        at, first = self._left, None
        if at > len(chunk):
            self._left -= len(chunk)
            return None
        stream, offset = self._head + chunk, len(self._head)
        at = 0 if self._head else at
        self._head = b""
        while at < len(stream):
            if first is None and at >= offset:
                first = at - offset
            size, body = wire.variable(stream, at + 1)
            if size < 0:
                self._head, at = stream[at:], len(stream)
                break
            at = body + size
        self._left = at - len(stream)
        return first


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, not with a goodbye."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def upstream_in(file: Path, name: str) -> Callable[[], int]:
    """The port that a stack has written down under a name."""
    return lambda: int(json.loads(file.read_text())[name])
