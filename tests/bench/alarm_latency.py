"""From publish to the row of an alarm, while a stack stores thousands of messages a second.

    python -m tests.bench.alarm_latency [--rate 20000] [--seconds 60] [--probes 4] [--devices 20000] [--json]

Some devices, each once, send a reading beyond a limit that rings at once and for each device by itself; the row counts
as there when another session sees it, at looks 20 ms apart. Beside them the others send ordinary readings. CPU is of
the analyst and of its sessions in the database.
"""

import argparse
import json
import multiprocessing
import random
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import psycopg

from devices.area import ZONES
from devices.enroll import Row
from devices.registry import enroll
from dothi.output import print_json, print_table
from ingest import mqtt
from ingest.mqtt import packet
from tests.bench.tail import pid, readable, stored
from tests.stack import RunningStack, running_stack

RULES = """
rules:
  - {name: probe, from: limit, kind: probe, family: air_quality, metric: pm25, when: ">", raise: 900, clear: 800,
     severity: critical, fold: device, title: {vi: Thử, en: Probe}}
"""
SLICES_PER_S = 20
WARM_S = 10.0
LOOK_S = 0.02
LATE_S = 30.0
AREAS = [zone.code for zone in ZONES]


def main() -> None:
    """Measure, and print a table or one JSON document."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rate", type=int, default=20_000, help="messages/s of all senders together")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--probes", type=float, default=4.0, help="readings a second that ring")
    arguments.add_argument("--devices", type=int, default=20_000)
    arguments.add_argument("--senders", type=int, default=2)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.yaml"
        rules.write_text(RULES)
        given = {"DOTHI_ALARM_RULES": str(rules)}
        with running_stack(Path(folder), "--workers", str(asked.workers), environment=given) as stack:
            figures = measured(stack, asked)
    if asked.json:
        print_json(figures)
    else:
        print_table(("what", "figure"), list(figures.items()))


def measured(stack: RunningStack, asked: argparse.Namespace) -> dict[str, float]:
    """All figures of one run."""
    probes = [f"probe-{number:05d}" for number in range(int(asked.seconds * asked.probes))]
    ids = [f"bench-{number:06d}" for number in range(asked.devices)]
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll(connection, [Row(one, "native-air-quality", area_of(one)) for one in (*ids, *probes)])
    time.sleep(2.5)
    seconds = int(asked.seconds + 2 * WARM_S)
    share = (stack.document["broker"], ids, asked.rate // asked.senders, seconds)
    senders = [multiprocessing.Process(target=send, args=(place, *share)) for place in range(asked.senders)]
    for sender in senders:
        sender.start()
    time.sleep(WARM_S)
    seen: dict[str, float] = {}
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(stack.document["database"], seen, done))
    watcher.start()
    before, cpu, begun = stored(stack), cpu_s(stack), time.monotonic()
    sent = ring(stack, probes, asked.seconds)
    rows, spent, took = stored(stack) - before, minus(cpu_s(stack), cpu), time.monotonic() - begun
    deadline = time.monotonic() + LATE_S
    while len(seen) < len(sent) and time.monotonic() < deadline:
        time.sleep(0.1)
    done.set()
    watcher.join()
    for sender in senders:
        sender.join()
    return figures(sent, seen, rows, spent, took)


def area_of(device: str) -> str:
    """Devices lie all over the zones."""
    return AREAS[int(device.rpartition("-")[2]) % len(AREAS)]


def send(place: int, url: str, ids: list[str], rate: int, seconds: int) -> None:
    """Publish at a steady rate, QoS 1, until the time is over."""
    parts, chance = urlsplit(url), random.Random(place)  # noqa: S311 -- the same in every run
    topics = [f"dothi/v1/{area_of(one)}/{one}/up".encode() for one in ids]
    begun, sequence = time.monotonic(), place << 32
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(mqtt.connect(f"bench-alarm-{place}", parts.username, parts.password, 60, 60_000))
        for number in range(seconds * SLICES_PER_S):
            some = []
            for _ in range(rate // SLICES_PER_S):
                sequence += 1
                topic = topics[chance.randrange(len(topics))]
                said = b'{"time":%d,"seq":%d,"metrics":{"pm25":%d,"pm10":9}}' % (
                    *(time.time_ns() // 10**6, sequence, sequence % 40),
                )
                some.append(packet(0x32, len(topic).to_bytes(2) + topic + pid(sequence) + b"\x00" + said))
            connection.sendall(b"".join(some))
            connection.setblocking(False)
            while readable(connection):
                pass
            connection.setblocking(True)
            time.sleep(max(begun + (number + 1) / SLICES_PER_S - time.monotonic(), 0))


def ring(stack: RunningStack, probes: list[str], seconds: float) -> dict[str, float]:
    """Publish what rings, evenly; when each was handed over, s since 1970."""
    sent, begun = {}, time.monotonic()
    with stack.gateway() as gateway:
        for number, device in enumerate(probes):
            time.sleep(max(begun + (number + 1) * seconds / len(probes) - time.monotonic(), 0))
            sent[device] = time.time()
            said = {"time": int(sent[device] * 1000), "seq": 1, "metrics": {"pm25": 1000.0}}
            gateway.publish(f"dothi/v1/{area_of(device)}/{device}/up", json.dumps(said).encode())
        gateway.settle()
    return sent


def watch(url: str, seen: dict[str, float], done: threading.Event) -> None:
    """Note when each alarm can be seen."""
    newest = 0
    with psycopg.connect(url, autocommit=True) as connection:
        while not done.wait(LOOK_S):
            rows: list[Any] = connection.execute(
                "select l.id, d.device from ops.alarm l join registry.device d on d.id = l.device where l.id > %s",
                (newest,),
            ).fetchall()
            now = time.time()
            newest = max([newest, *(number for number, _ in rows)])
            seen |= {device: now for _, device in rows if device not in seen}


def cpu_s(stack: RunningStack) -> dict[str, float]:
    """CPU seconds of the analyst, and of its sessions."""
    document = json.loads((stack.folder / "stack.json").read_text())
    rows = stack.query("select pid from pg_stat_activity where application_name = 'dothi analyst'")
    own = sum(psutil.Process(document["processes"]["analyst"]).cpu_times()[:2])
    return {"analyst": own, "sessions": sum(sum(psutil.Process(one).cpu_times()[:2]) for (one,) in rows)}


def minus(spent: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """What was spent meanwhile."""
    return {name: spent[name] - before[name] for name in spent}


def figures(
    sent: dict[str, float], seen: dict[str, float], rows: float, spent: dict[str, float], took: float
) -> dict[str, float]:
    """Of one run, seconds."""
    late = np.array([seen[device] - at for device, at in sent.items() if device in seen] or [float("nan")])
    return {
        "stored (readings/s)": round(rows / took),
        "readings that ring": len(sent),
        "alarms seen": len(seen),
        "publish to alarm, p50 (s)": round(float(np.percentile(late, 50)), 2),
        "publish to alarm, p99 (s)": round(float(np.percentile(late, 99)), 2),
        "publish to alarm, most (s)": round(float(late.max()), 2),
        "CPU of the analyst (s/100,000 readings)": round(spent["analyst"] / max(rows, 1) * 1e5, 3),
        "CPU of its sessions (s/100,000 readings)": round(spent["sessions"] / max(rows, 1) * 1e5, 3),
    }


if __name__ == "__main__":
    main()
