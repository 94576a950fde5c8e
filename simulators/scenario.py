"""What may happen to a city: how effects of a scenario take hold of readings, messages and connections."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.behaviour import Column
from simulators.draw import Floats, Ints
from simulators.fleet import Fleet
from simulators.messages import Messages

Devices = NDArray[np.uint32]
"""Indices into a fleet, ascending, each once."""


class Outage(NamedTuple):
    """Devices without a connection from `start` to `end` (s since 1970); real sockets are cut and come back then.

    `device`: indices into the fleet. `restart`: they lost power, so they come back with another `boot`.
    """

    device: Devices
    start: float
    end: float
    restart: bool


class Alarm(NamedTuple):
    """What an operations centre ought to be told. `one_per`: cause, area or device. `metric`: where it is about one."""

    kind: str
    severity: str
    one_per: str
    metric: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One happening as it was. Times: s since 1970; `start` ≤ a device's `since` < its `until` ≤ `end`.

    `devices`: exactly those whose readings or messages differ from a city without it. `since`, `until`: per device,
    None where they are those of the event. `senders`: who did it, where that is another device. `cause`: events with
    the same one are one matter, of which an operations centre wants to be told once. `found`: what followed from the
    parameters and the fleet, such as when a river crossed its levels.
    """

    id: str
    kind: str
    cause: str
    start: float
    end: float
    where: Mapping[str, Any]
    devices: Devices
    alarms: tuple[Alarm, ...]
    parameters: Mapping[str, Any]
    since: Floats | None = None
    until: Floats | None = None
    senders: Devices | None = None
    found: Mapping[str, Any] = field(default_factory=dict)


class Effect(Protocol):
    """One happening. Pure: the same arguments give the same result, and only the devices it is about are touched.

    What becomes of a message depends on that message alone, so that a city is the same in whatever slices it is asked.
    """

    def change(
        self, fleet: Fleet, family: str, device: Ints, seconds: Floats, columns: MutableMapping[str, Column]
    ) -> None:
        """Change what devices (indices) of a family measure at `seconds` since 1970, per metric one column, in place.

        Columns of states hold indices into the metric's states. What an effect writes is inside the legal range,
        unless leaving it is what it is about.
        """

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """The messages as the happening leaves them: fewer, more, later (`due`), under another kind or sender.

        They come in no order. One that is due later is held until then.
        """

    def added(self, fleet: Fleet, since: float, until: float, boot: int) -> Messages:
        """Messages beside the clocks of the devices, due from `since` to before `until` (s since 1970)."""

    def outages(self, fleet: Fleet) -> Sequence[Outage]:
        """Devices that lose their connection."""

    def truth(self, fleet: Fleet) -> Truth:
        """What an analysis of the readings should find."""


class Slice(NamedTuple):
    """From `since` to before `until`, s since 1970; `boot` and `shard` as in `simulators.city.City`."""

    since: float
    until: float
    boot: int
    shard: tuple[int, int]


Scenario = Sequence[Effect]
"""Effects, applied in this order."""
QUIET: Scenario = ()


def happen(
    scenario: Scenario,
    fleet: Fleet,
    messages: Messages,
    slice_of: Slice,
) -> Messages:
    """The clocks' messages of a slice of time as a scenario leaves them, with those it adds; in no order."""
    for effect in scenario:
        added = effect.added(fleet, slice_of.since, slice_of.until, slice_of.boot)
        messages = effect.shape(fleet, messages)
        if len(added):
            part, parts = slice_of.shard
            own = fleet.key[added.sender] % np.uint64(parts) == part - 1
            messages = Messages.joined(messages, added.take(own))
    return messages
