"""What is stored where there is more to do than CPU: with the precedence of analytics/precedence.py and without.

    python -m tests.bench.precedence [--rate 20000] [--people 50000] [--windows 6] [--seconds 20]

A city sends more than the machine carries, so that ingest and both strands of the analyst always have work. In every
other window all processes of the stack have one nice value; that needs root, for values are taken back as well. Windows
by turns in one run; the first seconds of each are not counted. *Waits*: age of the oldest batch not taken by a strand.
"""

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg

from analytics.consume import BOARDS, CONSUMER
from devices.enroll_columns import enroll_columns
from dothi.output import print_json, print_table
from simulators.districts import zones_of
from simulators.fleet import Fleet, build, districts, pieces
from simulators.schedule import Shares
from tests.bench.families import moving, spent
from tests.bench.spending import Server
from tests.stack import RunningStack, running_stack

SETTLE_S = 5.0
WAITS = """
select extract(epoch from now() - min(b.committed))::float8 from ops.batch b
where b.xid > (select c.xid from ops.consumer c where c.consumer = %s)
"""
RECEIVED = "select coalesce(sum(received), 0)::int8 from ops.ledger"
Niceness = dict[int, tuple[int, int]]  # of processes: their own and that of their session


def niceness(stack: RunningStack) -> Niceness:
    """Of all processes of a stack."""
    found = {}
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            found[process.pid] = process.nice(), int(session_of(process.pid).read_text().split()[-1])
    return found


def session_of(pid: int) -> Path:
    """The file that has the nice value of a process's session."""
    return Path(f"/proc/{pid}/autogroup")


def give(values: Niceness) -> None:
    """Set them."""
    for pid, (own, session) in values.items():
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, own)
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(task.name), own)
            session_of(pid).write_text(str(session))


def window(stack: RunningStack, server: Server, seconds: float) -> dict[str, Any]:
    """What so many seconds brought."""
    time.sleep(SETTLE_S)
    began, before, cpu = time.monotonic(), stack.query(RECEIVED)[0][0], spent(stack, server)
    time.sleep(seconds)
    took, after = time.monotonic() - began, spent(stack, server)
    return {
        "stored/s": round((stack.query(RECEIVED)[0][0] - before) / took),
        "what rings waits (s)": round(stack.query(WAITS, CONSUMER)[0][0] or 0.0, 1),
        "what is shown waits (s)": round(stack.query(WAITS, BOARDS)[0][0] or 0.0, 1),
        "cores": {name: round((after[name] - cpu.get(name, 0.0)) / took, 2) for name in after},
        "load": os.getloadavg()[0],
    }


def measured(stack: RunningStack, fleet: Fleet, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """One window after the other."""
    found = []
    with (
        moving(stack, fleet, Shares(0.02, 0.01, 0.0), asked.rate, asked.warm),
        contextlib.closing(Server(stack.document["processes"]["database"])) as server,
    ):
        for place in range(asked.windows):
            shipped = niceness(stack)
            least = min(own for own, _ in shipped.values()), 0
            if place % 2:
                give(dict.fromkeys(shipped, least))
            found.append({"precedence": not place % 2, **window(stack, server, asked.seconds)})
            print_json(found[-1])
            if place % 2:
                give(shipped)
    return found


def main() -> None:
    """Measure, and print each window and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20_000.0, help="messages/s")
    parser.add_argument("--people", type=int, default=50_000)
    parser.add_argument("--density", type=float, default=200.0, help="devices per 100 people")
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a window")
    parser.add_argument("--warm", type=float, default=20.0, help="seconds before the first window")
    asked = parser.parse_args()
    fleet = build(districts(zones_of("bac-giang"), asked.density, people=asked.people), 1)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), "--workers", "2", "--broker-shards", "2") as stack,
    ):
        with psycopg.connect(stack.document["database"], autocommit=True) as connection:
            enroll_columns(connection, lambda: pieces(fleet))
        time.sleep(5)
        found = measured(stack, fleet, asked)
    names = ("stored/s", "what rings waits (s)", "what is shown waits (s)")
    print_table(
        ("middle of the windows", *names),
        [
            (said, *(median(one[name] for one in found if one["precedence"] is on) for name in names))
            for said, on in (("with precedence", True), ("without", False))
        ],
    )


if __name__ == "__main__":
    main()
