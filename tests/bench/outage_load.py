"""The load of the long outage: readings that follow from their number, at a steady rate, each acknowledged or not."""

import asyncio
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from devices.area import ZONES
from ingest import mqtt

AREAS = [zone.code for zone in ZONES[:4]]
DEVICES = 40_000
WINDOW = 20_000  # unacknowledged messages per connection: the broker stands still while it saves a long queue
PIECE = 2_000
TICK_S = 0.02


class Load(NamedTuple):
    """What is published: message `number` is due at start + number / rate, and all of it follows from the number."""

    start_ms: int
    rate: int  # messages/s, all connections together

    def packet(self, number: int) -> bytes:
        """The PUBLISH of one message, about 120 bytes of payload."""
        payload = (
            b'{"time": %d, "seq": %d, "metrics": {"pm25": %.1f, "temperature": %.1f, "relative_humidity": 0.%02d}}'
            % (self.time_ms(number), number, number % 4_000 / 10, 25 + number % 90 / 10, number % 100)
        )
        topic = b"dothi/v1/%s/outage-%06d/up" % (AREAS[number % len(AREAS)].encode(), number % DEVICES)
        body = len(topic).to_bytes(2) + topic + (number // len(AREAS) % 60_000 + 1).to_bytes(2) + b"\x00" + payload
        return b"\x32" + mqtt.encode_length(len(body)) + body

    def time_ms(self, number: int) -> int:
        """When the message is due, which is also the time that it carries."""
        return self.start_ms + number * 1000 // self.rate


class Line:
    """One connection to the broker: the messages of one area, in order."""

    def __init__(self, load: Load, place: int) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.longest_gap_s = 0.0  # without any PUBACK while some were due
        self._load = load
        self._place = place

    async def run(self, url: str, stop: asyncio.Event) -> None:
        """Publish at the rate until told to stop, then until all is acknowledged. Raises when the broker hangs up."""
        reader, writer = await connect(url, f"outage-{self._place}")
        acknowledging = asyncio.create_task(self._receive(reader))
        while not acknowledging.done() and not (stop.is_set() and self.sent == self.acknowledged):
            if not stop.is_set():
                await self._send(writer)
            await asyncio.sleep(TICK_S)
        if acknowledging.done():
            await acknowledging
        acknowledging.cancel()
        writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        share = self._load.rate / len(AREAS)
        due = int((time.time() - self._load.start_ms / 1000) * share)
        until = min(self.acknowledged + WINDOW, due, self.sent + PIECE)
        if until > self.sent:
            step = len(AREAS)
            writer.write(b"".join(self._load.packet(n * step + self._place) for n in range(self.sent, until)))
            self.sent = until
            await writer.drain()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        rest, heard = b"", time.monotonic()
        while chunk := await reader.read(65_536):
            if self.sent > self.acknowledged:
                self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - heard)
            heard = time.monotonic()
            self.acknowledged, rest = count_pubacks(self.acknowledged, rest + chunk)
        raise RuntimeError("the broker closed the publisher's connection")


def count_pubacks(acknowledged: int, stream: bytes) -> tuple[int, bytes]:
    """PUBACKs in the stream, and what is not whole yet."""
    at = 0
    while len(stream) - at >= 2 and len(stream) - at >= 2 + stream[at + 1]:
        acknowledged += stream[at] == 0x40
        at += 2 + stream[at + 1]
    return acknowledged, stream[at:]


async def connect(url: str, client_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has its CONNACK."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(mqtt.connect(client_id, parts.username, parts.password, 0, 65_535))
    connack = await reader.readexactly(2)
    await reader.readexactly(connack[1])
    return reader, writer
