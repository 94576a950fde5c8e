"""A million devices with credentials: issuing them, the gate's table, coming in, and being sent away.

    python -m tests.bench.credentials [--devices 1000000] [--connected 15000] [--json]

A whole stack in a temporary folder. CPU seconds are those of the broker's process, so that what the clients of this
machine cost beside it does not count; rates per second do suffer from it.
"""

import argparse
import asyncio
import multiprocessing
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from devices import credentials
from devices.credentials import Issued
from devices.gate.table import Table
from dothi.output import print_json, print_table
from dothi.stack import machine
from ingest import mqtt
from tests.bench.registry import enroll
from tests.stack import RunningStack, running_stack

PROCESSES = 3
AT_ONCE = 50
ROUND = 5_000
SINGLES = 20
MANY = 200
SOURCES = 8  # addresses of ours: each has 28,000 ports


def main() -> None:
    """Measure, and print a table or one JSON document."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--devices", type=int, default=1_000_000)
    arguments.add_argument("--connected", type=int, default=15_000)
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    machine.open_files()
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        figures = measured(stack, asked.devices, asked.connected)
    if asked.json:
        print_json(figures)
    else:
        print_table(("what", "figure"), list(figures.items()))


def measured(stack: RunningStack, devices: int, connected: int) -> dict[str, float]:
    """All figures of one run."""
    figures: dict[str, float] = {"devices": devices}
    broker = psutil.Process(stack.document["processes"]["broker"][0])
    figures["broker_rss_mb_empty"] = rss(broker)
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        note(figures, "enrolled_s", lambda: enroll(connection, devices))
        before = rss(psutil.Process())
        issued = note(figures, "issued_s", lambda: credentials.issue(connection, names(devices)))
        figures["issuing_mb"] = rss(psutil.Process()) - before
        note(figures, "in_table_s", lambda: wait_known(stack, issued))
        figures["broker_rss_mb_table"] = rss(broker)
        figures |= rates(stack, broker, issued)
        figures |= asyncio.run(revocations(stack, connection, broker, issued, connected))
    figures["table_mb_on_disk"] = (stack.folder / "broker-0/gate.table").stat().st_blocks * 512 / 2**20
    figures |= restarted(stack, broker)
    return {name: round(value, 3) for name, value in figures.items()}


def names(devices: int) -> list[str]:
    """Ids as they were enrolled."""
    return [f"bench-{number + 1:07d}" for number in range(devices)]


def note(figures: dict[str, float], name: str, action: Callable[[], Any]) -> Any:
    """Do something and keep how long it took."""
    began = time.monotonic()
    result = action()
    figures[name] = time.monotonic() - began
    sys.stderr.write(f"{name} {figures[name]:.1f}\n")
    return result


def rss(process: psutil.Process) -> float:
    """Resident memory that is not shared with files, MB."""
    memory = process.memory_info()
    return float(memory.rss - memory.shared) / 2**20


def cpu(process: psutil.Process) -> float:
    """CPU seconds so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def wait_known(stack: RunningStack, issued: Sequence[Issued]) -> None:
    """Until the gate's table has the last of them."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        table = Table(stack.folder / "broker-0/gate.table")
        there = all(table.tokens(one.device)[0] == credentials.hash_of(one.token) for one in (issued[0], issued[-1]))
        table.close()
        if there:
            time.sleep(1.5)  # the gate looks for another file once a second
            return
        time.sleep(0.1)
    raise AssertionError("the table does not follow")


# --- coming in


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


async def come_in(
    address: str, ca: str | None, issued: Sequence[Issued]
) -> tuple[list[Visitor], list[asyncio.Transport]]:
    """Connect all of them, some at once; the connections stand."""
    where = urlsplit(address)
    context = ssl.create_default_context(cafile=ca) if ca else None
    limit = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def one_in(place: int, one: Issued) -> tuple[Visitor, asyncio.Transport]:
        async with limit:
            transport, visitor = await loop.create_connection(
                lambda: Visitor(one),
                "127.0.0.1",
                where.port,
                ssl=context,
                server_hostname="localhost" if context else None,
                local_addr=(f"127.0.0.{2 + place % SOURCES}", 0),
            )
            assert await visitor.admitted, f"{one.device} was not let in"
            return visitor, transport

    pairs = await asyncio.gather(*(one_in(place, one) for place, one in enumerate(issued)))
    return [visitor for visitor, _ in pairs], [transport for _, transport in pairs]


def crowd(address: str, ca: str | None, issued: Sequence[Issued], line: Connection) -> None:
    """A process of devices: comes in, says so, and stays until the line ends."""
    machine.open_files()
    asyncio.run(stay(address, ca, issued, line))


async def stay(address: str, ca: str | None, issued: Sequence[Issued], line: Connection) -> None:
    """Come in together, wait for the end."""
    line.recv()
    _, transports = await come_in(address, ca, issued)
    line.send(len(transports))
    await asyncio.to_thread(line.recv)
    for transport in transports:
        transport.abort()


class Crowd:
    """Devices in processes of their own."""

    def __init__(self, address: str, ca: str | None, issued: Sequence[Issued]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._lines: list[Connection] = []
        self._processes = []
        for number in range(PROCESSES):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=crowd, args=(address, ca, list(issued[number::PROCESSES]), theirs))
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

    def leave(self) -> None:
        """All of them leave."""
        for line, process in zip(self._lines, self._processes, strict=True):
            line.send(None)
            process.join(30)


def rates(stack: RunningStack, broker: psutil.Process, issued: Sequence[Issued]) -> dict[str, float]:
    """Connections per second and what they cost the broker, plain and over TLS."""
    figures: dict[str, float] = {}
    step = max(1, len(issued) // ROUND)
    for name, address, ca in (("plain", "broker", None), ("tls", "tls", stack.document["ca"])):
        guests = Crowd(stack.document[address], ca, issued[::step][:ROUND])
        before = cpu(broker)
        seconds = guests.come()
        figures[f"{name}_connects_per_s"] = ROUND / seconds
        figures[f"{name}_broker_cpu_s_per_10000"] = (cpu(broker) - before) / ROUND * 10_000
        figures[f"{name}_broker_rss_mb_{ROUND}"] = rss(broker)
        guests.leave()
        time.sleep(3.0)
    return figures


# --- being sent away


async def revocations(
    stack: RunningStack,
    connection: psycopg.Connection,
    broker: psutil.Process,
    issued: Sequence[Issued],
    connected: int,
) -> dict[str, float]:
    """How long it takes from the COMMIT until they are gone, one by one and many at once, among many who stay."""
    ours, others = issued[: SINGLES + MANY], issued[SINGLES + MANY :][:connected]
    guests = await asyncio.to_thread(Crowd, stack.document["tls"], stack.document["ca"], others)
    await asyncio.to_thread(guests.come)
    visitors, _ = await come_in(stack.document["broker"], None, ours)
    figures = {"connected": len(others) + len(visitors), "broker_rss_mb_connected": rss(broker)}
    singles = []
    for one, visitor in zip(ours[:SINGLES], visitors, strict=False):
        began = time.monotonic()
        credentials.revoke(connection, [one.device])
        singles.append(await visitor.gone - began)
    figures |= {"revoked_s_median": median(singles), "revoked_s_most": max(singles)}
    began = time.monotonic()
    credentials.revoke(connection, [one.device for one in ours[SINGLES:]])
    figures[f"revoked_{MANY}_s"] = max(await asyncio.gather(*(one.gone for one in visitors[SINGLES:]))) - began
    await asyncio.to_thread(guests.leave)
    return figures


def restarted(stack: RunningStack, broker: psutil.Process) -> dict[str, float]:
    """How long the broker is away when it is killed, with the table as it is."""
    port = urlsplit(stack.document["broker"]).port
    broker.kill()
    began = time.monotonic()
    while not any(
        one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in psutil.net_connections("tcp4")
    ) or psutil.pid_exists(broker.pid):
        time.sleep(0.02)
    return {"broker_back_s": time.monotonic() - began}


if __name__ == "__main__":
    main()
