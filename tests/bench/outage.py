"""A long outage of the database at a steady rate: what the broker takes for it, how it is caught up, what is lost.

    python -m tests.bench.outage                            10 minutes at 20,000 messages/s; docs/measurements/outage-…
    python -m tests.bench.outage --minutes 1 --out bench    a try

The database is killed and its folder moved away, so that every start of it fails; then the folder comes back.
Publishing (QoS 1, every reading with an identity of its own) goes on at the same rate until ingest has caught up. Then
every row is read and compared with what was published and acknowledged: stored once, with its device, time and value.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import psutil
import psycopg

from devices.area import ZONES
from ingest import mqtt
from tests.bench.ingest import count_pubacks
from tests.stack import RunningStack, running_stack

AREAS = [zone.code for zone in ZONES[:4]]
DEVICES = 40_000
WINDOW = 20_000  # unacknowledged messages per connection: the broker stands still while it saves a long queue
PIECE = 2_000
TICK_S = 0.02
SAMPLE_S = 1.0
KEPT = 10  # of so many samples one is written down
BEFORE_S = 20.0
LEAST_MEMORY = 2**30
CAUGHT_UP_S = 1.0  # messages not yet stored, in seconds of the rate
ROW = np.dtype(
    [("fields", ">i2")]
    + [field for name, kind in (("seq", ">i8"), ("device", ">i4"), ("time", ">i8"), ("value", ">f8"))
       for field in ((f"length_{name}", ">i4"), (name, kind))]
)  # fmt: skip
EPOCH_2000_MS = 946_684_800_000

Ints = npt.NDArray[np.int64]


class Load(NamedTuple):
    """What is published: message `number` is due at start + number / rate, and all of it follows from the number."""

    start_ms: int
    rate: int  # messages/s, all connections together

    def packet(self, number: int) -> bytes:
        """The PUBLISH of one message, about 120 bytes of payload."""
        payload = (
            b'{"time": %d, "seq": %d, "metrics": {"pm25": %.1f, "temperature": %.1f, "relative_humidity": 0.%02d}}'
            % (self.time_ms(number), number, number % 4_000 / 10, 25 + number % 90 / 10, number % 100)
        )
        topic = b"dothi/v1/%s/outage-%06d/up" % (AREAS[number % len(AREAS)].encode(), number % DEVICES)
        body = len(topic).to_bytes(2) + topic + (number // len(AREAS) % 60_000 + 1).to_bytes(2) + b"\x00" + payload
        return b"\x32" + mqtt.encode_length(len(body)) + body

    def time_ms(self, number: int) -> int:
        """When the message is due, which is also the time that it carries."""
        return self.start_ms + number * 1000 // self.rate


class Line:
    """One connection to the broker: the messages of one area, in order."""

    def __init__(self, load: Load, place: int) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.longest_gap_s = 0.0  # without any PUBACK while some were due
        self._load = load
        self._place = place

    async def run(self, url: str, stop: asyncio.Event) -> None:
        """Publish at the rate until told to stop, then until all is acknowledged. Raises when the broker hangs up."""
        reader, writer = await connect(url, f"outage-{self._place}")
        acknowledging = asyncio.create_task(self._receive(reader))
        while not acknowledging.done() and not (stop.is_set() and self.sent == self.acknowledged):
            if not stop.is_set():
                await self._send(writer)
            await asyncio.sleep(TICK_S)
        if acknowledging.done():
            await acknowledging
        acknowledging.cancel()
        writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        share = self._load.rate / len(AREAS)
        due = int((time.time() - self._load.start_ms / 1000) * share)
        until = min(self.acknowledged + WINDOW, due, self.sent + PIECE)
        if until > self.sent:
            step = len(AREAS)
            writer.write(b"".join(self._load.packet(n * step + self._place) for n in range(self.sent, until)))
            self.sent = until
            await writer.drain()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        rest, heard = b"", time.monotonic()
        while chunk := await reader.read(65_536):
            if self.sent > self.acknowledged:
                self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - heard)
            heard = time.monotonic()
            self.acknowledged, rest = count_pubacks(self.acknowledged, rest + chunk)
        raise RuntimeError("the broker closed the publisher's connection")


async def connect(url: str, client_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has its CONNACK."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(mqtt.connect(client_id, parts.username, parts.password, 0, 65_535))
    connack = await reader.readexactly(2)
    await reader.readexactly(connack[1])
    return reader, writer


class Watch:
    """Samples of everything, a second apart. `outage`: between the kill and the first answer of the database."""

    def __init__(self, stack: RunningStack, lines: list[Line]) -> None:
        self.samples: list[dict[str, float]] = []
        self.stored = 0
        self.answers = False
        self._stack = stack
        self._lines = lines
        self._began = time.monotonic()

    @property
    def acknowledged(self) -> int:
        """Messages that the broker has acknowledged."""
        return sum(line.acknowledged for line in self._lines)

    @property
    def behind(self) -> int:
        """Messages acknowledged by the broker and not stored as far as we know."""
        return self.acknowledged - self.stored

    @property
    def now_s(self) -> float:
        """Seconds since the start of the load."""
        return time.monotonic() - self._began

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.to_thread(self._ask)
            processes = json.loads((self._stack.folder / "stack.json").read_text())["processes"]
            self.samples.append(
                {
                    "at_s": round(self.now_s, 1),
                    "published": sum(line.sent for line in self._lines),
                    "acknowledged": self.acknowledged,
                    "stored": self.stored,
                    "database": int(self.answers),
                    "broker_mib": resident_mib(processes["broker"]),
                    "workers_mib": resident_mib(processes["workers"]),
                }
            )
            await asyncio.sleep(SAMPLE_S)

    def _ask(self) -> None:
        try:
            with psycopg.connect(self._stack.document["database"], connect_timeout=2) as connection:
                row = connection.execute("select coalesce(sum(stored), 0)::bigint from ops.ledger").fetchone()
            self.stored, self.answers = int(row[0]) if row else 0, True
        except psycopg.Error:
            self.answers = False


def resident_mib(pids: list[int]) -> float:
    """Resident memory of some processes together."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return round(total / 2**20, 1)


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


def check_rows(stack: RunningStack, load: Load, sent: list[int]) -> dict[str, int]:
    """Read every row and compare it with the message it came from. `sent`: by connection."""
    device_ids, total = registered(stack), max(sent) * len(AREAS)
    expected, seen = np.zeros(total, dtype=np.bool_), np.zeros(total, dtype=np.uint8)
    for place, count in enumerate(sent):
        expected[place :: len(AREAS)][:count] = True
    counts = {"rows": 0, "strangers": 0, "wrong": 0}
    for rows in stored_rows(stack):
        seq = rows["seq"].astype(np.int64)
        ours = (seq >= 0) & (seq < total)
        ours[ours] = expected[seq[ours]]
        counts["rows"] += len(rows)
        counts["strangers"] += int((~ours).sum())
        rows, seq = rows[ours], seq[ours]
        counts["wrong"] += int((~right(rows, seq, load, device_ids)).sum())
        np.add.at(seen, seq, np.uint8(1))
    return {**counts, "lost": int((expected & (seen == 0)).sum()), "double": int((seen > 1).sum())}


def registered(stack: RunningStack) -> Ints:
    """Registry ids of the devices, by their number."""
    rows = stack.query("select id from registry.device where device like 'outage-%%' order by device")
    return np.array([number for (number,) in rows], dtype=np.int64)


def stored_rows(stack: RunningStack) -> Iterator[npt.NDArray[Any]]:
    """All rows of the table, many at a time."""
    statement = (
        "copy (select seq, device, time, coalesce(pm25, 'NaN') from reading.air_quality) to stdout (format binary)"
    )
    with psycopg.connect(stack.document["database"]) as connection, connection.cursor().copy(statement) as copy:
        pieces: list[bytes] = []
        head = 19  # signature, flags, length of the extension
        for piece in copy:
            pieces.append(bytes(piece)[head:])
            head = 0
            if len(pieces) == 100_000:
                yield unpacked(pieces)
                pieces = []
        yield unpacked(pieces)


def unpacked(pieces: list[bytes]) -> npt.NDArray[Any]:
    """Rows of binary COPY, without the two bytes that end it."""
    stream = b"".join(pieces)
    return np.frombuffer(stream[: len(stream) // ROW.itemsize * ROW.itemsize], dtype=ROW)


def right(rows: npt.NDArray[Any], number: Ints, load: Load, device_ids: Ints) -> npt.NDArray[np.bool_]:
    """Whether rows say what their messages said."""
    time_ms = load.start_ms + number * 1000 // load.rate
    agrees: npt.NDArray[np.bool_] = rows["device"] == device_ids[number % DEVICES]
    agrees &= rows["time"] == (time_ms - EPOCH_2000_MS) * 1000
    agrees &= np.abs(rows["value"] - number % 4_000 / 10) < 1e-6
    return agrees


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
