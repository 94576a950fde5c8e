"""The load: one connection per area, reconnecting, sending again what was not acknowledged."""

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.chaos import wire
from tests.chaos.generator import Kind, extra, message
from tests.chaos.record import Track

WINDOW = 4_000  # messages without PUBACK per connection
UNSETTLED = 400  # messages without the platform's acknowledgement per device that asks
TICK_S = 0.01
PROBE_S = 0.05
SILENCE_S = 15.0  # without any PUBACK though some are due, the connection is taken for dead
SETTLE_AGAIN_S = 5.0


class Item(NamedTuple):
    """One message on its way."""

    track: Track
    number: int
    kind: Kind


class Line:
    """One connection. `probe` is the device by whose readings recovery is measured; `sent` when each was sent."""

    def __init__(self, broker: str, area: str, tracks: list[Track], rate: float, client_id: str) -> None:
        self.area = area
        self.probe, *self._tracks = tracks
        self.sent: list[float] = []
        self.rate = rate
        self.connects = 0
        self._url = urlsplit(broker)
        self._client_id = client_id
        self._in_flight: dict[int, Item] = {}
        self._again: deque[Item] = deque()
        self._by_name = {track.device.name: track for track in tracks}
        self._turn = 0
        self._pid = 0
        self._heard = 0.0
        self._credit = 0.0
        self._sending = True

    @property
    def quiet(self) -> bool:
        """Whether all that was published is acknowledged by the broker."""
        return not self._in_flight and not self._again

    def stop_sending(self) -> None:
        """Publish nothing new; what is unacknowledged still goes out again."""
        self._sending = False

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            with contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
                await self._one_connection()
            await asyncio.sleep(0.1)

    async def _one_connection(self) -> None:
        url = self._url
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        try:
            async with asyncio.timeout(10):
                stream = await self._introduce(reader, writer)
            self.connects += 1
            self._resend()
            receiving = asyncio.ensure_future(self._receive(reader, stream))
            try:
                await self._send(writer, receiving)
            finally:
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)
        finally:
            writer.close()

    async def _introduce(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> wire.Stream:
        """CONNECT and SUBSCRIBE, each answered."""
        writer.write(wire.connect(self._client_id, self._url.username or "", self._url.password or ""))
        writer.write(wire.subscribe(f"dothi/v1/{self.area}/+/ack"))
        stream, wanted = wire.Stream(), [wire.CONNACK, wire.SUBACK]
        while wanted:
            chunk = await reader.read(65_536)
            if not chunk:
                raise EOFError
            for packet in stream.feed(chunk):
                if packet.kind == wire.CONNACK and packet.body[1]:
                    raise OSError(f"the broker refused the publisher: {packet.body[1]:#04x}")
                wanted = [kind for kind in wanted if kind != packet.kind]
        return stream

    def _resend(self) -> None:
        """A new connection: everything unacknowledged goes out again, in order, and what the platform has not said."""
        pending = list(self._in_flight.values())
        waiting = {(item.track, item.number) for item in pending if item.kind is Kind.MAIN}
        self._in_flight.clear()
        self._again.extendleft(reversed(pending))
        for track in self._by_name.values():
            if track.device.asks and track.settled >= 0:
                self._settle_again(track, waiting)

    def _settle_again(self, track: Track, waiting: set[tuple[Track, int]]) -> None:
        track.settled_at = time.monotonic()
        self._again.extend(
            Item(track, number, Kind.MAIN)
            for number in range(track.settled + 1, track.published)
            if (track, number) not in waiting
        )

    async def _receive(self, reader: asyncio.StreamReader, stream: wire.Stream) -> None:
        while chunk := await reader.read(65_536):
            self._heard = time.monotonic()
            for packet in stream.feed(chunk):
                if packet.kind == wire.PUBACK:
                    item = self._in_flight.pop(int.from_bytes(packet.body[:2]), None)
                    if item:
                        item.track.acknowledge(item.number, item.kind)
                elif packet.kind == wire.PUBLISH:
                    self._take_word(*wire.published(packet))
        raise EOFError

    def _take_word(self, topic: str, payload: bytes) -> None:
        """`{"seq": n, "boot": b}`: all up to n are settled; `missing` names a gap to fill."""
        track = self._by_name.get(topic.split("/")[3])
        if track is None:
            return
        word = json.loads(payload)
        if "seq" in word:
            track.settle(int(word["seq"]), time.monotonic())
        if "missing" in word:
            low, high = word["missing"]
            self._again.extend(Item(track, number, Kind.MAIN) for number in range(low, min(high + 1, track.published)))

    async def _send(self, writer: asyncio.StreamWriter, receiving: "asyncio.Future[None]") -> None:
        self._heard = pinged = time.monotonic()
        while not receiving.done():
            now = time.monotonic()
            packets = [*self._probe_packets(now), *self._due_packets()]
            if now - pinged > 20:
                pinged = now
                packets.append(wire.PINGREQ)
            if packets:
                writer.write(b"".join(packets))
                await writer.drain()
            if self._in_flight and now - self._heard > SILENCE_S:
                raise TimeoutError
            await asyncio.sleep(TICK_S)

    def _probe_packets(self, now: float) -> list[bytes]:
        """The probe keeps its own pace, whatever else is sent."""
        if not self._sending or (self.sent and now - self.sent[-1] < PROBE_S) or len(self._in_flight) >= WINDOW:
            return []
        self.sent.append(now)
        return [self._packet(Item(self.probe, self.probe.next(), Kind.MAIN))]

    def _due_packets(self) -> list[bytes]:
        self._credit = min(self._credit + self.rate * TICK_S, self.rate / 4)
        room = WINDOW - len(self._in_flight)
        packets: list[bytes] = []
        while self._again and len(packets) < room:
            packets.append(self._packet(self._again.popleft()))
        while self._sending and self._credit >= 1 and len(packets) < room - 1:
            self._credit -= 1
            track = self._next_track()
            if track is None:
                break
            packets += self._new_packets(track)
        if not self._again:
            self._remind()
        return packets

    def _remind(self) -> None:
        """Devices that wait too long for the platform's word send again."""
        now = time.monotonic()
        for track in self._by_name.values():
            if track.device.asks and track.unsettled and now - track.settled_at > SETTLE_AGAIN_S:
                pending = {(item.track, item.number) for item in self._in_flight.values()}
                self._settle_again(track, pending)

    def _next_track(self) -> Track | None:
        """The next device that may send: one that asks waits for the platform, the first time for its first word."""
        for _ in range(len(self._tracks)):
            self._turn = (self._turn + 1) % len(self._tracks)
            track = self._tracks[self._turn]
            if not track.device.asks or track.unsettled < (UNSETTLED if track.settled >= 0 else 1):
                return track
        return None

    def _new_packets(self, track: Track) -> list[bytes]:
        if track.published == 0:
            track.settled_at = time.monotonic()
        number = track.next()
        packets = [self._packet(Item(track, number, Kind.MAIN))]
        kind = extra(track.device, number)
        if kind is not None:
            track.extras[number, kind] = False
            packets.append(self._packet(Item(track, number, kind)))
        return packets

    def _packet(self, item: Item) -> bytes:
        self._pid = self._pid % 65_000 + 1
        while self._pid in self._in_flight:
            self._pid = self._pid % 65_000 + 1
        if not self._in_flight:
            self._heard = time.monotonic()
        self._in_flight[self._pid] = item
        topic, payload = message(item.track.device, item.number, item.kind)
        return wire.publish(topic, self._pid, payload)
