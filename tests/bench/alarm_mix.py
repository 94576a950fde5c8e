"""A background for the bench of alarms: so many readings a second, in lists and in single messages, of many families.

A device measures at a steady pace and sends when it has as many readings as its list is long, so the oldest of a list
of fifty is fifty paces old. Values scatter about the usual of their metric, so that detectors have work and no cause.
"""

import random
import socket
import time
from collections.abc import Iterator, Sequence
from multiprocessing.queues import Queue
from typing import NamedTuple
from urllib.parse import urlsplit

from devices.area import ZONES
from devices.enroll import Row
from ingest import mqtt
from ingest.mqtt import packet

SLICES_PER_S = 20
TEXTS = 512
ACKNOWLEDGED_S = 60.0
AREAS = [zone.code for zone in ZONES]
FAMILIES: dict[str, tuple[tuple[str, float, float, int], ...]] = {
    "air_quality": (("pm25", 32, 3, 1), ("pm10", 55, 4, 1), ("temperature", 27, 0.4, 1)),
    "weather": (("temperature", 27, 0.4, 1), ("relative_humidity", 0.7, 0.02, 2), ("wind_speed", 3, 0.8, 1)),
    "noise": (("laeq", 58, 2, 1), ("lamax", 66, 3, 1), ("la90", 51, 1.5, 1)),
    "traffic_flow": (("intensity", 14, 3, 0), ("period_s", 60, 0, 0), ("average_vehicle_speed", 42, 3, 1)),
    "soil": (("soil_moisture", 0.31, 0.01, 3), ("soil_temperature", 24, 0.2, 1), ("conductivity", 450, 10, 0)),
    "classroom": (("temperature", 26, 0.3, 1), ("relative_humidity", 0.6, 0.02, 2), ("co2", 620, 25, 0)),
    "meter": (("active_power", 430, 40, 0), ("voltage", 228, 1.5, 1), ("current", 1.9, 0.2, 2)),
    "street_light": (("active_power", 92, 2, 1), ("voltage", 228, 1.5, 1), ("current", 0.4, 0.02, 2)),
}
"""Metrics with mean, standard deviation and decimals."""


class Mix(NamedTuple):
    """`rate`: readings/s of all; `single`: the share of these that are messages by themselves; the rest comes, in equal
    shares of the devices, in lists of `lengths`; `devices`: of all."""

    rate: int
    single: float
    lengths: tuple[int, ...]
    devices: int

    @property
    def groups(self) -> list[tuple[int, int, float]]:
        """Length of list, devices, readings/s of them together."""
        alone = round(self.devices * self.single)
        each = (self.devices - alone) // len(self.lengths)
        listed = self.rate * (1.0 - self.single) / len(self.lengths)
        groups = [(1, alone, self.rate * self.single)] if alone else []
        return groups + ([(length, each, listed) for length in self.lengths] if each else [])

    @property
    def messages(self) -> float:
        """A second."""
        return sum(rate / length for length, _, rate in self.groups)

    def ids(self) -> list[str]:
        """All devices, those of a group together."""
        names = list(FAMILIES)
        total = sum(devices for _, devices, _ in self.groups)
        return [f"bench-{names[n % len(names)].replace('_', '-')}-{n:06d}" for n in range(total)]

    def rows(self) -> list[Row]:
        """To enrol."""
        return [Row(one, f"native-{family_of(one).replace('_', '-')}", area_of(one)) for one in self.ids()]


class Sent(NamedTuple):
    """What one process sent. `readings`: by device; `late_s`: how far behind its pace it was at most."""

    readings: dict[str, int]
    messages: int
    acknowledged: int
    late_s: float
    cpu_s: float


def family_of(device: str) -> str:
    """As its id says.

    >>> family_of("bench-air-quality-000001")
    'air_quality'
    """
    return "_".join(device.split("-")[1:-1])


def area_of(device: str) -> str:
    """Devices lie all over the zones."""
    return AREAS[int(device.rpartition("-")[2]) // len(FAMILIES) % len(AREAS)]


def texts_of(family: str, chance: random.Random) -> list[bytes]:
    """Metrics of readings, as JSON."""

    def one() -> bytes:
        pairs = (f'"{name}":{chance.gauss(mean, sd):.{digits}f}' for name, mean, sd, digits in FAMILIES[family])
        return f"{{{','.join(pairs)}}}".encode()

    return [one() for _ in range(TEXTS)]


class Group:
    """Devices that send lists of one length, in turn."""

    def __init__(self, length: int, devices: Sequence[str], rate: float, chance: random.Random) -> None:
        self.devices = devices
        self.seq = [0] * len(devices)
        self._length, self._per_s = length, rate / length
        self._pace_ms = max(1, round(1000 * len(devices) / rate))
        self._topics = [f"dothi/v1/{area_of(one)}/{one}/up".encode() for one in devices]
        texts = {family: texts_of(family, chance) for family in FAMILIES}
        self._texts = [texts[family_of(one)] for one in devices]
        self._next = self._owed = 0.0

    def due(self) -> Iterator[tuple[bytes, bytes]]:
        """Topics and payloads of a slice of time."""
        self._owed += self._per_s / SLICES_PER_S
        now = time.time_ns() // 1_000_000
        while self._owed >= 1.0:
            self._owed -= 1.0
            place = int(self._next)
            self._next = (place + 1) % len(self.devices)
            yield self._topics[place], self._payload(place, now)

    def _payload(self, place: int, now: int) -> bytes:
        first, texts = self.seq[place], self._texts[place]
        self.seq[place] = first + self._length
        oldest = now - (self._length - 1) * self._pace_ms
        said = [
            b'{"time":%d,"seq":%d,"metrics":%s}'
            % (oldest + n * self._pace_ms, first + n + 1, texts[(place * 7 + first + n) % TEXTS])
            for n in range(self._length)
        ]
        return said[0] if self._length == 1 else b"[%s]" % b",".join(said)


class Line:
    """A connection that counts what is acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0))
        self._socket.sendall(mqtt.connect(name, parts.username, parts.password, 60, 60_000))
        self._rest = b""
        self.sent = self.acknowledged = 0

    def send(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """All at once, QoS 1."""
        packets = []
        for topic, payload in messages:
            self.sent += 1
            number = (self.sent % 60_000 + 1).to_bytes(2)
            packets.append(packet(0x32, len(topic).to_bytes(2) + topic + number + b"\x00" + payload))
        self._socket.settimeout(ACKNOWLEDGED_S)
        self._socket.sendall(b"".join(packets))
        self.hear()

    def hear(self) -> None:
        """What there is."""
        self._socket.setblocking(False)
        try:
            while more := self._socket.recv(1 << 18):
                self._rest += more
        except BlockingIOError:
            pass
        at = 0
        while len(self._rest) >= at + 2 and len(self._rest) >= at + 2 + self._rest[at + 1]:
            self.acknowledged += self._rest[at] == 0x40  # answers are short: their length is one byte
            at += 2 + self._rest[at + 1]
        self._rest = self._rest[at:]


def send(place: int, of: int, url: str, mix: Mix, seconds: float, done: "Queue[Sent]") -> None:
    """One of several processes: its devices at their pace until the time is over."""
    chance, ids, groups = random.Random(place), mix.ids(), []  # noqa: S311 -- the same in every run
    for length, devices, rate in mix.groups:
        some, ids = ids[:devices][place::of], ids[devices:]
        chance.shuffle(some)
        groups.append(Group(length, some, rate * len(some) / devices, chance))
    line, late_s, spent, begun = Line(url, f"bench-mix-{place}"), 0.0, time.process_time(), time.monotonic()
    for number in range(round(seconds * SLICES_PER_S)):
        line.send([message for group in groups for message in group.due()])
        ahead = begun + (number + 1) / SLICES_PER_S - time.monotonic()
        late_s = max(late_s, -ahead)
        time.sleep(max(ahead, 0.0))
    spent, deadline = time.process_time() - spent, time.monotonic() + ACKNOWLEDGED_S
    while line.acknowledged < line.sent and time.monotonic() < deadline:
        line.hear()
        time.sleep(0.02)
    counts = {device: seq for group in groups for device, seq in zip(group.devices, group.seq, strict=True) if seq}
    done.put(Sent(counts, line.sent, line.acknowledged, late_s, spent))
