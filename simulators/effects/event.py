"""One event of a scenario and what its effects have in common: who it is about, when, and how a reading is changed."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.family import FAMILIES
from simulators import draw
from simulators.behaviour import Column, Voice, values, voices
from simulators.draw import Floats, Ints, salt
from simulators.fleet import Fleet, native_profile
from simulators.messages import Kind, Messages
from simulators.scenario import Alarm, Devices, Outage, Truth

KM_PER_DEGREE = 111.32
NOWHERE: Ints = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """What a scenario's entry says. `start`, `end`: s since 1970. `where`: as the truth tells it.

    `lat`, `lon`: the middle, degrees; `pointed`: the scenario named that point. `given`: the parameters of the kind,
    durations in seconds. `run_start`, `speed`: of the run.
    """

    id: str
    kind: str
    cause: str
    start: float
    end: float
    where: Mapping[str, Any]
    lat: float
    lon: float
    pointed: bool
    devices: Devices
    mask: NDArray[np.bool_]
    families: frozenset[str]
    given: Mapping[str, Any]
    alarms: tuple[Alarm, ...]
    run_start: float
    speed: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end - self.start

    def draws(self, fleet: Fleet, device: Ints | Devices, purpose: str, turn: Ints | int = 0) -> Floats:
        """A number in [0, 1) per device, its own for every event, purpose and turn."""
        return draw.uniform(fleet.key[device], salt(self.kind, self.id, purpose), turn)

    def narrowed(self, fleet: Fleet, keep: NDArray[np.bool_]) -> "Event":
        """The event with fewer devices."""
        devices = self.devices[keep]
        return replace(self, devices=devices, mask=mask_of(fleet, devices), families=families_of(fleet, devices))


class Happening:
    """An effect that does nothing yet: every kind overrides what it needs."""

    def __init__(self, event: Event) -> None:
        self.event = event

    def change(
        self, fleet: Fleet, family: str, device: Ints, seconds: Floats, columns: MutableMapping[str, Column]
    ) -> None:
        """As `simulators.scenario.Effect` says."""
        at = self.touched(family, device, seconds)
        if len(at):
            self.alter(fleet, device[at], seconds[at], Part(FAMILIES[family].name, at, columns))

    def touched(self, family: str, device: Ints, seconds: Floats) -> Ints:
        """Places of the readings that fall into the event."""
        event = self.event
        if family not in event.families or not overlaps(seconds, event.start, event.end):
            return NOWHERE
        return np.flatnonzero(event.mask[device] & (seconds >= event.start) & (seconds < event.end))

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: "Part") -> None:
        """Change the readings of a part, which is that of `device` at `seconds`."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `simulators.scenario.Effect` says."""
        return messages

    def sent(self, messages: Messages) -> Ints:
        """Places of the messages that the event's devices would send while it lasts."""
        event, due = self.event, messages.due
        if not overlaps(due, event.start, event.end):
            return NOWHERE
        return np.flatnonzero(event.mask[messages.sender] & (due >= event.start) & (due < event.end))

    def added(self, fleet: Fleet, since: float, until: float, boot: int) -> Messages:
        """As `simulators.scenario.Effect` says."""
        return Messages.none()

    def outages(self, fleet: Fleet) -> Sequence[Outage]:
        """As `simulators.scenario.Effect` says."""
        return ()

    def truth(self, fleet: Fleet) -> Truth:
        """As `simulators.scenario.Effect` says."""
        e = self.event
        return Truth(e.id, e.kind, e.cause, e.start, e.end, e.where, e.devices, e.alarms, e.given)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some readings of a family's columns: those at the places `at`."""

    family: str
    at: Ints
    columns: MutableMapping[str, Column]

    def __contains__(self, metric: str) -> bool:
        return metric in self.columns

    def __getitem__(self, metric: str) -> Column:
        column: Column = self.columns[metric][self.at]
        return column

    def set(self, metric: str, new: Column, *, legal: bool = True) -> None:
        """Write values, cut to the legal range unless `legal` is False; a metric that is not reported is left out."""
        if metric not in self.columns:
            return
        family = FAMILIES[self.family]
        known = family.metrics[family.index[metric]]
        self.columns[metric][self.at] = np.clip(new, known.low, known.high) if legal else new

    def add(self, metric: str, more: Floats) -> None:
        """Add to a metric."""
        if metric in self.columns:
            self.set(metric, self[metric] + more)

    def times(self, metric: str, factor: Floats) -> None:
        """Multiply a metric."""
        if metric in self.columns:
            self.set(metric, self[metric] * factor)

    def state(self, metric: str, word: str, where: NDArray[np.bool_]) -> None:
        """Say a state where the mask is true."""
        if metric in self.columns:
            family = FAMILIES[self.family]
            number = family.metrics[family.index[metric]].states.index(word)
            self.set(metric, np.where(where, number, self[metric]))


@cache
def spoken(family: str) -> tuple[Voice, ...]:
    """The voices of a family's native devices."""
    return voices(native_profile(family))


@cache
def counters(family: str) -> tuple[Voice, ...]:
    """Those voices of a family that count: they move apart from each other, so that they can be asked for alone."""
    return tuple(voice for voice in spoken(family) if voice.metric.kind == "counter")


def quiet(
    fleet: Fleet, family: str, device: Ints, seconds: Floats, parts: tuple[Voice, ...] | None = None
) -> dict[str, Column]:
    """What devices of a family would measure if nothing happened. `parts`: all voices, or the counters only."""
    return values(parts or spoken(family), fleet.key[device], seconds, fleet.lat[device], fleet.lon[device])


def mask_of(fleet: Fleet, devices: Devices) -> NDArray[np.bool_]:
    """Per device of the fleet whether it is one of these."""
    mask = np.zeros(len(fleet), dtype=np.bool_)
    mask[devices] = True
    return mask


def families_of(fleet: Fleet, devices: Devices) -> frozenset[str]:
    """The families of devices."""
    return frozenset(fleet.families[number] for number in np.unique(fleet.family[devices]).tolist())


def marked(messages: Messages, at: Ints, kind: Kind) -> NDArray[np.uint8]:
    """The kinds, another one at these places where nothing else is wrong with the message."""
    kinds = messages.kind.copy()
    plain = (kinds[at] == Kind.FRESH) | (kinds[at] == Kind.LATE)
    kinds[at] = np.where(plain, int(kind), kinds[at])
    return kinds


def overlaps(seconds: Floats, start: float, end: float) -> bool:
    """Whether any of the moments may lie from `start` to before `end`: looked at before anything that costs more."""
    return bool(len(seconds)) and bool(seconds.max() >= start) and bool(seconds.min() < end)


def ramp(x: Floats) -> Floats:
    """0 up to x = 0, 1 from x = 1, smooth between."""
    x = np.clip(x, 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x), dtype=np.float64)


def swell(x: Floats, rise: float = 0.4, fall: float = 0.6) -> Floats:
    """0 at x = 0, 1 from `rise` to `fall`, 0 again at x = 1."""
    return np.minimum(ramp(x / rise), ramp((1.0 - x) / (1.0 - fall)))


def swelled(x: Floats) -> Floats:
    """The integral of `swell(x)` from 0."""
    return 0.4 * (_ramped(x / 0.4) - _ramped((x - 0.6) / 0.4))


def _ramped(x: Floats) -> Floats:
    """The integral of `ramp(x)` from 0."""
    part = np.clip(x, 0.0, 1.0)
    return np.asarray(part**3 - 0.5 * part**4 + np.maximum(x - 1.0, 0.0), dtype=np.float64)


def away(fleet: Fleet, device: Ints | Devices, lat: float, lon: float) -> tuple[Floats, Floats]:
    """How far devices are from a point, km, and in which direction, radians clockwise from north; flat nearby."""
    north = (fleet.lat[device].astype(np.float64) - lat) * KM_PER_DEGREE
    east = (fleet.lon[device].astype(np.float64) - lon) * KM_PER_DEGREE * np.cos(np.radians(lat))
    return np.hypot(north, east), np.arctan2(east, north)
