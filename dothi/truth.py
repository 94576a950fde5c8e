"""What truly happened in a run, as its truth file says, and which alarms an operations centre ought to have had."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

NUMBERED = re.compile(r"(.+-)(\d+)")
AREA = re.compile(r"-(\d{3})-\d+$")


class Devices:
    """Who an event is about: single ids with the time at which it reached them, and ranges of numbered ids."""

    def __init__(self, document: Mapping[str, Any], start: float, more: Iterable[tuple[str, float]] = ()) -> None:
        """`document`: as in the truth file; `more`: the devices of the file that it names, with their times."""
        times = [seconds(one) for one in document.get("from", ())]
        ids = document.get("ids", ())
        self.since = dict(zip(ids, times or [start] * len(ids), strict=True)) | dict(more)
        self.ranges = [(*numbered(one["first"]), numbered(one["last"])[1]) for one in document.get("ranges", ())]
        self._width = {numbered(one["first"])[0]: digits(one["first"]) for one in document.get("ranges", ())}
        self._start = start

    def __contains__(self, device: str) -> bool:
        """Whether the event is about this device."""
        return device in self.since or any(
            head == first and low <= number <= high
            for first, low, high in self.ranges
            for head, number in [numbered(device)]
        )

    def each(self) -> Iterator[tuple[str, float]]:
        """Every device with the time at which it was reached."""
        yield from self.since.items()
        for head, low, high in self.ranges:
            for number in range(low, high + 1):
                yield f"{head}{number:0{self._width[head]}}", self._start

    def areas(self) -> dict[str, float]:
        """Districts in which they stand, with the time from which one of them was reached; NaN: that of the event."""
        found: dict[str, float] = {}
        for device, since in self.since.items():
            if named := AREA.search(device):
                found[named[1]] = min(since, found.get(named[1], math.inf))
        for head, number, _ in self.ranges:
            if named := AREA.search(f"{head}{number}"):
                found.setdefault(named[1], math.nan)
        return found


class Event(NamedTuple):
    """Something that happened, from `start` to `end` (s since 1970)."""

    id: str
    kind: str
    cause: str
    start: float
    end: float
    devices: Devices
    areas: frozenset[str]
    expected: tuple[Mapping[str, Any], ...]
    crossed: Mapping[str, float]


class Expectation(NamedTuple):
    """An alarm that ought to be there. `of`: a district or a device, where one is asked `per` each."""

    cause: str
    kind: str
    severity: str
    per: str
    of: str | None
    start: float
    end: float


def numbered(device: str) -> tuple[str, int]:
    """An id as its head and its number; an id without a number has -1."""
    found = NUMBERED.fullmatch(device)
    return (found[1], int(found[2])) if found else (device, -1)


def digits(device: str) -> int:
    """How long the number of an id is."""
    return len(device) - len(numbered(device)[0])


def seconds(text: str) -> float:
    """A moment of the file, s since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def events_of(truth: Mapping[str, Any], beside: Mapping[str, Sequence[tuple[str, float]]]) -> list[Event]:
    """The events of a truth file. `beside`: devices of the files. Raises KeyError, TypeError, ValueError."""
    events = []
    for one in truth["events"]:
        start, end, named = seconds(one["start"]), seconds(one["end"]), one["devices"]
        devices = Devices(named, start, beside.get(named.get("file", ""), ()))
        reached: dict[str, float] = {}
        for crossing in one.get("found", {}).get("crossed", ()):
            reached[crossing["area"]] = min(seconds(crossing["first"]), reached.get(crossing["area"], math.inf))
        areas = frozenset((*devices.areas(), *one["where"].get("areas", ())))
        expected = tuple(one["alarms"])
        events.append(Event(one["id"], one["kind"], one["cause"], start, end, devices, areas, expected, reached))
    return events


def expectations(events: Iterable[Event]) -> dict[Expectation, list[Event]]:
    """What ought to be told, each with the events that it is about."""
    found: dict[tuple[str, str, str | None], tuple[Expectation, list[Event]]] = {}
    for event in events:
        for alarm in event.expected:
            for of, start in units(event, alarm["one_per"]):
                key = (event.cause, alarm["kind"], of)
                what = (alarm["kind"], alarm["severity"], alarm["one_per"])
                made = Expectation(event.cause, *what, of, start, event.end)
                if key in found:
                    before, about = found[key]
                    start, end = min(before.start, start), max(before.end, event.end)
                    found[key] = before._replace(start=start, end=end), [*about, event]
                else:
                    found[key] = made, [event]
    return dict(found.values())


def units(event: Event, one_per: str) -> list[tuple[str | None, float]]:
    """What an alarm is expected for, each with the time from which: once, or for each district or device."""
    if one_per == "device":
        return list(event.devices.each())
    if one_per == "area":
        reached = event.crossed or event.devices.areas()
        return [(area, event.start if math.isnan(at) else at) for area, at in sorted(reached.items())]
    return [(None, event.start)]
