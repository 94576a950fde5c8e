"""Processes of the ingest benchmark: who sends, the worker, and the bare parts that it is held against."""

import asyncio
import json
import signal
import sys
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg

from ingest import mqtt, worker
from ingest.batch import Limits
from ingest.connection import RECEIVE_MAXIMUM, pause_s
from ingest.inbox import area_inbox
from tests.bench.packets import Load, packets

CONNECTIONS = 4
WINDOW = 2_000  # unacknowledged messages of a connection
PIECE = 20_000  # readings whose packets are made at a time: what they are made of stays in the processor's memory


class Sending(NamedTuple):
    """What one connection sends: messages `first` … `first + count`, at most `rate` a second (0: as many as go)."""

    url: str
    load: Load
    first: int
    count: int
    rate: float


async def send(asked: Sending, name: str) -> None:
    """Write packets, never more than a window ahead of the PUBACKs."""
    parts = urlsplit(asked.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(mqtt.connect(f"bench-{name}", None, None, 0, 65_535))
    connack = await reader.readexactly(2)
    await reader.readexactly(connack[1])
    began, sent, settled, rest = time.monotonic(), 0, 0, b""
    made, made_from = memoryview(b""), 0
    while settled < asked.count:
        due = asked.count if not asked.rate else int((time.monotonic() - began) * asked.rate) + 1
        until = min(settled + WINDOW, due, asked.count)
        while sent < until:
            if sent - made_from >= len(made):
                made_from = sent
                load, piece = asked.load, PIECE // asked.load.readings
                if asked.rate:  # the time in a message is when it was sent
                    load, piece = load._replace(now_ms=time.time_ns() // 1_000_000), until - sent
                made = memoryview(packets(load, asked.first + sent, min(piece, asked.count - sent)))
            some = made[sent - made_from : until - made_from]
            writer.write(some.tobytes())
            sent += len(some)
        try:
            async with asyncio.timeout(0.005 if asked.rate else None):
                rest += await reader.read(65_536)
        except TimeoutError:
            continue
        if rest[:2] != b"\x40\x02":
            raise RuntimeError(f"the broker says {rest[:10].hex()}")
        settled, rest = settled + len(rest) // 4, rest[len(rest) // 4 * 4 :]
    writer.close()


async def send_all(asked: list[Sending]) -> None:
    """All connections of a process."""
    async with asyncio.TaskGroup() as tasks:
        for number, one in enumerate(asked):
            tasks.create_task(send(one, f"{one.load.area}-{number}"))


class Bare(asyncio.Protocol):
    """Reads packets and acknowledges each at once; what a receiver cannot do without."""

    def __init__(self, url: str, area: str, messages: int) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.ready = asyncio.get_running_loop().create_future()
        self._inbox = area_inbox(area, url)
        self._left = messages
        self._reader = mqtt.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As a session does."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(mqtt.connect("bench-bare", None, None, 0, RECEIVE_MAXIMUM))

    def data_received(self, data: bytes) -> None:
        """As a session does, with the same pacing."""
        messages, others = self._reader.feed(data)
        for other in others:
            if isinstance(other, mqtt.Connack):
                self._transport.write(mqtt.subscribe(1, self._inbox.subscriptions))
            elif isinstance(other, mqtt.Suback):
                self.ready.set_result(None)
        if messages:
            self._transport.write(mqtt.pubacks(messages.pids))
            self._left -= len(messages)
            if not self._left:
                self.done.set_result(None)
            if pause := pause_s(len(data)):
                self._transport.pause_reading()
                asyncio.get_running_loop().call_later(pause, self._transport.resume_reading)


async def read_bare(url: str, area: str, messages: int, ready: Path, done: Path) -> None:
    """The process of one bare reader; it stays, so that its CPU can be asked for."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, bare = await loop.create_connection(lambda: Bare(url, area, messages), parts.hostname, parts.port)
    await bare.ready
    await asyncio.to_thread(ready.touch)
    await bare.done
    await asyncio.to_thread(done.touch)
    await asyncio.sleep(600)


def copy_bare(database: str, statement: bytes, files: list[Path], spent: "Queue[float]") -> None:
    """Binary COPY of streams that are ready, one transaction each; puts its own CPU seconds."""
    began = time.process_time()
    with psycopg.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        for file in files:
            stream = file.read_bytes()
            with cursor.copy(statement) as stdin:
                stdin.write(stream)
    spent.put(time.process_time() - began)


def main() -> None:
    """`worker` or `bare`, with what it needs as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = json.loads(sys.argv[2])
    if sys.argv[1] == "worker":
        inboxes = tuple(area_inbox(area, asked["url"]) for area in asked["areas"])
        told = worker.Worker(asked["number"], asked["database"], inboxes, Limits(), Path(asked["ready"]))
        asyncio.run(worker.run(told))
    else:
        asyncio.run(
            read_bare(asked["url"], asked["areas"][0], asked["messages"], Path(asked["ready"]), Path(asked["done"]))
        )


if __name__ == "__main__":
    main()
