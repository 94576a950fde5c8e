"""What a bad message costs against a good one, by kind: CPU seconds per 100,000 of worker and database.

    python -m tests.bench.garbage                    the table, and bench/garbage.json
    python -m tests.bench.garbage --messages 20000 --only unparsable

One process goes the way of a worker, from the broker's bytes to the COMMIT, with batches of 5,000 messages of one kind:
`read` are packets, routing, decoding, checking; `store` is the writer. First each message comes from another device, so
that all of it is kept; then all come from ten devices whose quota is spent, so that all of it is counted alone. Ratios
are to good messages of the same run.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from devices.route import ROUTES
from dothi.output import print_table
from ingest import mqtt
from ingest.batch import Batch, Limits
from ingest.intake import Intake
from ingest.quarantine import QUOTA
from ingest.replay import Archive
from ingest.route import Router
from ingest.window import Arrival
from ingest.writer import Writer
from tests.bench.ingest import enroll
from tests.bench.spending import Server
from tests.bench.storage import database_in

AREA = "213"
DEVICES = 100_000
BATCH = 5_000
PER_READ = 1_000
FEW = 10
FUTURE_MS = 3_600_000

Payload = Callable[[int, int], str]  # number of the message, now in milliseconds


def reading(
    number: int, now_ms: int, metrics: str = '"pm25": 41.2, "temperature": 28.5, "relative_humidity": 0.71'
) -> str:
    """A message as it should be, about 120 bytes."""
    return f'{{"time": {now_ms}, "seq": {number}, "metrics": {{{metrics}}}}}'


class Kind(NamedTuple):
    """What is wrong. `area`: of the topic; `device`: how its id begins; `topic`: of a foreign route, else our own."""

    payload: Payload
    area: str = AREA
    device: str = "bench"
    route: str = ""


KINDS = {
    "good": Kind(reading),
    "unparsable": Kind(lambda number, now: "x" + reading(number, now)[1:]),
    "cut short": Kind(lambda number, now: reading(number, now)[:-9]),
    "not UTF-8": Kind(lambda number, now: reading(number, now, '"pm25": "\udcff"')),
    "no metrics": Kind(lambda number, now: reading(number, now).replace("metrics", "values")),
    "unknown metric": Kind(lambda number, now: reading(number, now, '"PM2.5": 41.2')),
    "wrong type": Kind(lambda number, now: reading(number, now, '"pm25": "41,2"')),
    "out of range": Kind(lambda number, now: reading(number, now, f'"pm25": {-1 - number % 100}')),
    "one of three out of range": Kind(lambda number, now: reading(number, now, '"pm25": -1, "temperature": 28.5')),
    "time of tomorrow": Kind(lambda number, now: reading(number, now + 24 * FUTURE_MS)),
    "unknown device": Kind(reading, device="stray"),
    "wrong area": Kind(reading, area="215"),
    "foreign, unparsable": Kind(lambda number, now: "x" + reading(number, now)[1:], route="senml"),
    "foreign, unknown device": Kind(reading, route="senml"),
}


class Costs(NamedTuple):
    """CPU seconds per 100,000 messages."""

    read: float
    store: float
    database: float

    @property
    def worker(self) -> float:
        """Of the worker's way."""
        return self.read + self.store


def packets(kind: Kind, first: int, count: int, devices: int) -> bytes:
    """PUBLISH packets at QoS 1."""
    now_ms, made = time.time_ns() // 1_000_000, []
    for number in range(first, first + count):
        name = f"{kind.device}-{number % devices:07d}"
        topic = mqtt.text(f"{kind.route}/{name}" if kind.route else f"dothi/v1/{kind.area}/{name}/up")
        payload = kind.payload(number, now_ms).encode(errors="surrogateescape")
        made.append(mqtt.packet(0x32, topic + (number % 60_000 + 1).to_bytes(2) + b"\0" + payload))
    return b"".join(made)


class Way:
    """The way of a worker, in this process."""

    def __init__(self, router: Router, writer: Writer, server: Server) -> None:
        self._intake, self._router, self._writer, self._server = Intake(router), router, writer, server

    async def costs(self, kind: Kind, first: int, messages: int, devices: int) -> Costs:
        """Of so many messages of one kind."""
        read = store = database = 0.0
        source = Archive(kind.route or kind.area)
        for start in range(first, first + messages, BATCH):
            chunks = [packets(kind, start + more, PER_READ, devices) for more in range(0, BATCH, PER_READ)]
            batch = Batch(Limits(rows=1 << 30, bytes=1 << 40))
            began = time.process_time()
            for chunk in chunks:
                found, _ = mqtt.Reader(greeted=True).feed(chunk)
                self._intake.take(Arrival(source, time.time_ns() // 1000, found, len(chunk)), batch)
            self._intake.finish(batch)
            between, spent = time.process_time(), sum(self._server.costs().values())
            resumed = time.process_time()
            await self._writer.store(batch)
            done = time.process_time()
            database += sum(self._server.costs().values()) - spent
            read, store = read + between - began, store + done - resumed
        per = 1e5 / messages
        return Costs(read * per, store * per, database * per)


async def measure(stack: Any, asked: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """All kinds, kept and beyond the quota."""

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(stack.database.writer, autocommit=True)

    router, server, found = Router(ROUTES), Server(stack.supervisor.pid("database")), {}
    async with await connect() as connection:
        await router.refresh(connection)
    writer, way, first = Writer(connect, 99), None, 1
    way = Way(router, writer, server)
    for _ in range(2):  # code, plans, chunks
        await way.costs(KINDS["good"], first, BATCH, DEVICES)
        await way.costs(KINDS["unparsable"], first := first + BATCH, BATCH, DEVICES)
        first += BATCH
    for name in asked.only or KINDS:
        spread = await way.costs(KINDS[name], first, asked.messages, DEVICES)
        first += asked.messages
        if name != "good":
            await way.costs(KINDS[name], first, -(-QUOTA * FEW // BATCH) * BATCH, FEW)
        cut = await way.costs(KINDS[name], first := first + QUOTA * FEW + BATCH, asked.messages, FEW)
        first += asked.messages
        found[name] = {"kept": spread._asdict(), "beyond_the_quota": cut._asdict()}
        say(name, found)
    await writer.close()
    server.close()
    return found


def say(name: str, found: dict[str, dict[str, dict[str, float]]]) -> None:
    """A line as soon as it is known."""
    good, row = found["good"], [f"{name:26}"]
    for way, costs in found[name].items():
        worker, usual = (one["read"] + one["store"] for one in (costs, good[way]))
        whole, usual_whole = worker + costs["database"], usual + good[way]["database"]
        row.append(f"{costs['read']:6.2f}{costs['store']:6.2f}{costs['database']:6.2f}")
        row.append(f"{worker / usual:5.1f}x{whole / usual_whole:5.1f}x |")
    sys.stdout.write(" ".join(row) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000, help="of each kind")
    parser.add_argument("--only", choices=KINDS, action="append", help="beside good ones")
    parser.add_argument("--out", type=Path, default=Path("bench/garbage.json"))
    asked = parser.parse_args()
    asked.only = asked.only and ["good", *asked.only]
    print_table(
        ("kind", "read, store, database: s/100k kept; worker, all: × a good one", "the same beyond the quota"), []
    )
    with tempfile.TemporaryDirectory() as folder, database_in(Path(folder)) as stack:
        assert stack.database
        enroll(stack.database.owner, (AREA,), DEVICES)
        found = asyncio.run(measure(stack, asked))
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(json.dumps({"load": os.getloadavg(), "cpu_s_per_100k": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
