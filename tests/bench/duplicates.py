"""What duplicates, late data and refused rows cost, against readings that are all new: seconds per 100,000.

    python -m tests.bench.duplicates             the table, and bench/duplicates.json

The writer alone, on a real database: wall-clock seconds of `Writer.store`, and CPU seconds of the database. Batches of
5,000 rows; duplicates are drawn from the batch before, late readings spread over seven days in every batch.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from devices.reading import Reading
from devices.route import ROUTES
from ingest.batch import Batch, Limits
from ingest.known import Device
from ingest.mqtt import Messages
from ingest.replay import Archive
from ingest.route import Outcome, Router
from ingest.window import Arrival
from ingest.writer import Writer
from tests.bench.ingest import cpu_s
from tests.stack import RunningStack, running_stack

ROWS = 5_000
DEVICES = 2_000
DAY_US = 86_400_000_000
REFUSED_VALUE = 1313.0

Row = tuple[int, int, int, float]  # place of the device, time (microseconds since 1970), seq, value
Draw = Callable[[random.Random, list[Row], int], list[Row]]


def new(late: bool = False) -> Draw:
    """Rows whose keys are all free."""

    def draw(chance: random.Random, _before: list[Row], first: int) -> list[Row]:
        now = time.time_ns() // 1000
        back = (lambda: chance.randrange(6 * DAY_US + DAY_US // 2)) if late else (lambda: 0)
        return [(n % DEVICES, now - back(), n, float(n % 400)) for n in range(first, first + ROWS)]

    return draw


def duplicates(share: float, late: bool = False) -> Draw:
    """So much of each batch was in the batch before."""

    def draw(chance: random.Random, before: list[Row], first: int) -> list[Row]:
        rows = new(late)(chance, before, first)
        for place in chance.sample(range(ROWS), round(share * ROWS)):
            rows[place] = before[place]
        return rows

    return draw


def refused(share: float) -> Draw:
    """So much of each batch breaks a check of the table."""

    def draw(chance: random.Random, before: list[Row], first: int) -> list[Row]:
        rows = new()(chance, before, first)
        for place in chance.sample(range(ROWS), round(share * ROWS)):
            rows[place] = (*rows[place][:3], REFUSED_VALUE)
        return rows

    return draw


CASES: dict[str, Draw] = {
    "all new": new(),
    "one duplicate in each batch": duplicates(1 / ROWS),
    "1 % duplicates": duplicates(0.01),
    "10 % duplicates": duplicates(0.1),
    "100 % duplicates": duplicates(1.0),
    "late, 7 days in each batch": new(late=True),
    "late, 10 % duplicates": duplicates(0.1, late=True),
    "one refused row in each batch": refused(1 / ROWS),
    "1 % refused rows": refused(0.01),
}


def batch_of(rows: list[Row], devices: list[Device]) -> Batch:
    """A batch as the pipeline would fill it."""
    batch = Batch(Limits(late_us={"": 8 * DAY_US}))
    arrival = Arrival(Archive("213"), time.time_ns() // 1000, Messages(), 0)
    count = batch.arrived(arrival)
    blank = [float("nan")] * (len(devices[0].profile.family.metrics) - 3)
    for place, when, seq, value in rows:
        reading = Reading(when, seq, None, [value, value, value, *blank], None, b"{}")
        batch.add(Outcome(devices[place], devices[place].name, reading, b"{}"), arrival, b"t", count)
    return batch


async def measure(stack: RunningStack, name: str, batches: int, first: int) -> dict[str, Any]:
    """One case: prepare, store, divide."""
    url = stack.document["database"]

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(url, autocommit=True, options="-c role=dothi_writer")

    router = Router(ROUTES)
    async with await connect() as connection:
        await router.refresh(connection)
    devices = [found for n in range(DEVICES) if isinstance(found := router.find(topic(n)), Device)]
    writer, chance, draw = Writer(connect, 99), random.Random(5), CASES[name]  # noqa: S311 - the same rows every time
    before = new("late" in name)(chance, [], first)
    await writer.store(batch_of(before, devices))
    seconds, cpu = 0.0, 0.0
    for number in range(1, batches + 1):
        rows = draw(chance, before, first + number * ROWS)
        batch = batch_of(rows, devices)
        cpu_before, began = cpu_s([stack.document["processes"]["database"]]), time.perf_counter()
        await writer.store(batch)
        seconds += time.perf_counter() - began
        cpu += cpu_s([stack.document["processes"]["database"]]) - cpu_before
        before = rows
    await writer.close()
    per = 1e5 / (batches * ROWS)
    return {"case": name, "seconds_per_100k": seconds * per, "database_cpu_s_per_100k": cpu * per}


def topic(number: int) -> bytes:
    """The topic of a device of this benchmark."""
    return b"dothi/v1/213/dup-%05d/up" % number


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20)
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        file = stack.folder / "bench.csv"
        lines = [f"dup-{n:05d},native-air-quality,213" for n in range(DEVICES)]
        file.write_text("device,profile,area\n" + "\n".join(lines) + "\n")
        stack.dothi("devices", "enroll", str(file))
        stack.run(f"alter table reading.air_quality add check (pm25 <> {REFUSED_VALUE})")
        for place, name in enumerate(CASES):
            results.append(asyncio.run(measure(stack, name, arguments.batches, place * 10_000_000)))
            seconds, cpu = results[-1]["seconds_per_100k"], results[-1]["database_cpu_s_per_100k"]
            ratio = seconds / results[0]["seconds_per_100k"]
            print(f"{name:32} {seconds:6.2f} s ({ratio:.1f}x)   database CPU {cpu:5.2f} s", flush=True)  # noqa: T201
    Path("bench").mkdir(exist_ok=True)
    Path("bench/duplicates.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
