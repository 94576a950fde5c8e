"""Many devices that stand connected with tokens of their own, in processes of their own."""

import asyncio
import multiprocessing
import ssl
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from devices.credentials import Issued
from dothi.stack import machine
from ingest import mqtt

PROCESSES, MOST_IN_PROCESS = 3, 12_500
AT_ONCE = 50
SOURCES = 8  # addresses of ours: each has 28,000 ports


class Visitor(asyncio.Protocol):
    """One device's connection: `admitted` is what CONNACK says, `gone` when it ended."""

    def __init__(self, one: Issued) -> None:
        loop = asyncio.get_running_loop()
        self.admitted: asyncio.Future[bool] = loop.create_future()
        self.gone: asyncio.Future[float] = loop.create_future()
        self._one = one
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are."""
        one = self._one
        head = mqtt.text("MQTT") + b"\x04\xc2\x02\x58"
        body = head + b"".join(map(mqtt.text, (one.device, one.device, one.token)))
        assert isinstance(transport, asyncio.Transport)
        transport.write(mqtt.packet(0x10, body))

    def data_received(self, data: bytes) -> None:
        """CONNACK has four bytes, the last is the answer."""
        self._said += data
        if len(self._said) >= 4 and not self.admitted.done():
            self.admitted.set_result(self._said[3] == 0)

    def connection_lost(self, _error: Exception | None) -> None:
        """It is over."""
        if not self.admitted.done():
            self.admitted.set_result(False)
        if not self.gone.done():
            self.gone.set_result(time.monotonic())


Standing = list[tuple[Visitor, asyncio.Transport]]


async def come_in(addresses: Sequence[str], ca: str | None, issued: Sequence[Issued]) -> Standing:
    """Connect all of them, dealt to the brokers, some at once; the connections stand."""
    ports = [urlsplit(address).port or 1883 for address in addresses]
    context = ssl.create_default_context(cafile=ca) if ca else None
    limit = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def one_in(place: int, one: Issued) -> tuple[Visitor, asyncio.Transport]:
        async with limit:
            transport, visitor = await loop.create_connection(
                lambda: Visitor(one),
                "127.0.0.1",
                ports[place % len(ports)],
                ssl=context,
                server_hostname="localhost" if context else None,
                local_addr=(f"127.0.0.{2 + place % SOURCES}", 0),
            )
            assert await visitor.admitted, f"{one.device} was not let in"
            return visitor, transport

    return await asyncio.gather(*(one_in(place, one) for place, one in enumerate(issued)))


def crowd(addresses: Sequence[str], ca: str | None, issued: Sequence[Issued], line: Connection) -> None:
    """A process of devices: comes in, says so, and stays until the line ends."""
    machine.open_files()
    asyncio.run(stay(addresses, ca, issued, line))


async def stay(addresses: Sequence[str], ca: str | None, issued: Sequence[Issued], line: Connection) -> None:
    """Come in together, wait for the end, tell how many still stood."""
    line.recv()
    standing = await come_in(addresses, ca, issued)
    line.send(len(standing))
    await asyncio.to_thread(line.recv)
    line.send(sum(not visitor.gone.done() for visitor, _ in standing))
    for _, transport in standing:
        transport.abort()


class Crowd:
    """Devices in processes of their own."""

    def __init__(self, addresses: Sequence[str], ca: str | None, issued: Sequence[Issued]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._lines: list[Connection] = []
        self._processes = []
        count = max(PROCESSES, -(-len(issued) // MOST_IN_PROCESS))
        for number in range(count):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=crowd, args=(addresses, ca, list(issued[number::count]), theirs))
            process.start()
            self._lines.append(ours)
            self._processes.append(process)
        time.sleep(2.0)  # until all have imported what they need

    def come(self) -> float:
        """All of them come in; how many seconds it took."""
        began = time.monotonic()
        for line in self._lines:
            line.send(None)
        for line in self._lines:
            line.recv()
        return time.monotonic() - began

    def leave(self) -> int:
        """All of them leave; how many still stood."""
        for line in self._lines:
            line.send(None)
        stood = sum(int(line.recv()) for line in self._lines)
        for process in self._processes:
            process.join(30)
        return stood
