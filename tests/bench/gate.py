"""What the gate costs per message: CPU seconds of the broker for 100,000 messages of the gateway, by topic.

    python -m tests.bench.gate [--messages 100000] [--rounds 3] [--json]

One broker with the rules of a whole stack and nobody who listens, QoS 1, one connection with 2,000 messages under way.
What is measured beside the gate is reading a PUBLISH and answering it: the same for every topic that is allowed.
"""

import argparse
import socket
import tempfile
import threading
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psutil

from devices.area import ZONES
from devices.route import ROUTES
from dothi.output import print_json, print_table
from dothi.runtime import Runtime, find_runtime
from dothi.stack.account import account_for
from dothi.stack.embedded import Embedded
from dothi.stack.leftovers import held
from dothi.stack.plan import Plan
from dothi.stack.ports import ports
from ingest import mqtt
from ingest.mqtt import packet

WINDOW = 2_000
PAYLOAD = b'{"time":1763690400000,"seq":1,"metrics":{"pm25":41.2,"temperature":28.5}}'
TOPICS = {
    "our own, first area": f"dothi/v1/{ZONES[0].code}/bench-1/up",
    "our own, last area": f"dothi/v1/{ZONES[-1].code}/bench-1/up",
    "first route": next(iter(ROUTES.values())).topics[0].replace("+", "bench-1").replace("#", "bench-1"),
    "last route": [*ROUTES.values()][-1].topics[-1].replace("+", "bench-1").replace("#", "bench-1"),
    "no route": "nobody/takes/this",
}


def main() -> None:
    """Measure, and print a table or one JSON document."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="dothi-gate-") as name, held(Path(name)):
        figures = measured(Path(name), find_runtime(), asked.messages, asked.rounds)
    if asked.json:
        print_json(figures)
    else:
        print_table(("topic", "broker CPU (s per 100,000 messages)"), list(figures.items()))


def measured(folder: Path, runtime: Runtime, messages: int, rounds: int) -> dict[str, float]:
    """CPU seconds of each topic, the median of the rounds."""
    routes = {name: route.topics for name, route in ROUTES.items()}
    areas = [zone.code for zone in ZONES]
    stack = Embedded(Plan(folder, database_url="postgresql://none"), runtime, areas, routes, threading.Event())
    chosen = ports(folder, ["broker 0", "broker 0 tls"])
    try:
        for part in stack.brokers.parts(runtime, account_for(folder), chosen):
            stack.supervisor.add(part)
        stack.supervisor.wait_ready(["broker 0"], 30, stack.stop)
        url = stack.brokers.addresses()[0].gateway
        broker = psutil.Process(stack.supervisor.pid("broker 0"))
        found: dict[str, list[float]] = {name: [] for name in TOPICS}
        for _ in range(rounds):
            for name, topic in TOPICS.items():
                found[name].append(spent(broker, url, topic, messages))
        return {name: round(median(some), 3) for name, some in found.items()}
    finally:
        stack.end()


def spent(broker: psutil.Process, url: str, topic: str, messages: int) -> float:
    """CPU seconds of the broker for 100,000 messages of one topic."""
    parts = urlsplit(url)
    # The packet's number, two bytes, is put in afterwards.
    one = packet(0x32, len(topic).to_bytes(2) + topic.encode() + b"%b" + b"\x00" + PAYLOAD)
    window = b"".join(one.replace(b"%b", (pid + 1).to_bytes(2)) for pid in range(WINDOW))
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
        connection.sendall(mqtt.connect("bench-gate", parts.username, parts.password, 60, WINDOW))
        connection.recv(1 << 16)
        before = sum(broker.cpu_times()[:2])
        for _ in range(messages // WINDOW):
            connection.sendall(window)
            answered(connection, WINDOW)
        return (sum(broker.cpu_times()[:2]) - before) * 100_000 / messages


def answered(connection: socket.socket, count: int) -> None:
    """Wait for so many PUBACKs; with a reason code they are of six bytes, without of four."""
    rest = b""
    while count:
        rest += connection.recv(1 << 18)
        while len(rest) >= 2 and len(rest) >= rest[1] + 2:
            rest, count = rest[rest[1] + 2 :], count - 1


if __name__ == "__main__":
    main()
