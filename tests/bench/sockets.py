"""Tens of thousands of devices with connections of their own: coming, staying, and a storm of those who lost power.

    python -m tests.bench.sockets [--connections 45000] [--brokers 3] [--storm 15000] [--tls] [--json]
    python -m tests.bench.sockets --rival     also 15,000 connections of MQTT.js, the library of `mqttx bench conn`

A whole stack in a temporary folder; each device has its own token. CPU seconds are those of the processes named.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import psycopg
from numpy.typing import NDArray

from devices import credentials
from devices.enroll_columns import enroll_columns
from dothi.output import print_json, print_table
from dothi.stack import machine
from simulators.fleet import Fleet, build, districts, pieces, zones_of
from simulators.preflight import check_sockets, listeners_of, processes_for, refusal
from simulators.preflight import machine as here
from simulators.scenario import Outage
from simulators.sockets import LEAD_S, Crowd
from simulators.sockets_guests import Guests, broker_of
from simulators.sockets_manner import Manner
from simulators.sockets_part import Rehearsal
from simulators.tally import Tally
from tests.stack import RunningStack, running_stack

COMING_S = 90.0
QUIET_S, DARK_S, AFTER_S = 10.0, 5.0, 20.0
RIVAL_CONNECTIONS = 15_000
RIVALS = Path(__file__).parent / "rivals"


def main() -> None:
    """Measure, and print a table or one JSON document."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--connections", type=int, default=45_000)
    arguments.add_argument("--brokers", type=int, default=3)
    arguments.add_argument("--storm", type=int, default=15_000)
    arguments.add_argument("--processes", type=int, default=None)
    arguments.add_argument("--tls", action="store_true")
    arguments.add_argument("--listen", action="store_true")
    arguments.add_argument("--rival", action="store_true")
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    machine.open_files()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), "--broker-shards", str(asked.brokers)) as stack,
    ):
        figures = measured(stack, asked)
        if asked.rival:
            figures |= beside(stack)
    if asked.json:
        print_json(figures)
    else:
        print_table(("what", "figure"), [(name, str(value)) for name, value in figures.items()])


def measured(stack: RunningStack, asked: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    fleet = build(districts(zones_of("bac-giang"), 100, people=asked.connections), 1)
    processes = asked.processes or processes_for(len(fleet), here())
    brokers = [(one["tls" if asked.tls else "url"], tuple(one["areas"])) for one in stack.document["brokers"]]
    pids = stack.document["processes"]["broker"]
    require(fleet, brokers, pids, processes, asked.tls)
    tokens, issued_s = known(stack, fleet)
    manner = Manner(ca=stack.document["ca"] if asked.tls else None, listen=asked.listen)
    guests, watch, stop = Guests(fleet, tokens, brokers, manner), Brokers(pids), threading.Event()
    guests.check_doors()
    with Crowd(guests, processes=processes, progress=watch.shown, progress_s=1.0) as crowd:
        came = crowd.come(stop, COMING_S)
        start = time.time() + LEAD_S
        summary = crowd.speak(
            Rehearsal(start, int(start)),
            seconds=QUIET_S + DARK_S + AFTER_S,
            stop=stop,
            outages=[storm(len(fleet), asked.storm, start + QUIET_S)],
        )
    return {"devices": len(fleet), "came": came, "issued_s": round(issued_s, 2), **summary, **watch.figures(len(fleet))}


def storm(devices: int, many: int, start: float) -> Outage:
    """So many of the devices without power for a while."""
    dark = np.random.default_rng(1).choice(devices, min(many, devices), replace=False)
    return Outage(np.sort(dark).astype(np.uint32), start, start + DARK_S, restart=True)


def require(
    fleet: Fleet, brokers: Sequence[tuple[str, Sequence[str]]], pids: Sequence[int], processes: int, tls: bool
) -> None:
    """End here when the machine or a broker is too small."""
    everyone = np.arange(len(fleet), dtype=np.uint32)
    many = np.bincount(broker_of(fleet, everyone, [areas for _, areas in brokers]), minlength=len(brokers)).tolist()
    names = [str(urlsplit(url).port) for url, _ in brokers]
    if why := refusal(check_sockets(len(fleet), listeners_of(names, many, pids), here(), processes=processes, tls=tls)):
        sys.exit(why)


def known(stack: RunningStack, fleet: Fleet) -> tuple[NDArray[np.bytes_], float]:
    """A token for each device, and how long it took to issue them."""
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll_columns(connection, lambda: pieces(fleet))
        began = time.monotonic()
        issued = credentials.issue(connection, fleet.ids())
        took = time.monotonic() - began
    stack.wait_known()
    return np.array([one.token.encode() for one in issued]), took


class Brokers:
    """The processes of the brokers, before and while the devices are there."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._before, self._cpu = self._memory(), self._spent()
        self._most = self._before

    def shown(self, seconds: float, tally: Tally) -> None:
        """Note what they take now, and print a line."""
        self._most = max(self._most, self._memory())
        sys.stderr.write(f"{seconds:6.1f} s  {tally.up:,} connected  {tally.sent:,} sent\n")

    def figures(self, connections: int) -> dict[str, float]:
        """What they took."""
        return {
            "broker_bytes_per_connection": round((self._most - self._before) / connections),
            "broker_cpu_s": round(self._spent() - self._cpu, 1),
        }

    def _memory(self) -> int:
        return sum(process.memory_info().rss - process.memory_info().shared for process in self._processes)

    def _spent(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)


def beside(stack: RunningStack) -> dict[str, Any]:
    """What MQTT.js takes for connections, with the gateway's account at the first broker."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "install", "--silent", "--prefix", folder, "mqtt@5"], check=True)
        (Path(folder) / "rival.js").write_text((RIVALS / "connections.js").read_text())
        command = ["node", str(Path(folder) / "rival.js"), stack.document["broker"], str(RIVAL_CONNECTIONS)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            one = psutil.Process(process.pid)
            said = [process.stdout.readline()]
            before, began = one.memory_info().rss - one.memory_info().shared, time.monotonic()
            process.stdin.write("go\n")
            process.stdin.flush()
            said.append(process.stdout.readline())
            took, after, spent = time.monotonic() - began, one.memory_info(), sum(one.cpu_times()[:2])
            process.stdin.close()
    assert said == ["ready\n", "there\n"]
    return {
        "rival_connections": RIVAL_CONNECTIONS,
        "rival_connects_per_s": round(RIVAL_CONNECTIONS / took, 1),
        "rival_cpu_s": round(spent, 2),
        "rival_memory_mb": round((after.rss - after.shared) / 2**20, 1),
        "rival_bytes_per_connection": round((after.rss - after.shared - before) / RIVAL_CONNECTIONS),
    }


if __name__ == "__main__":
    main()
