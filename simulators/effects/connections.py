"""Connections that are lost: a gateway is cut, the power fails, devices send hours of readings at once.

A device that buffers sends what it held after its connection is back, in order; what the others said is lost.
"""

from dataclasses import replace

import numpy as np

from simulators.draw import Floats, Ints
from simulators.effects.event import Event, Happening, Part, quiet, spoken
from simulators.effects.kinds import Sort, always, duration, share
from simulators.effects.sequence import counted
from simulators.fleet import Fleet
from simulators.messages import Kind, Messages
from simulators.scenario import Alarm, Outage


class Cut(Happening):
    """A connection is gone and comes back, for each device a little later than for the one before."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        if self.idle(messages):
            return messages
        event = self.event
        cut = self.sent(messages)
        holds = event.draws(fleet, messages.sender, "buffers") < event.given["buffers"]
        passed = (messages.due - event.start) / event.seconds
        back = event.end + event.draws(fleet, messages.sender, "back") * event.given["back"]
        due = np.where(cut, back + passed * event.given["drain"], messages.due)
        late = cut & (messages.kind == Kind.FRESH)
        kind = np.where(late, int(Kind.LATE), messages.kind).astype(np.uint8)
        return replace(messages, due=due, kind=kind).take(~cut | holds)

    def outages(self, fleet: Fleet) -> tuple[Outage, ...]:
        """As `Happening` says."""
        return (Outage(self.event.devices, self.event.start, self.event.end, False),)


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
        self._said = counted(fleet, event.devices, self._up, event.run_start, event.speed)

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        if self.idle(messages):
            return messages
        event = self.event
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
        """Readings made after the device was up again."""
        event = self.event
        if family not in event.families or not len(seconds) or seconds.max() < event.end:
            return np.empty(0, dtype=np.int64)
        hit = np.flatnonzero(event.mask[device] & (seconds >= event.end))
        return hit[seconds[hit] >= self._up[np.searchsorted(event.devices, device[hit])]]

    def alter(self, fleet: Fleet, device: Ints, seconds: Floats, part: Part) -> None:
        """Counters of devices that forget them began at zero when the power was back."""
        forgets = self.event.draws(fleet, device, "resets") < self.event.given["resets"]
        up = self._up[np.searchsorted(self.event.devices, device)]
        counters = [voice.metric.name for voice in spoken(part.family) if voice.metric.kind == "counter"]
        for metric, at_zero in quiet(fleet, part.family, device, up, counters).items():
            part.add(metric, np.where(forgets, -at_zero, 0.0))

    def outages(self, fleet: Fleet) -> tuple[Outage, ...]:
        """As `Happening` says."""
        return (Outage(self.event.devices, self.event.start, self.event.end, True),)


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
