"""Compromised devices: they flood, speak under another's name, or send bytes that are no message.

What they send comes beside the messages of their own clock, in a boot of its own, so that the numbers of both are
without gaps.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulators.effects.event import Event, Happening, mask_of
from simulators.effects.kinds import Sort, always, number
from simulators.fleet import Fleet
from simulators.messages import Kind, Messages
from simulators.scenario import Alarm, Devices, Truth

OTHER_BOOT = 1_000_000
"""Boots of compromised devices lie this far above the city's."""


class Attack(Happening):
    """Each device sends `per_s` messages of a kind, evenly, each from a moment of its own within the first period."""

    kind = Kind.FLOOD

    def __init__(self, event: Event, _fleet: Fleet) -> None:
        super().__init__(event)
        self._most = int(np.ceil(event.seconds * event.given["per_s"]))

    def added(self, fleet: Fleet, since: float, until: float, boot: int) -> Messages:
        """As `Happening` says."""
        event, rate = self.event, float(self.event.given["per_s"])
        since, until = max(since, event.start), min(until, event.end)
        if since >= until:
            return Messages.none()
        first = max(int((since - event.start) * rate) - 2, 0)
        turns = np.arange(first, min(int((until - event.start) * rate) + 2, self._most), dtype=np.int64)
        sender, turn = np.repeat(event.devices, len(turns)), np.tile(turns, len(event.devices))
        due = event.start + (turn + event.draws(fleet, sender, "phase")) / rate
        now = (due >= since) & (due < until)
        return self.said(fleet, sender[now], turn[now] + 1, due[now], boot + OTHER_BOOT)

    def said(
        self, fleet: Fleet, sender: Devices, seq: NDArray[np.int64], due: NDArray[np.float64], boot: int
    ) -> Messages:
        """The messages of `sender` at `due`."""
        boots, kinds = np.full(len(sender), boot, dtype=np.int64), np.full(len(sender), int(self.kind), dtype=np.uint8)
        time, once = np.floor(due * 1000.0).astype(np.int64), np.zeros(len(sender), dtype=np.bool_)
        return Messages(sender, sender, boots, seq, time, due, kinds, once)


class Flood(Attack):
    """Far more messages than anyone asked for, each of them right."""


class Garbage(Attack):
    """Bytes that are neither JSON nor CBOR."""

    kind = Kind.GARBAGE


class Spoof(Attack):
    """False readings under the names of others: the device of the message is the victim, its sender the culprit."""

    kind = Kind.SPOOFED

    def __init__(self, event: Event, fleet: Fleet) -> None:
        super().__init__(event, fleet)
        self._victims = victims(fleet, event)

    def said(
        self, fleet: Fleet, sender: Devices, seq: NDArray[np.int64], due: NDArray[np.float64], boot: int
    ) -> Messages:
        """Numbered per culprit, one victim after the other."""
        plain = super().said(fleet, sender, seq, due, boot)
        culprit = np.searchsorted(self.event.devices, sender)
        return replace(plain, device=self._victims[seq % len(self._victims)], boot=plain.boot + culprit)

    def truth(self, fleet: Fleet) -> Truth:
        """About the victims, who are named beside the senders."""
        e = self.event
        devices = np.sort(self._victims)
        return Truth(
            *(e.id, e.kind, e.cause, e.start, e.end, e.where, devices, e.alarms, e.given, None, None, e.devices)
        )


def victims(fleet: Fleet, event: Event) -> Devices:
    """As many devices as asked for, of the culprits' families, none of them a culprit."""
    same = np.isin(fleet.family, np.unique(fleet.family[event.devices]))
    found = np.flatnonzero(same & ~mask_of(fleet, event.devices)).astype(np.uint32)
    order = np.argsort(event.draws(fleet, found, "victim"), kind="stable")
    return found[order[: int(event.given["victims"])]]


PER_S = number("/s", 20, 0.01, 5000, "messages of each device, beside those it ought to send")

SORTS = {
    "flood": Sort(
        "a compromised device sends far too much, each message right",
        None,
        {"per_s": PER_S},
        always(Alarm("flood", "major", "device")),
        Flood,
        "attack",
        1,
    ),
    "garbage": Sort(
        "a compromised device sends bytes that are no message",
        None,
        {"per_s": number("/s", 2, 0.01, 5000, PER_S.meaning)},
        always(Alarm("garbage", "major", "device")),
        Garbage,
        "attack",
        1,
    ),
    "spoof": Sort(
        "a compromised device sends false readings under the names of others of its family",
        None,
        {
            "per_s": number("/s", 2, 0.01, 5000, PER_S.meaning),
            "victims": number("1", 1, 1, 1000, "how many others it names"),
        },
        always(Alarm("spoof", "critical", "cause")),
        Spoof,
        "attack",
        1,
    ),
}
