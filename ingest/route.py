"""Topic → device → profile, or Rejected; and the registry as this worker knows it, kept fresh while it runs."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import psycopg
import structlog

from devices.changed import Devices, changed_aliases, changed_devices, snapshot_xmin
from devices.envelopes import Notice, Packet, noticed, opener_of
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import Route, matches, rivals_of
from ingest.known import NOBODY, Device, Known
from ingest.names import Ints

log = structlog.get_logger("ingest.route")

REFRESH_S = 1.0
MOST_TOPICS = 200_000
"""Topics whose devices are remembered, some 30 MB; the others are looked up. Those who come first are those
who speak often, so none gives way to another until all are forgotten."""
FORGET_S = 600.0
"""How long a full memory of topics is kept: inboxes move to other workers, devices fall silent."""
READINGS = b"/up"
MOST_REQUESTS = 100
"""Of one route, waiting to be sent; a request that is lost is made again when the next message asks for it."""


class Outcome(NamedTuple):
    """What one reading of a message became; a part that carries none by design is a Notice. `claimed` is the id that
    was claimed, known or not."""

    device: Device | None
    claimed: str | None
    result: Reading | Rejected | Notice
    payload: bytes


class Router:
    """Devices by topic and by foreign name, and what their messages say."""

    def __init__(self, routes: dict[str, Route]) -> None:
        """`routes`: the foreign routes by inbox name."""
        self._routes = routes
        self._openers = {name: opener_of(route) for name, route in routes.items()}
        self._rivals = {name: rivals_of(route, routes.values()) for name, route in routes.items()}
        self._requests: dict[str, deque[tuple[str, bytes]]] = {
            name: deque(maxlen=MOST_REQUESTS) for name, opener in self._openers.items() if hasattr(opener, "requests")
        }
        self.known = Known()
        self._topics: dict[bytes, int] = {}  # number of the device that may send readings on a topic
        self._forgotten = time.monotonic()
        self._xmin = "0"
        self._read = 0
        self.read_at = 0.0
        """When the registry was looked at that is known, s since 1970: what was committed before is in it."""

    def __len__(self) -> int:
        """Devices known, and under whatever foreign systems call them."""
        return self._read

    def device_of_status(self, topic: bytes) -> Device | None:
        """The device that speaks on its status topic, or None when it is not one of ours."""
        found = self.find(topic)
        return found if isinstance(found, Device) else None

    def read(self, inbox: str, topic: bytes, payload: bytes) -> list[Outcome]:
        """A message → its readings, rejections and notices; none when another route's inbox reads it. Never raises,
        whatever the bytes."""
        route = self._routes.get(inbox)
        if route:
            return self._read_foreign(route, topic, payload)
        found = self.find(topic)
        if isinstance(found, Rejected):
            return [Outcome(None, claimed_id(topic), found, payload)]
        return outcomes(found, payload)

    def read_from(self, number: int, payload: bytes) -> list[Outcome]:
        """The same for a reading of one of our own devices that was found: by its number."""
        return outcomes(self.known.numbered(number), payload)

    def native(self, inbox: str) -> bool:
        """Whether an inbox takes messages of our own topics."""
        return inbox not in self._routes

    def find(self, topic: bytes) -> Device | Rejected:
        """The device of a native topic; remembered, so that in a small fleet the common case is one look-up.

        Refusals are not remembered: whoever invents ids must not fill our memory.
        """
        known = self._topics.get(topic)
        if known is not None:
            return self.known.numbered(known)
        area, name = topic.split(b"/")[2:4]
        number = self.known.number(name)
        if number < 0:
            return not_enrolled(name.decode(errors="backslashreplace"))
        device = self.known.numbered(number)
        if device.area != area or device.retired:
            return self._refused(device, area) or device
        if topic.endswith(READINGS):
            self._remember(topic, number)
        return device

    def numbers(self, topics: list[bytes]) -> Ints:
        """Numbers of the devices that send readings on native topics, NOBODY where the message must be looked at
        alone: another kind of message, or one that is refused."""
        found = np.fromiter(map(self._topics.get, topics, repeat(NOBODY)), dtype=np.int64, count=len(topics))
        missed = np.flatnonzero(found < 0)
        if len(missed):
            found[missed] = self._look_up([topics[place] for place in missed.tolist()])
        return found

    def _look_up(self, topics: list[bytes]) -> Ints:
        parts = [topic.split(b"/") for topic in topics]
        numbers = self.known.numbers([part[3] if part[-1] == b"up" else b"" for part in parts])
        found = np.flatnonzero(numbers >= 0)
        areas = [None if kind.retired else kind.area for kind in self.known.kinds()]
        kinds = self.known.standings(numbers[found]).kinds
        for place, kind in zip(found.tolist(), kinds.tolist(), strict=True):
            if areas[kind] != parts[place][2]:
                numbers[place] = NOBODY
        if len(self._topics) < MOST_TOPICS:
            for place in np.flatnonzero(numbers >= 0).tolist():
                self._remember(topics[place], int(numbers[place]))
        return numbers

    def _remember(self, topic: bytes, number: int) -> None:
        if len(self._topics) < MOST_TOPICS:
            self._topics[topic] = number

    def _refused(self, device: Device, area: bytes) -> Rejected | None:
        if device.retired:
            detail = f"device {device.name} is retired; enrol it again, or silence it"
            return Rejected("route", Reason.RETIRED_DEVICE, "device", device.name, detail)
        if device.area != area:
            said, known = area.decode(errors="backslashreplace"), device.area.decode()
            detail = f"device {device.name} is enrolled in area {known}; publish to dothi/v1/{known}/{device.name}/up"
            return Rejected("route", Reason.WRONG_AREA, "area", said, detail)
        return None

    def _read_foreign(self, route: Route, topic: bytes, payload: bytes) -> list[Outcome]:
        """A message of a foreign route: what it holds names the device, or its topic does."""
        text, opener = topic.decode(errors="replace"), self._openers[route.name]
        if any(matches(pattern, text) for pattern in self._rivals[route.name]):
            return []
        outcomes: list[Outcome] = []
        for part in opener(text, payload):
            if isinstance(part, Notice):
                outcomes.append(Outcome(self._device_of(route, part.foreign_id), part.foreign_id, part, b""))
            else:
                outcomes += self._read_packet(route, part)
        waiting = self._requests.get(route.name)
        if waiting is not None:
            made: list[tuple[str, bytes]] = opener.requests  # type: ignore[attr-defined]  # it has: see __init__
            waiting += made
            made.clear()
        return outcomes

    def requests(self, inbox: str) -> list[tuple[str, bytes]]:
        """Messages (topic, payload) that a route's opener wants sent, such as a request for a birth; each once."""
        waiting = self._requests.get(inbox)
        made = [*waiting] if waiting else []
        if waiting:
            waiting.clear()
        return made

    def _device_of(self, route: Route, foreign_id: str | None) -> Device | None:
        """The device that a foreign system calls so."""
        return self.known.called(route.kind, foreign_id or "")

    def _read_packet(self, route: Route, packet: Packet) -> list[Outcome]:
        foreign_id, entity, raw = packet
        device = self._device_of(route, foreign_id)
        if device is None:
            rejected = entity if isinstance(entity, Rejected) else unknown_device(route, foreign_id)
            return [Outcome(None, foreign_id, rejected, b"" if route.private else raw)]
        if device.profile.route != route.kind:
            detail = f"device {device.name} has profile {device.profile.name}, which is not of route {route.kind}"
            rejected = Rejected("route", Reason.UNKNOWN_ROUTE, "profile", device.profile.name, detail)
            return [Outcome(device, device.name, rejected, b"" if route.private else raw)]
        refused = self._refused(device, device.area)
        kept = device.profile.redact(entity, raw)
        if refused:
            return [Outcome(device, device.name, refused, kept)]
        results = device.profile.map(entity, raw)
        return [Outcome(device, device.name, noticed(result, foreign_id), kept) for result in results]

    async def refresh(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Take in what changed in the registry since the last time; messages are read between one piece and the
        next."""
        began = time.time()
        async with connection.transaction():
            xmin = await snapshot_xmin(connection)
            changed = [self.take(devices) async for devices in changed_devices(connection, self._xmin)]
            told = [self.known.take_aliases(aliases) async for aliases in changed_aliases(connection, self._xmin)]
        self.known.forget_aliases(joined(changed), joined(told))
        self._xmin, self._read, self.read_at = xmin, len(self.known), began
        if len(self._topics) >= MOST_TOPICS and time.monotonic() - self._forgotten > FORGET_S:
            self._topics.clear()
            self._forgotten = time.monotonic()

    def take(self, devices: Devices) -> Ints:
        """Take in devices as they are now; their numbers among those known."""
        numbers, replaced = self.known.take(devices)
        if replaced:
            self._topics.clear()  # what was found for a topic may be another device now
        return numbers

    async def keep_fresh(self, connect: Callable[[], Any]) -> None:
        """Refresh every second until cancelled; a database that is away is waited for."""
        while True:
            try:
                async with await connect() as connection:
                    while True:
                        await self.refresh(connection)
                        await asyncio.sleep(REFRESH_S)
            except psycopg.Error as error:
                log.warning("registry cannot be read", error=str(error).strip())
                await asyncio.sleep(REFRESH_S)


def outcomes(device: Device, payload: bytes) -> list[Outcome]:
    """What a device of ours says in a message."""
    results, name = device.profile.read(payload), device.name
    return [
        Outcome(device, name, result, result.payload if isinstance(result, Reading) else result.element or payload)
        for result in results
    ]


def not_enrolled(device: str) -> Rejected:
    """An id that nobody enrolled."""
    detail = f"no device {device} is enrolled; enrol it with: dothi devices enroll FILE.csv"
    return Rejected("route", Reason.UNKNOWN_DEVICE, "device", device, detail)


def unknown_device(route: Route, foreign_id: str | None) -> Rejected:
    """A foreign name that no enrolled device has."""
    detail = (
        f"{route.kind} calls it {foreign_id!r}; enrol a device with alias {route.kind}:{foreign_id}"
        if foreign_id
        else f"the message names no device of route {route.name}"
    )
    return Rejected("route", Reason.UNKNOWN_DEVICE, "device", foreign_id, detail)


def claimed_id(topic: bytes) -> str:
    """The device id that a native topic claims."""
    return topic.split(b"/")[3].decode(errors="backslashreplace")


def joined(numbers: list[Ints]) -> Ints:
    """One array of all."""
    return np.concatenate([np.empty(0, dtype=np.int64), *numbers])
