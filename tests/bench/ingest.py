"""What a message costs: CPU seconds per 100,000 of every process between the broker's door and the COMMIT.

    make bench                                   the table, and bench/ingest.json
    python -m tests.bench.ingest --messages 200000 --devices 100000 --rate 20000

The publisher writes packets made beforehand over a few connections: it costs little and is not what is measured.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ingest import mqtt
from tests.stack import RunningStack, running_stack

CONNECTIONS = 4
WINDOW = 2_000  # unacknowledged messages per connection


def packets(devices: int, numbers: range, now_ms: int) -> list[bytes]:
    """PUBLISH packets at QoS 1 with three metrics each, about 120 bytes of payload."""
    made = []
    for number in numbers:
        device = number % devices
        payload = (
            b'{"time": %d, "seq": %d, "metrics": {"pm25": %.1f, "temperature": %.1f, "relative_humidity": 0.%02d}}'
            % (now_ms + number // devices, number, 20 + number % 300 / 10, 25 + number % 90 / 10, number % 100)
        )
        topic = b"dothi/v1/213/bench-%07d/up" % device
        pid = number % 60_000 + 1
        body = len(topic).to_bytes(2) + topic + pid.to_bytes(2) + b"\x00" + payload
        made.append(b"\x32" + mqtt.encode_length(len(body)) + body)
    return made


async def publish(url: str, number: int, made: list[bytes], rate: float) -> None:
    """One connection: write packets, never more than a window ahead of the PUBACKs, at most `rate` per second."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(mqtt.connect(f"bench-{number}", parts.username, parts.password, 0, 65_535))
    connack = await reader.readexactly(2)
    await reader.readexactly(connack[1])
    began, sent, acknowledged, rest = time.monotonic(), 0, 0, b""
    while acknowledged < len(made):
        due = len(made) if not rate else int((time.monotonic() - began) * rate) + 1
        until = min(acknowledged + WINDOW, due, len(made))
        if until > sent:
            writer.write(b"".join(made[sent:until]))
            sent = until
        try:
            async with asyncio.timeout(0.01 if rate else None):
                rest += await reader.read(65_536)
        except TimeoutError:
            continue
        acknowledged, rest = count_pubacks(acknowledged, rest)
    writer.close()


def count_pubacks(acknowledged: int, stream: bytes) -> tuple[int, bytes]:
    """PUBACKs in the stream, and what is not whole yet."""
    at = 0
    while len(stream) - at >= 2 and len(stream) - at >= 2 + stream[at + 1]:
        acknowledged += stream[at] == 0x40
        at += 2 + stream[at + 1]
    return acknowledged, stream[at:]


def cpu_s(pids: list[int]) -> float:
    """User and system seconds of processes with all they have started."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def measure(stack: RunningStack, arguments: argparse.Namespace) -> dict[str, Any]:
    """Publish, wait until everything is committed, and divide."""
    stack.folder.joinpath("bench.csv").write_text(
        "device,profile,area\n"
        + "\n".join(f"bench-{n:07d},native-air-quality,213" for n in range(arguments.devices))
        + "\n"
    )
    stack.dothi("devices", "enroll", str(stack.folder / "bench.csv"))
    time.sleep(3)
    share = arguments.messages // CONNECTIONS
    now_ms = time.time_ns() // 1_000_000
    made = [packets(arguments.devices, range(n * share, (n + 1) * share), now_ms) for n in range(CONNECTIONS)]
    running = stack.document["processes"]
    groups = {"broker": running["broker"], "database": [running["database"]], "workers": running["workers"]}
    before = {name: cpu_s(pids) for name, pids in groups.items()}
    rate = arguments.rate / CONNECTIONS
    began = time.monotonic()

    async def all_connections() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, own in enumerate(made):
                tasks.create_task(publish(stack.document["broker"], number, own, rate))

    asyncio.run(all_connections())
    total = share * CONNECTIONS
    count = "select coalesce(sum(stored), 0) from ops.ledger where inbox = '213'"
    stack.wait_for(count, until=lambda stored: stored >= total)
    wall_s = time.monotonic() - began
    assert stack.query("select count(*) from reading.air_quality") == [(total,)]
    costs = {name: (cpu_s(pids) - before[name]) / total * 1e5 for name, pids in groups.items()}
    return {"messages": total, "devices": arguments.devices, "messages_per_s": total / wall_s, "cpu_s_per_100k": costs}


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=0, help="messages/s; 0 = as fast as the broker acknowledges")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    results = []
    for run in range(arguments.runs):
        with (
            tempfile.TemporaryDirectory() as folder,
            running_stack(Path(folder), "--workers", str(arguments.workers)) as stack,
        ):
            results.append(measure(stack, arguments))
        costs = ", ".join(f"{name} {cost:.2f}" for name, cost in results[-1]["cpu_s_per_100k"].items())
        print(f"run {run + 1}: {results[-1]['messages_per_s']:,.0f} messages/s; CPU s per 100,000: {costs}", flush=True)  # noqa: T201
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    Path("bench").mkdir(exist_ok=True)
    Path("bench/ingest.json").write_text(json.dumps({"machine": machine, "runs": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
