"""How fast the multiplexed simulator is, and what a message costs it: into two brokers, nobody subscribed.

    python -m tests.bench.simulator                                 3.7 million devices, 150,000 messages/s, 20 s
    python -m tests.bench.simulator --rate 50000 --seconds 60 --out bench/simulator.json
    python -m tests.bench.simulator --rival mqttjs --rival paho     the same messages/s as far as they get, in turn
    python -m tests.bench.simulator --lines 10 --mqttx "node mqttx-cli/bin/index.js"    beside `mqttx bench pub`

The brokers are configured as the stack's own, without credentials and persistence. The rivals publish payloads of the
same size at QoS 1 over as many connections: `mqttjs` is MQTT.js, the library of `mqttx bench pub`, installed by npm
into a folder that goes afterwards; `paho` is paho-mqtt, one thread a connection. `mqttx` itself (MQTTX CLI, where there
is one) sends one message per connection and millisecond at most, so it needs a connection for each 1,000 messages/s.
"""

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from dothi.output import console, print_table
from simulators.behaviour import Column
from simulators.city import City, natural_rate
from simulators.drive import drive
from simulators.fleet import Fleet, build, districts, zones_of
from simulators.messages import Messages
from simulators.packets import Packets
from simulators.publish import Broker
from simulators.spool import Spool
from simulators.tally import Tally
from tests.mosquitto import Mosquitto, mosquitto

RIVALS = Path(__file__).parent / "rivals"
LEAD_S = 2.0
PER_100K = 1e5
PAYLOAD = 195
"""Bytes, as a city's are on average."""


class Timed(City):
    """A city that notes the CPU seconds of its parts."""

    schedule_s = values_s = packets_s = 0.0

    def until(self, moment: float) -> Messages:
        """As a city's."""
        begun = time.thread_time()
        messages = super().until(moment)
        self.schedule_s += time.thread_time() - begun
        return messages

    def packets(self, messages: Messages) -> Packets:
        """As a city's; without the values, which are noted apart."""
        begun, before = time.thread_time(), self.values_s
        packets = super().packets(messages)
        self.packets_s += time.thread_time() - begun - (self.values_s - before)
        return packets

    def _columns(self, number: int, messages: Messages) -> dict[str, Column]:
        begun = time.thread_time()
        columns = super()._columns(number, messages)
        self.values_s += time.thread_time() - begun
        return columns


def cpu_s(who: int) -> float:
    """User and system seconds of this process or of children that have ended."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def broker_cpu_s(brokers: list[Mosquitto]) -> float:
    """User and system seconds of all brokers."""
    times = [psutil.Process(broker.process.pid).cpu_times() for broker in brokers if broker.process]
    return sum(one.user + one.system for one in times)


def measure(fleet: Fleet, brokers: list[Mosquitto], rate: float, seconds: float, per_broker: int) -> dict[str, Any]:
    """One run of our own."""
    start = time.time() + LEAD_S
    city = Timed(fleet, start=start, boot=int(start), speed=rate / natural_rate(fleet))
    cut = np.array_split(np.array(fleet.areas), len(brokers))
    where = [Broker(broker.url, tuple(areas.tolist())) for broker, areas in zip(brokers, cut, strict=True)]
    before = (cpu_s(resource.RUSAGE_SELF), cpu_s(resource.RUSAGE_CHILDREN), broker_cpu_s(brokers))
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "sent.spool") as spool:
        said = drive(
            city,
            where,
            start=start,
            seconds=seconds,
            stop=threading.Event(),
            spool=spool,
            tally=tally,
            per_broker=per_broker,
        )
    writing = cpu_s(resource.RUSAGE_SELF) - before[0]
    parts = {"schedule": city.schedule_s, "values": city.values_s, "packets": city.packets_s}
    parts |= {"hand over, spool": writing - sum(parts.values())}
    parts |= {"send, PUBACK": cpu_s(resource.RUSAGE_CHILDREN) - before[1], "whole": 0.0}
    parts["whole"] = sum(parts.values())
    costs = {name: round(used / said["sent"] * PER_100K, 3) for name, used in parts.items()}
    brokers_s = (broker_cpu_s(brokers) - before[2]) / said["sent"] * PER_100K
    memory = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "devices": len(fleet),
        "rate_wanted_per_s": round(city.rate_per_s, 1),
        "rate_error_percent": round((said["rate_per_s"] / city.rate_per_s - 1) * 100, 3),
        "cpu_s_per_100k": costs,
        "broker_cpu_s_per_100k": round(brokers_s, 3),
        "memory_mib": {"writer": round(memory[0]), "sender": round(memory[1])},
        "load_average": os.getloadavg()[0],
        **said,
    }


def rival(name: str, folder: Path, broker: Mosquitto, rate: float, seconds: float, lines: int) -> dict[str, Any]:
    """One run of another simulator, on one broker; it prints what it did as JSON."""
    if name == "mqttjs":
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, "mqtt@5"], check=True)
        (folder / "rival.js").write_text((RIVALS / "mqttjs.js").read_text())
        command = ["node", str(folder / "rival.js")]
    else:
        command = [sys.executable, str(RIVALS / "paho_threads.py")]
    asked = [str(broker.port), str(lines), str(rate), str(seconds), str(PAYLOAD)]
    said = json.loads(subprocess.run([*command, *asked], check=True, capture_output=True, text=True).stdout)
    return {"rival": name, "cpu_s_per_100k": round(said["cpu_s"] / max(said["acknowledged"], 1) * PER_100K, 3), **said}


def mqttx(command: str, broker: Mosquitto, rate: float, seconds: float) -> dict[str, Any]:
    """One run of `mqttx bench pub`: so many messages as are due in `seconds`, acknowledged, on one broker."""
    lines, most = max(1, round(rate / 1000)), round(rate * seconds)
    topic, payload = "dothi/v1/213/me-213-%i/up", "x" * PAYLOAD
    asked = f"bench pub -h 127.0.0.1 -p {broker.port} -c {lines} -i 1 -im 1 -q 1 -t {topic} -m {payload} -L {most}"
    begun, before = time.monotonic(), cpu_s(resource.RUSAGE_CHILDREN)
    subprocess.run([*shlex.split(command), *asked.split()], check=False, capture_output=True, timeout=20 * seconds)
    used, took = cpu_s(resource.RUSAGE_CHILDREN) - before, time.monotonic() - begun
    costs = {"cpu_s": used, "cpu_s_per_100k": round(used / most * PER_100K, 3)}
    return {"rival": "mqttx", "connections": lines, "sent": most, "rate_per_s": round(most / took, 1), **costs}


def show(run: dict[str, Any], rivals: list[dict[str, Any]]) -> None:
    """The tables."""
    costs = run["cpu_s_per_100k"]
    print_table(("part", "CPU s per 100,000 messages"), [*costs.items(), ("brokers", run["broker_cpu_s_per_100k"])])
    told = {name: value for name, value in run.items() if not isinstance(value, dict)}
    print_table(("figure", "value"), [*told.items(), *((f"{k} MiB", v) for k, v in run["memory_mib"].items())])
    if rivals:
        rows = [("dothi", run["rate_per_s"], costs["whole"], round(PER_100K / costs["whole"]), 1.0)]
        for one in rivals:
            cost = one["cpu_s_per_100k"]
            rows.append(
                (one["rival"], one["rate_per_s"], cost, round(PER_100K / cost), round(cost / costs["whole"], 1))
            )
        print_table(("simulator", "messages/s", "CPU s/100,000", "messages per CPU s", "times our cost"), rows)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=150_000.0, help="messages/s")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--density", type=float, default=200.0, help="devices per 100 people of Bac Giang in 2030")
    parser.add_argument("--brokers", type=int, default=2)
    parser.add_argument("--lines", type=int, default=2, help="connections to each broker")
    parser.add_argument("--rival", choices=["mqttjs", "paho"], action="append", default=[])
    parser.add_argument("--mqttx", help="command of the MQTTX CLI, to run `bench pub` of it, too")
    parser.add_argument("--rival-rate", type=float, default=20_000.0, help="messages/s asked of a rival")
    parser.add_argument("--out", type=Path, help="also write the figures there, as JSON")
    asked = parser.parse_args()
    fleet = build(districts(zones_of("bac-giang"), asked.density), 1)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        brokers = [stack.enter_context(mosquitto(Path(name))) for _ in range(asked.brokers)]
        run = measure(fleet, brokers, asked.rate, asked.seconds, asked.lines)
        rivals = [
            rival(one, Path(name), brokers[0], asked.rival_rate, asked.seconds, asked.brokers * asked.lines)
            for one in asked.rival
        ]
        if asked.mqttx:
            rivals.append(mqttx(asked.mqttx, brokers[0], asked.rival_rate, asked.seconds))
    show(run, rivals)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps({"run": run, "rivals": rivals}, indent=2) + "\n")
        console.print(f"written: {asked.out}", highlight=False)


if __name__ == "__main__":
    main()
