"""What an account costs: `python -m tests.bench.conserve [--messages 4000000] [--people 200000]`.

A stack without traffic is given the rows of a city by COPY, all but a few; the account of its messages must find those
few, and the time and memory it takes are printed. Memory is the peak of this process, the city's fleet included.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql

from devices.area import ZONES
from devices.enroll_columns import enroll_columns
from dothi.load.conservation import Sent, account, spoken
from dothi.load.stored import Enrolled, enrolled
from simulators.blocks import split
from simulators.city import City
from simulators.conserve import Fate
from simulators.curves import Curves
from simulators.fleet import Fleet, build, districts, pieces
from simulators.messages import Messages
from simulators.schedule import Shares
from simulators.spool import Spool, messages_of, slices
from tests.load import rows_of
from tests.stack import running_stack

LOST = 1_000_003
"""Every so many messages one is not in the table."""
SLICE_S = 10.0
EPOCH_2000_MS = 946_684_800_000
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
FIELDS = (("time", 8), ("seq", 8), ("received", 8), ("batch", 8), ("device", 4), ("area", 2), ("boot", 8))


def main() -> None:
    """Fill, account, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=4_000_000)
    parser.add_argument("--people", type=int, default=200_000)
    parser.add_argument("--density", type=float, default=200.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        fleet = build(districts([z for z in ZONES if z.province == "bac-giang"], asked.density, people=asked.people), 1)
        url = stack.document["database"]
        with psycopg.connect(url, autocommit=True) as connection:
            enroll_columns(connection, lambda: pieces(fleet))
            path, city, lost = said(Path(folder), fleet, asked.messages)
            known = enrolled(connection, fleet, spoken(split([path], fleet, Path(folder))))
            fill(connection, fleet, known, path)
        before = peak_mib()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
        began, used = time.monotonic(), time.process_time()
        sent = Sent(fleet, [path], city.payloads, city.start, {})
        total = account(url, sent, Curves(city.start, 600.0))
        count = path.stat().st_size // 43
        assert (total.count(Fate.MISSING), total.strays) == (lost, 0), (total.count(Fate.MISSING), lost, total.strays)
        seconds, cpu = time.monotonic() - began, time.process_time() - used
    figures = {
        "messages": count,
        "devices": len(fleet),
        "seconds": round(seconds, 1),
        "own_cpu_s_per_100k": round(cpu / count * 1e5, 3),
        "peak_mib": peak_mib(),
        "peak_before_mib": before,
        "minutes_for_37_million": round(seconds / count * 37e6 / 60, 1),
    }
    print(json.dumps(figures))  # noqa: T201 - a bench prints


def peak_mib() -> int:
    """The most memory that this process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def said(folder: Path, fleet: Fleet, messages: int) -> tuple[Path, City, int]:
    """The record of so many messages, all acknowledged; and how many of them the table will not have."""
    start = time.time() - 3600.0
    city = City(fleet, start=start, boot=int(start), speed=20.0, shares=Shares(0.02, 0.0, 0.0))
    count, until = 0, start
    with Spool(folder / "sent.spool") as spool:
        while count < messages:
            until += SLICE_S * min(1.0, 50_000 / city.rate_per_s)
            found = city.until(until)
            spool.append(rows_of(found))
            count += len(found)
    return spool.path, city, -(-count // LOST)


def fill(connection: psycopg.Connection[object], fleet: Fleet, known: Enrolled, path: Path) -> None:
    """Put the readings into the tables, their metrics left out."""
    areas = dict(connection.execute("select code, id from registry.area").fetchall())
    area_of = np.array([areas[code] for code in fleet.areas])
    place = 0
    for some in slices([path]):
        stays = (np.arange(place, place + len(some)) % LOST) != 0
        place += len(some)
        messages = messages_of(some[stays])
        family = fleet.family[messages.device]
        for number in np.unique(family).tolist():
            copy(connection, fleet.families[number], messages.take(family == number), fleet, known, area_of)


def copy(
    connection: psycopg.Connection[object],
    family: str,
    messages: Messages,
    fleet: Fleet,
    known: Enrolled,
    area_of: np.ndarray,
) -> None:
    """One COPY in binary."""
    layout = [("fields", ">i2")]
    for name, width in FIELDS:
        layout += [(f"{name}_width", ">i4"), (name, f">i{width}")]
    block = np.zeros(len(messages), dtype=layout)
    block["fields"] = len(FIELDS)
    for name, width in FIELDS:
        block[f"{name}_width"] = width
    block["time"] = (messages.time - EPOCH_2000_MS) * 1000
    block["received"] = ((messages.due * 1000).astype(np.int64) - EPOCH_2000_MS) * 1000
    block["seq"], block["boot"] = messages.seq, messages.boot
    block["device"], block["area"] = known.of[messages.device], area_of[fleet.area[messages.device]]
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in FIELDS)
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(sql.Identifier("reading", family), names)
    with connection.cursor() as cursor, cursor.copy(statement) as stdin:
        stdin.write(HEADER + block.tobytes() + b"\xff\xff")


if __name__ == "__main__":
    main()
