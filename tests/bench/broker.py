"""What a broker's PUBACK is worth: acknowledgements per second, and what kill -9 costs, by setting of persistence.

    python -m tests.bench.broker                     the table, and docs/measurements/broker-persistence.json
    python -m tests.bench.broker --live              the same kills while an inbox takes the messages as they come
    python -m tests.bench.broker --kills 2 --only autosave-5

An inbox is away, as during an outage, so that all messages lie in the broker's queue. Publishers note every PUBACK. The
broker is killed, started again on its folder, and the inbox fetches what is left: what was acknowledged and does not
come is lost.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil

from dothi.output import console, print_table
from dothi.runtime import Runtime, find_runtime
from dothi.stack.ports import answers, free_port
from ingest import mqtt

PAYLOAD_BYTES = 150
QUEUE = 5_000_000
SILENCE_S = 2.0
SPEED_S = 10.0
FOLDER = Path(__file__).parents[2] / "docs/measurements"


class Setting(NamedTuple):
    """Lines of mosquitto.conf. A run is killed between `earliest` and `latest` seconds after its first message."""

    title: str
    lines: str
    earliest: float
    latest: float
    last_signal: signal.Signals = signal.SIGKILL


AUTOSAVE = "persistence true\nautosave_interval {}\nautosave_on_changes {}\n"
SETTINGS = {
    "off": Setting("persistence off", "persistence false\n", 3, 6),
    "autosave-1800": Setting("saved every 1,800 s (the default)", AUTOSAVE.format(1800, "false"), 3, 6),
    "autosave-5": Setting("saved every 5 s", AUTOSAVE.format(5, "false"), 8, 14),
    "autosave-1": Setting("saved every second", AUTOSAVE.format(1, "false"), 4, 8),
    "on-changes": Setting("saved on every change", AUTOSAVE.format(1, "true"), 4, 8),
    "stopped": Setting("default, stopped with SIGTERM", AUTOSAVE.format(1800, "false"), 3, 6, signal.SIGTERM),
}


class Round(NamedTuple):
    """One life of a broker. `kept`: whether the inbox's session was still there."""

    seconds: float
    load: "Load"
    lost: int
    kept: bool
    cpu_s: float


class Broker:
    """A mosquitto on its own folder, started as often as needed."""

    def __init__(self, runtime: Runtime, folder: Path, lines: str) -> None:
        self.port = free_port(set())
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [str(runtime.mosquitto), "-c", str(folder / "mosquitto.conf")]
        self._folder, self._lines = folder, lines

    def _configure(self, lines: str) -> None:
        text = (
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence_location {self._folder}/\n"
            f"max_inflight_messages 0\nmax_queued_messages {QUEUE}\nlog_dest none\nset_tcp_nodelay true\n{lines}"
        )
        if os.geteuid() == 0:
            text += "user root\n"  # or it would change to a user who may not write here
        (self._folder / "mosquitto.conf").write_text(text)

    def start(self, counting: bool = False) -> None:
        """Until it answers. `counting`: what it kept is read, but not saved anew with every message that is fetched."""
        self._configure(self._lines.replace("on_changes true", "on_changes false") if counting else self._lines)
        self.process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        while not answers(self.port):
            if self.process.poll() is not None:
                raise RuntimeError("mosquitto does not start")
            time.sleep(0.02)

    def stop(self, number: signal.Signals) -> float:
        """End it; the CPU seconds that it took."""
        assert self.process
        times = psutil.Process(self.process.pid).cpu_times()
        self.process.send_signal(number)
        self.process.wait(120)
        return times.user + times.system


@contextlib.contextmanager
def broker_of(runtime: Runtime, setting: Setting) -> Iterator[Broker]:
    """A broker on a fresh folder with one inbox that has subscribed and gone."""
    with tempfile.TemporaryDirectory(prefix="dothi-broker-") as name:
        broker = Broker(runtime, Path(name), setting.lines)
        broker.start()
        try:
            fetch(broker.port, 0.1)
            yield broker
        finally:
            if broker.process and broker.process.poll() is None:
                broker.stop(signal.SIGKILL)


def fetch(port: int, silence_s: float) -> tuple[bool, set[int]]:
    """As the inbox: whether the broker kept its session, and the numbers of all messages that come until silence."""
    reader, numbers, session_kept = mqtt.Reader(), set[int](), False
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(mqtt.connect("inbox", None, None, 60, 20_000))
        connection.sendall(mqtt.subscribe(1, [mqtt.Subscription("bench/#", False)]))
        connection.settimeout(silence_s)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while chunk := connection.recv(1 << 18):
                messages, others = reader.feed(chunk)
                session_kept |= any(isinstance(one, mqtt.Connack) and one.session_present for one in others)
                numbers.update(int(message.payload[:16], 16) for message in messages)
                if messages:
                    connection.sendall(mqtt.pubacks([message.pid for message in messages]))
        with contextlib.suppress(ConnectionError):
            connection.sendall(mqtt.DISCONNECT_PACKET)
    return session_kept, numbers


class Way(NamedTuple):
    """`window`: unacknowledged messages of one connection; `per_second`: of all connections, 0 for no limit."""

    connections: int
    window: int
    per_second: float


CROWD, ALONE = Way(50, 40, 0), Way(1, 1, 0)


class Load:
    """Publishers over many connections; `acknowledged` holds the numbers that the broker has answered for."""

    def __init__(self, port: int, way: Way) -> None:
        self.acknowledged: set[int] = set()
        self.moments: list[float] = []  # of each PUBACK
        self._port = port
        self._way = way
        self._pace_s = way.connections / way.per_second if way.per_second else 0.0

    async def run(self) -> None:
        """Until the broker is gone."""
        await asyncio.gather(*(self._publish(number) for number in range(self._way.connections)))

    async def _publish(self, connection: int) -> None:
        """Messages of one connection, numbered; MQTT 3.1.1, as its PUBACK is always four bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        name = b"bench-%d" % connection
        writer.write(mqtt.packet(0x10, mqtt.text("MQTT") + b"\x04\x02\x00\x00" + mqtt.text(name)))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readexactly(4)
            await self._exchange(connection, reader, writer)
        writer.close()

    async def _exchange(self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began, sent, answered = time.monotonic(), 0, 0
        while True:
            until = answered + self._way.window
            if self._pace_s:
                until = min(until, int((time.monotonic() - began) / self._pace_s) + 1)
            if not writer.is_closing():  # what was answered before the broker died is still counted
                writer.write(b"".join(publish_packet(connection, number) for number in range(sent, until)))
            sent = max(sent, until)
            if answered == sent:
                await asyncio.sleep(self._pace_s)
                continue
            await reader.readexactly(4)
            self.acknowledged.add(connection << 32 | answered)  # PUBACKs come in the order of the messages
            self.moments.append(time.monotonic())
            answered += 1

    def per_second(self, first: float, last: float) -> int:
        """PUBACKs a second between two moments, in seconds since the first."""
        return round(sum(first <= moment - self.moments[0] < last for moment in self.moments) / (last - first))

    @property
    def longest_gap_s(self) -> float:
        """Longest time without any PUBACK."""
        return max((late - early for early, late in pairwise(sorted(self.moments))), default=0.0)


def publish_packet(connection: int, number: int) -> bytes:
    """One message that carries its number."""
    payload = b"%016x" % (connection << 32 | number)
    body = mqtt.text(b"bench/%d" % connection) + (number % 65_535 + 1).to_bytes(2) + payload.ljust(PAYLOAD_BYTES)
    return mqtt.packet(0x32, body)


def speed(runtime: Runtime, setting: Setting, way: Way, seconds: float) -> Round:
    """Publish for so many seconds and end the broker."""
    return one_round(runtime, setting, way, seconds, live=False, count=False)


def one_round(runtime: Runtime, setting: Setting, way: Way, seconds: float, live: bool, count: bool = True) -> Round:
    """Publish for so many seconds, end the broker; if told to, start it again and count what is left. `live`: while the
    inbox is there."""
    with broker_of(runtime, setting) as broker:
        load, began = Load(broker.port, way), time.monotonic()

        async def until_the_end() -> tuple[float, set[int]]:
            taking = asyncio.create_task(asyncio.to_thread(fetch, broker.port, 60)) if live else None
            publishing = asyncio.create_task(load.run())
            await asyncio.sleep(seconds)
            cpu_s = await asyncio.to_thread(broker.stop, setting.last_signal)
            await publishing
            return cpu_s, (await taking)[1] if taking else set()

        cpu_s, taken = asyncio.run(until_the_end())
        took = time.monotonic() - began
        if not count:
            return Round(took, load, 0, False, cpu_s)
        broker.start(counting=True)
        kept, left = fetch(broker.port, SILENCE_S)
        return Round(took, load, len(load.acknowledged - left - taken), kept, cpu_s)


def speeds(runtime: Runtime, setting: Setting) -> dict[str, Any]:
    """How fast the broker acknowledges while the queue grows."""
    crowds = [speed(runtime, setting, CROWD, SPEED_S) for _ in range(3)]
    crowd = max(crowds, key=lambda one: len(one.load.acknowledged))  # the least disturbed one
    alone = speed(runtime, setting, ALONE, 4)
    return {
        "puback_per_s": crowd.load.per_second(0, SPEED_S - 0.5),
        "puback_per_s_at_the_end": crowd.load.per_second(SPEED_S - 2.5, SPEED_S - 0.5),
        "queued_at_the_end": len(crowd.load.acknowledged),
        "puback_per_s_one_at_a_time": alone.load.per_second(0, 3.5),
        "cpu_s_per_100k": round(crowd.cpu_s / max(1, len(crowd.load.acknowledged)) * 1e5, 2),
        "longest_gap_s": round(crowd.load.longest_gap_s, 2),
    }


def losses(
    runtime: Runtime, setting: Setting, kills: int, per_second: float, chance: random.Random, live: bool
) -> dict[str, Any]:
    """What kills at random moments cost at a steady rate."""
    rounds = []
    for number in range(kills):
        seconds = chance.uniform(setting.earliest, setting.latest)
        rounds.append(one_round(runtime, setting, CROWD._replace(per_second=per_second), seconds, live))
        sent, lost = len(rounds[-1].load.acknowledged), rounds[-1].lost
        console.print(f"{setting.title}, {number + 1} of {kills}: {lost} of {sent} lost")
    return {
        "acknowledged": [len(one.load.acknowledged) for one in rounds],
        "lost": [one.lost for one in rounds],
        "lost_s": [round(one.lost / max(1, len(one.load.acknowledged)) * one.seconds, 1) for one in rounds],
        "sessions_kept": sum(one.kept for one in rounds),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.broker", description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="of each setting")
    parser.add_argument("--rate", type=float, default=1_000, help="messages per second while kills are measured")
    parser.add_argument("--only", choices=list(SETTINGS), action="append")
    parser.add_argument("--live", action="store_true", help="kills alone, with the inbox connected")
    parser.add_argument("--seed", type=int, default=20261121)
    wanted = parser.parse_args()
    runtime, chance = find_runtime(), random.Random(wanted.seed)  # noqa: S311 - the same moments in every run
    rows = []
    for name in wanted.only or SETTINGS:
        row = {"setting": name, "title": SETTINGS[name].title}
        row |= {} if wanted.live else speeds(runtime, SETTINGS[name])
        rows.append(row | losses(runtime, SETTINGS[name], wanted.kills, wanted.rate, chance, wanted.live))
    show(rows)
    if not wanted.only:
        machine = f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {system()}"
        report = {"machine": machine, "mosquitto": runtime.versions.mosquitto, "rate_per_s": wanted.rate, "rows": rows}
        name = "broker-persistence-live.json" if wanted.live else "broker-persistence.json"
        (FOLDER / name).write_text(json.dumps(report, indent=2) + "\n")


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    print_table(
        ["setting", "PUBACK/s", "at the end", "one by one", "gap s", "acknowledged", "lost", "lost s", "kept"],
        [
            [
                row["setting"],
                row.get("puback_per_s"),
                row.get("puback_per_s_at_the_end"),
                row.get("puback_per_s_one_at_a_time"),
                row.get("longest_gap_s"),
                sum(row["acknowledged"]),
                sum(row["lost"]),
                median(row["lost_s"]),
                f"{row['sessions_kept']} of {len(row['lost'])}",
            ]
            for row in rows
        ],
    )


def system() -> str:
    """The operating system as it names itself."""
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return platform.system()


if __name__ == "__main__":
    main()
