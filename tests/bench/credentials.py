"""A million devices with credentials: issuing them, the gate's table, coming in, and being sent away.

    python -m tests.bench.credentials [--devices 1000000] [--connected 15000] [--shards 1] [--json]
    python -m tests.bench.credentials --devices 100000 --connected 50000 --shards 4

A whole stack in a temporary folder. CPU seconds are those of the brokers' processes, so that what the clients of this
machine cost beside them does not count; rates per second do suffer from it. A process may have 20,000 open files on
many machines: take a shard for every 15,000 connected devices or so.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
from tests.bench.crowd import Crowd, come_in
from tests.bench.registry import enroll
from tests.stack import RunningStack, running_stack

ROUND = 5_000
SINGLES = 20
MANY = 200


def main() -> None:
    """Measure, and print a table or one JSON document."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--devices", type=int, default=1_000_000)
    arguments.add_argument("--connected", type=int, default=15_000)
    arguments.add_argument("--shards", type=int, default=1)
    arguments.add_argument("--json", action="store_true")
    asked = arguments.parse_args()
    machine.open_files()
    shards = ("--broker-shards", str(asked.shards))
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder), *shards) as stack:
        figures = measured(stack, asked.devices, asked.connected)
    if asked.json:
        print_json(figures)
    else:
        print_table(("what", "figure"), list(figures.items()))


def measured(stack: RunningStack, devices: int, connected: int) -> dict[str, float]:
    """All figures of one run; those of one broker are of the first."""
    figures: dict[str, float] = {"devices": devices, "load_before": os.getloadavg()[0]}
    brokers = [psutil.Process(pid) for pid in stack.document["processes"]["broker"]]
    figures["broker_rss_mb_empty"] = rss(brokers[0])
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        note(figures, "enrolled_s", lambda: enroll(connection, devices))
        before = rss(psutil.Process())
        tokens = note(figures, "issued_s", lambda: credentials.issue_tokens(connection, names(devices)))
        figures["issuing_mb"] = rss(psutil.Process()) - before
        issued = credentials.issued(names(devices), tokens)
        note(figures, "in_table_s", lambda: wait_known(stack, issued))
        figures["broker_rss_mb_table"] = rss(brokers[0])
        figures |= rates(stack, brokers[0], issued)
        figures |= asyncio.run(revocations(stack, connection, brokers, issued, connected))
    figures["table_mb_on_disk"] = (stack.folder / "broker-0/gate.table").stat().st_blocks * 512 / 2**20
    figures["load_after"] = os.getloadavg()[0]
    figures |= restarted(stack, brokers[0])
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
    """Until the gates' tables have the last of them."""
    deadline = time.monotonic() + 600
    tables = sorted(stack.folder.glob("broker-*/gate.table"))
    while time.monotonic() < deadline:
        if all(stands_in(table, one) for table in tables for one in (issued[0], issued[-1])):
            time.sleep(1.5)  # the gate looks for another file once a second
            return
        time.sleep(0.1)
    raise AssertionError("the table does not follow")


def stands_in(path: Path, one: Issued) -> bool:
    """Whether a gate's table knows a token."""
    table = Table(path)
    known = table.tokens(one.device)[0] == credentials.hash_of(one.token)
    table.close()
    return known


# --- coming in


def addresses_of(stack: RunningStack, name: str) -> list[str]:
    """Of all brokers: `url`, or `tls`."""
    return [broker[name] for broker in stack.document["brokers"]]


def rates(stack: RunningStack, broker: psutil.Process, issued: Sequence[Issued]) -> dict[str, float]:
    """Connections per second and what they cost the broker, plain and over TLS."""
    figures: dict[str, float] = {}
    step = max(1, len(issued) // ROUND)
    for name, address, ca in (("plain", "url", None), ("tls", "tls", stack.document["ca"])):
        guests = Crowd(addresses_of(stack, address)[:1], ca, issued[::step][:ROUND])
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
    brokers: Sequence[psutil.Process],
    issued: Sequence[Issued],
    connected: int,
) -> dict[str, float]:
    """How long it takes from the COMMIT until they are gone, one by one and many at once, among many who stay."""
    ours, others = issued[: SINGLES + MANY], issued[SINGLES + MANY :][:connected]
    addresses, before, used = addresses_of(stack, "url"), sum(map(rss, brokers)), sum(map(cpu, brokers))
    guests = await asyncio.to_thread(Crowd, addresses, None, others)
    seconds = await asyncio.to_thread(guests.come)
    standing = await come_in(addresses, None, ours)
    figures = {
        "connected": len(others) + len(standing),
        "connected_per_s": len(others) / seconds,
        "brokers_cpu_s_connecting": sum(map(cpu, brokers)) - used,
        "brokers_kb_per_connection": (sum(map(rss, brokers)) - before) * 1024 / (len(others) + len(standing)),
    }
    singles, used, since = [], sum(map(cpu, brokers)), time.monotonic()
    for one, (visitor, _) in zip(ours[:SINGLES], standing, strict=False):
        began = time.monotonic()
        credentials.revoke(connection, [one.device])
        singles.append(await visitor.gone - began)
    figures |= {"revoked_s_median": median(singles), "revoked_s_most": max(singles)}
    began = time.monotonic()
    credentials.revoke(connection, [one.device for one in ours[SINGLES:]])
    figures[f"revoked_{MANY}_s"] = (
        max(await asyncio.gather(*(visitor.gone for visitor, _ in standing[SINGLES:]))) - began
    )
    figures["brokers_cpu_share_meanwhile"] = (sum(map(cpu, brokers)) - used) / (time.monotonic() - since)
    figures["still_connected"] = await asyncio.to_thread(guests.leave)
    assert figures["still_connected"] == len(others), "others were sent away, too"
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
