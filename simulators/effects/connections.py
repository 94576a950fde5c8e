"""Connections that are lost: a gateway is cut, the power fails, devices send hours of readings at once.

A device that buffers sends what it held after its connection is back, in order; what the others said is lost.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from simulators.draw import Floats, Ints
from simulators.effects.event import NOWHERE, Event, Happening, Part, counters, overlaps, quiet
from simulators.effects.kinds import Sort, always, duration, share
from simulators.fleet import Fleet, native_profile
from simulators.messages import Kind, Messages
from simulators.scenario import Alarm, Effect, Outage, Truth
from simulators.schedule import Schedule

LEAST_MISSED = 3
"""Fewer devices that are silent are silent each by itself: nothing tells that they have a gateway in common."""


class Cut(Happening):
    """A connection is gone and comes back, for each device a little later than for the one before."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        event, made = self.event, first_due(messages)
        if not overlaps(made, event.start, event.end):
            return messages
        cut = np.flatnonzero(event.mask[messages.sender] & (made >= event.start) & (made < event.end))
        sender, due, kind = messages.sender[cut], messages.due.copy(), messages.kind.copy()
        passed = (made[cut] - event.start) / event.seconds
        back = event.end + event.draws(fleet, sender, "back") * event.given["back"]
        due[cut] = back + passed * event.given["drain"]
        kind[cut] = np.where(kind[cut] == Kind.FRESH, int(Kind.LATE), kind[cut])
        keep = np.ones(len(messages), dtype=np.bool_)
        keep[cut] = event.draws(fleet, sender, "buffers") < event.given["buffers"]
        return replace(messages, due=due, kind=kind).take(keep)

    def outages(self, fleet: Fleet) -> tuple[Outage, ...]:
        """As `Happening` says."""
        return (Outage(self.event.devices, self.event.start, self.event.end, False),)

    def truth(self, fleet: Fleet) -> Truth:
        """As `Happening` says. Who is not due often enough cannot be missed: where too few can be before all is over,
        nothing that arrives tells of it, and no alarm is expected."""
        event, families = self.event, [fleet.families[number] for number in fleet.family[self.event.devices].tolist()]
        missed = sum(silent_s(family) / event.speed < event.seconds for family in families)
        truth = super().truth(fleet)
        return replace(truth, alarms=truth.alarms if missed >= LEAST_MISSED else (), found={"missed": missed})


class Burst(Cut):
    """Devices held their readings without having lost the connection: nobody else sees an outage."""

    def outages(self, fleet: Fleet) -> tuple[Outage, ...]:
        """As `Happening` says."""
        return ()


class PowerCut(Happening):
    """Devices are dead, then start anew: another boot, numbers from 1, some with their counters at zero."""

    def __init__(self, event: Event, fleet: Fleet) -> None:
        super().__init__(event)
        self._up = event.end + event.draws(fleet, event.devices, "back") * float(event.given["back"])
        self._forgets = event.draws(fleet, event.devices, "resets") < event.given["resets"]
        clocks = Schedule(fleet, event.devices, start=event.run_start, boot=0, speed=event.speed)
        self._before = clocks.before(self._up)
        self._said = self._before

    def follow(self, earlier: "PowerCut") -> None:
        """Numbers that an earlier cut has begun anew are these no more: what was said since counts."""
        at = np.searchsorted(earlier.event.devices, self.event.devices)
        at = np.minimum(at, len(earlier.event.devices) - 1)
        same = earlier.event.devices[at] == self.event.devices
        self._said = np.where(same, self._before - earlier._before[at], self._said)

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        event = self.event
        if not overlaps(messages.due, event.start, np.inf):
            return messages
        hit = np.flatnonzero(event.mask[messages.sender] & (messages.due >= event.start))
        at = np.searchsorted(event.devices, messages.sender[hit])
        seq = messages.seq[hit] - self._said[at]
        alive = (messages.due[hit] >= self._up[at]) & (seq > 0)
        keep, again = np.ones(len(messages), dtype=np.bool_), messages.seq.copy()
        keep[hit], again[hit] = alive, seq
        boot = messages.boot.copy()
        boot[hit] += 1
        return replace(messages, boot=boot, seq=again).take(keep)

    def touched(self, family: str, device: Ints, seconds: Floats) -> Ints:
        """Readings made after a device that forgets was up again."""
        event = self.event
        if family not in event.families or not overlaps(seconds, event.end, np.inf):
            return NOWHERE
        if not counters(family):
            return NOWHERE
        hit = np.flatnonzero(event.mask[device] & (seconds >= event.end))
        at = np.searchsorted(event.devices, device[hit])
        return np.asarray(hit[self._forgets[at] & (seconds[hit] >= self._up[at])], dtype=np.int64)

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """Counters of devices that forget them began at zero when the power was back."""
        up = self._up[np.searchsorted(self.event.devices, device)]
        for metric, at_zero in quiet(fleet, part.family, device, up, counters(part.family)).items():
            now = part[metric]
            part.set(metric, np.where(now >= at_zero, now - at_zero, now))  # lower: it was reset meanwhile

    def outages(self, fleet: Fleet) -> tuple[Outage, ...]:
        """As `Happening` says."""
        return (Outage(self.event.devices, self.event.start, self.event.end, True),)


def silent_s(family: str) -> float:
    """Seconds after which a device of a family that says nothing counts as silent, a quarter interval of grace."""
    profile = native_profile(family)
    return (profile.offline_after + 0.25) * profile.interval_s


def in_turn(effects: Iterable[Effect]) -> None:
    """Power cuts of the same devices, one after the other, each know of the one before."""
    cuts = sorted((one for one in effects if isinstance(one, PowerCut)), key=lambda cut: cut.event.start)
    for place, cut in enumerate(cuts):
        for earlier in cuts[:place]:
            cut.follow(earlier)


def first_due(messages: Messages) -> Floats:
    """When each message was due; of one that is sent again, the moment after it was due for the first time: what
    became of the first becomes of the second.
    """
    again = messages.again & (messages.kind != Kind.LATE)  # a late one does not tell when it was due
    return np.where(again, (messages.time + 1) / 1000.0, messages.due)


BUFFERS = share(0.7, "share of the devices that hold what they could not send; of the others it is lost")
BACK = duration("2 %", "devices come back within this time, each at its own moment")
DRAIN = duration("2 %", "how long a device takes to send what it held")

SORTS = {
    "gateway_cut": Sort(
        "a gateway's devices lose their connection; those that buffer send it all afterwards",
        None,
        {"buffers": BUFFERS, "back": BACK, "drain": DRAIN},
        always(Alarm("gateway_cut", "major", "cause")),
        lambda event, _fleet: Cut(event),
        "connection",
    ),
    "late_burst": Sort(
        "devices hold all readings and send them at once at the end",
        None,
        {"buffers": share(1.0, BUFFERS.meaning), "back": BACK, "drain": DRAIN},
        always(),
        lambda event, _fleet: Burst(event),
        "connection",
    ),
    "power_cut": Sort(
        "devices without power; then the storm in which all come back with another boot number, counting from 1",
        None,
        {"back": BACK, "resets": share(0.2, "share of the devices whose counters begin at zero again")},
        always(Alarm("power_cut", "critical", "cause")),
        PowerCut,
        "connection",
    ),
}
