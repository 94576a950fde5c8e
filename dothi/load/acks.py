"""What devices that ask would be told by the platform: a sample of their `…/ack` topics, listened to during a run.

A worker says it right after COMMIT: when a device hears it is the tightest bound of publish → COMMIT from outside.
"""

import contextlib
import json
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from dothi.settings import Stack
from simulators.draw import Ints
from simulators.fleet import Fleet, native_profile
from simulators.messages import Kind
from simulators.spool import ROW, Rows, acknowledged, slices

DEVICES = 300
LISTENS_S = 10.0
"""So long a broker may take until it has taken the subscription: what is told before is not heard."""
QUIET_S = 1.0
"""When nothing was heard for so long, what was told of the last messages has arrived."""
READABLE = [kind for kind in Kind if kind <= Kind.ALL_OUT_OF_RANGE]
"""Kinds of messages whose number the platform can read, whatever else is wrong with them."""


def asking(fleet: Fleet, members: Ints) -> Ints:
    """Some devices (indices) whose profiles ask for acknowledgements, those that speak most often."""
    profiles = [native_profile(family) for family in fleet.families]
    asks = np.array([profile.acknowledge for profile in profiles])
    some = members[asks[fleet.family[members]]]
    interval = np.array([profile.interval_s for profile in profiles])[fleet.family[some]]
    return np.sort(some[np.argsort(interval, kind="stable")[:DEVICES]])


class Told(NamedTuple):
    """Numbers that are settled, from the first to the last, and when that was said (s since 1970). `highest`: the
    highest number that was settled by then; what was told of a device is in its order."""

    first: int
    last: int
    at: float
    highest: int


class Acks:
    """Listens, over a connection to each broker, while the block runs."""

    def __init__(self, stack: Stack, fleet: Fleet, devices: Ints) -> None:
        self._devices, self._names = devices, dict(zip(fleet.ids(devices), devices.tolist(), strict=True))
        areas = [fleet.areas[area] for area in fleet.area[devices].tolist()]
        self._topics = [f"dothi/v1/{area}/{name}/ack" for area, name in zip(areas, self._names, strict=True)]
        self._told: dict[tuple[int, int], list[Told]] = {}  # by device and boot
        entries = stack.document.get("brokers") or [{"url": stack.broker}]
        self._listening = threading.Semaphore(0)
        self._heard_last = 0.0
        self._clients = [self._client(entry["url"]) for entry in entries if entry["url"]]

    def __enter__(self) -> "Acks":
        connected = 0
        for client, url in self._clients:
            with contextlib.suppress(OSError):  # a broker that is away is the sender's matter to tell
                client.connect(url.hostname or "127.0.0.1", url.port or 1883)
                client.loop_start()
                connected += 1
        for _ in range(connected if self._topics else 0):
            self._listening.acquire(timeout=LISTENS_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._heard_last = time.time()
        until = self._heard_last + LISTENS_S
        while self._topics and time.time() < min(self._heard_last + QUIET_S, until):
            time.sleep(QUIET_S / 10)
        for client, _url in self._clients:
            client.disconnect()
            client.loop_stop()

    def document(self, sample: Rows) -> dict[str, int]:
        """How many messages of the sample there are, and those of them that the platform acknowledged."""
        settled = np.count_nonzero(~np.isnan(self._heard(sample)))
        return {"devices": len(self._devices), "messages": len(sample), "settled": int(settled)}

    def delays(self, sample: Rows) -> NDArray[np.float64]:
        """Seconds from sent to told that it is settled, of new messages of the sample; NaN: never told."""
        rows = sample[(sample["kind"] == Kind.FRESH) & (sample["again"] == 0)]
        return np.asarray(self._heard(rows) - (rows["due"] + rows["late"]), dtype=np.float64)

    def sample(self, spools: Sequence[Path]) -> Rows:
        """Messages of the devices listened to which a broker acknowledged, and of which the platform can tell.

        A message that cannot be read as far as its number leaves a gap, beyond which the platform cannot acknowledge:
        what its device sent afterwards is left out.
        """
        parts = [rows[np.isin(rows["device"], self._devices) & acknowledged(rows)] for rows in slices(spools)]
        rows = np.concatenate([np.empty(0, dtype=ROW), *parts])
        gap: dict[tuple[int, int], int] = {}
        for device, boot, seq in named(rows[~np.isin(rows["kind"], READABLE)]):
            gap[device, boot] = min(seq, gap.get((device, boot), seq))
        told = [seq < gap.get((device, boot), seq + 1) for device, boot, seq in named(rows)]
        return rows[np.array(told, dtype=np.bool_)]

    def _heard(self, rows: Rows) -> NDArray[np.float64]:
        """When each message was said to be settled, s since 1970; NaN: never."""
        told = self._told
        heard = [heard_at(told.get((device, boot), []), seq) for device, boot, seq in named(rows)]
        return np.array(heard, dtype=np.float64)

    def _client(self, url: str) -> tuple[Client, Any]:
        parts = urlsplit(url)
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        if parts.scheme == "mqtts":
            client.tls_set()
        client.username_pw_set(unquote(parts.username or ""), unquote(parts.password or ""))
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._listening.release()
        client.on_message = self._on_message
        return client, parts

    def _on_connect(self, client: Client, *_: object) -> None:
        if self._topics:
            client.subscribe([(topic, 0) for topic in self._topics])

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self._heard_last = at = time.time()
        said = json.loads(message.payload)
        key = self._names[message.topic.split("/")[3]], said.get("boot", 0)
        note(self._told.setdefault(key, []), said["first"], said["seq"], at)


def note(told: list[Told], first: int, last: int, at: float) -> None:
    """Add what was said last."""
    told.append(Told(first, last, at, max(last, told[-1].highest) if told else last))


def heard_at(told: list[Told], seq: int) -> float:
    """When a number was first said to be settled, s since 1970; NaN: never. What was said before its number was
    reached is skipped: a device that speaks often is told thousands of times."""
    begin = bisect_left(told, seq, key=attrgetter("highest"))
    return next((one.at for one in islice(told, begin, None) if one.first <= seq <= one.last), float("nan"))


def named(rows: Rows) -> list[tuple[int, int, int]]:
    """Device, boot and number of each row."""
    return list(zip(*(rows[name].tolist() for name in ("device", "boot", "seq")), strict=True))
