"""A long outage of the database at a steady rate: what the broker takes for it, how it is caught up, what is lost.

    python -m tests.bench.outage                            10 minutes at 20,000 messages/s; docs/measurements/outage-…
    python -m tests.bench.outage --minutes 1 --out bench    a try

The database is killed and its folder moved away, so that every start of it fails; then the folder comes back.
Publishing (QoS 1, every reading with an identity of its own) goes on at the same rate until ingest has caught up. Then
every row is read and compared with what was published and acknowledged: stored once, with its device, time and value.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.bench.outage_load import AREAS, DEVICES, Line, Load
from tests.bench.outage_rows import check_rows
from tests.bench.outage_watch import Watch
from tests.stack import RunningStack, running_stack

KEPT = 10  # of so many samples one is written down
BEFORE_S = 20.0
LEAST_MEMORY = 2**30
CAUGHT_UP_S = 1.0  # messages not yet stored, in seconds of the rate


class Outage:
    """The database killed and kept from starting: its folder is elsewhere meanwhile."""

    def __init__(self, stack: RunningStack) -> None:
        self._folder = stack.folder / "database"
        self._away = stack.folder / "database.away"
        self._pid = stack.document["processes"]["database"]

    def begin(self) -> None:
        """kill -9 of the server; its processes end by themselves."""
        os.kill(self._pid, signal.SIGKILL)
        self._folder.rename(self._away)

    def end(self) -> None:
        """The supervisor's next start of it succeeds."""
        if self._away.exists():
            self._away.rename(self._folder)


async def play(stack: RunningStack, arguments: argparse.Namespace) -> tuple[Load, Watch, dict[str, Any]]:
    """Publish, take the database away, give it back, wait until all is stored."""
    load = Load(time.time_ns() // 1_000_000 + 500, arguments.rate)
    lines = [Line(load, place) for place in range(len(AREAS))]
    watch, stop, outage = Watch(stack, lines), asyncio.Event(), Outage(stack)
    watching = asyncio.create_task(watch.run())
    publishing = asyncio.gather(*(line.run(stack.document["broker"], stop) for line in lines))
    marks: dict[str, Any] = {}
    try:
        await until(publishing, BEFORE_S, lambda: False)
        marks["killed_s"], marks["queued_before"] = watch.now_s, watch.behind
        outage.begin()
        await until(publishing, arguments.minutes * 60, lambda: False)
        marks["given_back_s"], marks["queued"] = watch.now_s, watch.behind
        marks["status_then"] = status_of(stack)
        outage.end()
        await until(publishing, 120, lambda: watch.answers)
        marks["answered_s"], marks["stored_then"] = watch.now_s, watch.stored
        await until(publishing, arguments.go_on, lambda: watch.behind < CAUGHT_UP_S * load.rate)
        marks["publishing_ended_s"] = watch.now_s
        stop.set()
        await publishing
        await until(watching, 1_800, lambda: watch.behind <= 0)
        marks["all_stored_s"] = watch.now_s
    finally:
        outage.end()
        stop.set()
        watching.cancel()
        publishing.cancel()
        await asyncio.gather(publishing, watching, return_exceptions=True)
    marks["longest_gap_s"] = max(line.longest_gap_s for line in lines)
    marks["sent"], marks["acknowledged"] = [line.sent for line in lines], watch.acknowledged
    return load, watch, marks


async def until(running: "asyncio.Future[Any]", seconds: float, done: Callable[[], bool]) -> None:
    """So long at most, while `running` runs; its error is ours."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not done():
        if running.done():
            running.result()
        if psutil.virtual_memory().available < LEAST_MEMORY:
            raise RuntimeError("the machine runs out of memory: given up before somebody is killed for it")
        await asyncio.sleep(0.1)


def status_of(stack: RunningStack) -> str:
    """What an operator reads at this moment."""
    return str(json.loads(stack.dothi("status", "--json", check=False).stdout).get("state"))


def enroll(stack: RunningStack) -> None:
    """All devices, and until ingest knows them."""
    file = stack.folder / "outage.csv"
    lines = [f"outage-{n:06d},native-air-quality,{AREAS[n % len(AREAS)]}" for n in range(DEVICES)]
    file.write_text("device,profile,area\n" + "\n".join(lines) + "\n")
    stack.dothi("devices", "enroll", str(file))
    time.sleep(5)


def measure(stack: RunningStack, arguments: argparse.Namespace) -> dict[str, Any]:
    """One outage and what came of it."""
    enroll(stack)
    if arguments.shared_buffers:
        stack.run(f"alter system set shared_buffers = '{arguments.shared_buffers}'")
    load, watch, marks = asyncio.run(play(stack, arguments))
    rows = check_rows(stack, load, marks["sent"])
    audited = audit(stack)
    events = stack.query(
        "select extract(epoch from time)::float8 - %s, kind, severity, message from city.event order by time",
        load.start_ms / 1000,
    )
    return {
        "rate": arguments.rate,
        "minutes": arguments.minutes,
        "broker_memory": arguments.broker_memory,
        "workers": arguments.workers,
        "shared_buffers": arguments.shared_buffers,
        **said(watch.samples, marks),
        "rows": rows,
        "ledger": {"rows": audited["rows"], "differences": len(audited["differences"])},
        "events": [{"at_s": round(float(at), 1), "kind": kind, "severity": severity, "message": message}
                   for at, kind, severity, message in events],
        "marks": marks,
        "samples": watch.samples,
    }  # fmt: skip


def audit(stack: RunningStack) -> dict[str, Any]:
    """The ledger against the tables, as an operator would ask."""
    command = [sys.executable, "-m", "dothi", "ingest", "audit", "--since", "1d", "--json", "--dir", str(stack.folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=1_800, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def said(samples: list[dict[str, float]], marks: dict[str, Any]) -> dict[str, float]:
    """The figures worth a sentence."""
    before = [one for one in samples if one["at_s"] < marks["killed_s"]]
    during = [one for one in samples if marks["killed_s"] < one["at_s"] < marks["given_back_s"]]
    after = [one for one in samples if one["at_s"] > marks["answered_s"]]
    grown = during[-1]["broker_mib"] - before[-1]["broker_mib"]
    queued = marks["queued"] - marks["queued_before"]
    going_on = [one for one in after if one["at_s"] <= marks["publishing_ended_s"]]
    caught_up_s = marks["publishing_ended_s"] - marks["answered_s"]
    return {
        "published": sum(marks["sent"]),
        "acknowledged": marks["acknowledged"],
        "outage_s": round(marks["answered_s"] - marks["killed_s"], 1),
        "queued": marks["queued"],
        "broker_mib_before": before[-1]["broker_mib"],
        "broker_mib_most": max(one["broker_mib"] for one in samples),
        "bytes_per_queued_message": round(grown * 2**20 / queued),
        "workers_mib_before": before[-1]["workers_mib"],
        "workers_mib_most": max(one["workers_mib"] for one in samples),
        "seconds_to_first_answer": round(marks["answered_s"] - marks["given_back_s"], 1),
        "caught_up_s": round(caught_up_s, 1),
        "catch_up_per_s": round((going_on[-1]["stored"] - marks["stored_then"]) / caught_up_s),
        "behind_when_publishing_ended": going_on[-1]["acknowledged"] - going_on[-1]["stored"],
        "all_stored_s": round(marks["all_stored_s"] - marks["answered_s"], 1),
        "longest_gap_between_pubacks_s": round(marks["longest_gap_s"], 2),
    }


def write(result: dict[str, Any], begun: datetime, arguments: argparse.Namespace) -> None:
    """Into a file, and without the samples for whoever waits."""
    result["samples"] = result["samples"][::KEPT]
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()}
    document = {"begun": begun.isoformat(timespec="seconds"), "machine": machine, "beside": arguments.beside, **result}
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / f"outage-{begun:%Y-%m-%d}-{arguments.minutes:g}min.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    shown = {name: value for name, value in document.items() if name not in ("samples", "marks")}
    sys.stdout.write(json.dumps(shown, indent=1) + "\n")


def main() -> None:
    """Run, write down, and fail when anything is lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="without a database")
    parser.add_argument("--rate", type=int, default=20_000, help="messages/s")
    parser.add_argument("--broker-memory", default="8GiB")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--go-on", type=float, default=600.0, help="most seconds to publish on while catching up")
    parser.add_argument("--shared-buffers", help="of the database that comes back, where memory is short: 1GB")
    parser.add_argument("--folder", type=Path, help="where the stack lies; default: a temporary folder")
    parser.add_argument("--beside", default="", help="what else ran on the machine, for the record")
    parser.add_argument("--out", type=Path, default=Path("docs/measurements"))
    arguments = parser.parse_args()
    begun = datetime.now(UTC)
    options = ["--workers", str(arguments.workers), "--broker-memory", arguments.broker_memory]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, running_stack(Path(folder), *options) as stack:
        result = measure(stack, arguments)
        write(result, begun, arguments)
    wrong = sum(count for name, count in result["rows"].items() if name != "rows") + result["ledger"]["differences"]
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
