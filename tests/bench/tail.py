"""What it costs to watch: `dothi devices tail` while a stack stores thousands of messages a second.

    python -m tests.bench.tail [--rate 20000] [--seconds 20] [--devices 2000] [--options="--rejected"] [--json]

Every hundredth message is partly bad, every thousandth malformed. Told is what the lines show and count together,
against what the ledger stored meanwhile. CPU is of the command and of its session in the database.
"""

import argparse
import json
import multiprocessing
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from devices.enroll import Row
from devices.registry import enroll
from dothi.output import print_json, print_table
from ingest import mqtt
from ingest.mqtt import packet
from tests.stack import RunningStack, running_stack

PROCESSES = 2
SLICES_PER_S = 20


def main() -> None:
    """Measure, and print a table or one JSON document."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rate", type=int, default=20_000)
    arguments.add_argument("--seconds", type=int, default=20)
    arguments.add_argument("--devices", type=int, default=2_000)
    arguments.add_argument("--options", default="", help="Further options of the command.")
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        figures = measured(stack, asked)
    if asked.json:
        print_json(figures)
    else:
        print_table(("what", "figure"), list(figures.items()))


def measured(stack: RunningStack, asked: argparse.Namespace) -> dict[str, float]:
    """All figures of one run."""
    ids = [f"tail-{number:05d}" for number in range(asked.devices)]
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll(connection, [Row(one, "native-air-quality", "215") for one in ids])
    stack.wait_known()
    seconds = asked.seconds + 10
    share = (stack.document["broker"], ids, asked.rate // PROCESSES, seconds)
    senders = [multiprocessing.Process(target=send, args=(place, *share)) for place in range(PROCESSES)]
    for sender in senders:
        sender.start()
    time.sleep(5)
    figures = watched(stack, asked.seconds, asked.options.split())
    for sender in senders:
        sender.join()
    return figures


def send(place: int, url: str, ids: list[str], rate: int, seconds: int) -> None:
    """Publish at a steady rate, QoS 1, until the time is over."""
    parts, chance = urlsplit(url), random.Random(place)  # noqa: S311 -- the same in every run
    begun, sequence = time.monotonic(), 0
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(mqtt.connect(f"bench-tail-{place}", parts.username, parts.password, 60, 60_000))
        for number in range(seconds * SLICES_PER_S):
            some = []
            for _ in range(rate // SLICES_PER_S):
                sequence += 1
                topic = f"dothi/v1/215/{chance.choice(ids)}/up".encode()
                some.append(packet(0x32, len(topic).to_bytes(2) + topic + pid(sequence) + b"\x00" + said(sequence)))
            connection.sendall(b"".join(some))
            connection.setblocking(False)
            while readable(connection):
                pass
            connection.setblocking(True)
            time.sleep(max(begun + (number + 1) / SLICES_PER_S - time.monotonic(), 0))


def pid(sequence: int) -> bytes:
    """A number of a packet."""
    return (sequence % 60_000 + 1).to_bytes(2)


def readable(connection: socket.socket) -> bool:
    """Read what there is; whether there may be more."""
    try:
        return bool(connection.recv(1 << 18))
    except BlockingIOError:
        return False


def said(sequence: int) -> bytes:
    """A message, bad in part or whole now and then."""
    if sequence % 1_000 == 0:
        return b"{bad"
    pm10 = -1 if sequence % 100 == 0 else 5
    return b'{"time":%d,"seq":%d,"metrics":{"pm25":%d,"pm10":%d}}' % (time.time_ns() // 10**6, sequence, 3, pm10)


def watched(stack: RunningStack, seconds: int, options: list[str]) -> dict[str, float]:
    """Run the command for so long."""
    command = [sys.executable, "-m", "dothi", "devices", "tail", "--dir", str(stack.folder), "--json"]
    before = stored(stack)
    tail = subprocess.Popen([*command, "--for", str(seconds), *options], stdout=subprocess.PIPE, text=True)
    lines: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: lines.extend(map(json.loads, tail.stdout or ())))
    reader.start()
    own, rss, cpu, database = psutil.Process(tail.pid), 0.0, 0.0, 0.0
    while tail.poll() is None:
        try:
            rss = max(rss, own.memory_info().rss / 2**20)
            cpu = sum(own.cpu_times()[:2])
            database = max(database, backend_cpu(stack))
        except psutil.Error:
            break
        time.sleep(0.25)
    reader.join()
    told = sum(one["kind"] in ("stored", "partial") for one in lines)
    counted = sum(one["stands_for"] for one in lines if one["kind"] == "more")
    return {
        "stored meanwhile (readings)": stored(stack) - before,
        "shown as stored (readings)": told,
        "shown as rejected (messages)": sum(one["kind"] == "rejected" for one in lines),
        "counted beside (readings and messages)": counted,
        "lines (per second)": len(lines) / seconds,
        "CPU of the command (share of a core)": round(cpu / seconds, 3),
        "CPU of its database session (share of a core)": round(database / seconds, 3),
        "memory of the command (MiB)": round(rss, 1),
    }


def backend_cpu(stack: RunningStack) -> float:
    """CPU seconds of the command's session."""
    rows = stack.query("select pid from pg_stat_activity where application_name = 'dothi devices tail'")
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for (pid,) in rows)


def stored(stack: RunningStack) -> float:
    """Readings stored so far."""
    return float(stack.query("select coalesce(sum(stored), 0) from ops.ledger")[0][0])


if __name__ == "__main__":
    main()
