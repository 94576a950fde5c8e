"""Topic → device → profile, or Rejected; and the registry as this worker knows it, kept fresh while it runs."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import structlog

from devices.envelopes import Notice, Packet, noticed, opener_of
from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.registry import AliasChange, Change, changed_since
from devices.rejected import Reason, Rejected
from devices.route import Route, matches, rivals_of

log = structlog.get_logger("ingest.route")

REFRESH_S = 1.0
MOST_REQUESTS = 100
"""Of one route, waiting to be sent; a request that is lost is made again when the next message asks for it."""


class Device(NamedTuple):
    """A device of the registry as a reading needs it."""

    id: int
    name: str
    area: bytes
    area_id: int
    profile: Profile
    retired: bool


class Outcome(NamedTuple):
    """What one reading of a message became; a part that carries none by design is a Notice. `claimed` is the id that
    was claimed, known or not."""

    device: Device | None
    claimed: str | None
    result: Reading | Rejected | Notice
    payload: bytes


class Router:
    """Devices by id, topics by what was found for them once, foreign names by route."""

    def __init__(self, routes: dict[str, Route]) -> None:
        """`routes`: the foreign routes by inbox name."""
        self._routes = routes
        self._openers = {name: opener_of(route) for name, route in routes.items()}
        self._rivals = {name: rivals_of(route, routes.values()) for name, route in routes.items()}
        self._requests: dict[str, deque[tuple[str, bytes]]] = {
            name: deque(maxlen=MOST_REQUESTS) for name, opener in self._openers.items() if hasattr(opener, "requests")
        }
        self._devices: dict[bytes, Device] = {}
        self._topics: dict[bytes, Device] = {}
        self._aliases: dict[tuple[str, str], bytes] = {}
        self._xmin = "0"

    def __len__(self) -> int:
        """Devices known."""
        return len(self._devices)

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
        return [
            Outcome(
                found, found.name, result, result.payload if isinstance(result, Reading) else result.element or payload
            )
            for result in found.profile.read(payload)
        ]

    def find(self, topic: bytes) -> Device | Rejected:
        """The device of a native topic; remembered, so that the common case is one look-up.

        Refusals are not remembered: whoever invents ids must not fill our memory.
        """
        known = self._topics.get(topic)
        if known is not None:
            return known
        found = self._find(topic)
        if isinstance(found, Device):
            self._topics[topic] = found
        return found

    def _find(self, topic: bytes) -> Device | Rejected:
        area, name = topic.split(b"/")[2:4]
        device = self._devices.get(name)
        if device is None:
            shown = name.decode(errors="backslashreplace")
            detail = f"no device {shown} is enrolled; enrol it with: dothi devices enroll FILE.csv"
            return Rejected("route", Reason.UNKNOWN_DEVICE, "device", shown, detail)
        return self._refused(device, area) or device

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
        return self._devices.get(self._aliases.get((route.kind, foreign_id or ""), b""))

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
        """Take in what changed in the registry since the last time."""
        self._xmin, devices, aliases = await changed_since(connection, self._xmin)
        self._forget_names({name for change in devices if (name := change.device.encode()) in self._devices})
        for change in devices:
            self._take(change)
        for alias in aliases:
            self._take_alias(alias)

    def _take(self, change: Change) -> None:
        profile = PROFILES.get(change.profile)
        if profile is None:
            log.error("profile unknown to this code", device=change.device, profile=change.profile)
            return
        device = Device(change.id, change.device, change.area.encode(), change.area_id, profile, change.retired)
        if self._devices.get(change.device.encode()) != device:
            self._devices[change.device.encode()] = device
            self._topics.clear()  # what was found for a topic may be another device now, or one at all

    def _forget_names(self, devices: set[bytes]) -> None:
        """All names of devices that changed: those that they still have are told anew."""
        for name in [name for name, device in self._aliases.items() if device in devices] if devices else ():
            del self._aliases[name]

    def _take_alias(self, alias: AliasChange) -> None:
        self._aliases[alias.route, alias.foreign_id] = alias.device.encode()

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
