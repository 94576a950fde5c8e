"""What networks and firmware do to messages: twice, out of order, with a metric under another name."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulators.effects.event import Happening
from simulators.effects.kinds import Sort, always, duration, share
from simulators.fleet import Fleet
from simulators.messages import Kind, Messages
from simulators.scenario import Alarm


class Duplicates(Happening):
    """Messages are sent a second time, byte for byte, a little later."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        if self.idle(messages):
            return messages
        event = self.event
        chance = event.draws(fleet, messages.sender, "twice", messages.seq)
        twice = messages.take(self.sent(messages) & ~messages.again & (chance < event.given["share_of_messages"]))
        later = twice.due + event.given["within"] * event.draws(fleet, twice.sender, "later", twice.seq)
        again = np.ones(len(twice), dtype=np.bool_)
        return Messages.joined(messages, replace(twice, due=later, again=again))


class OutOfOrder(Happening):
    """Messages arrive late, so that others overtake them; their readings keep their time."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        if self.idle(messages):
            return messages
        event = self.event
        chance = event.draws(fleet, messages.sender, "slow", messages.seq)
        slow = self.sent(messages) & (chance < event.given["share_of_messages"])
        later = event.given["within"] * event.draws(fleet, messages.sender, "how-slow", messages.seq)
        return replace(messages, due=messages.due + np.where(slow, later, 0.0))


class RenamedField(Happening):
    """A new firmware calls the first metric otherwise."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        if self.idle(messages):
            return messages
        return replace(messages, kind=marked(messages, self.sent(messages), Kind.RENAMED))


def marked(messages: Messages, where: NDArray[np.bool_], kind: Kind) -> NDArray[np.uint8]:
    """The kinds, another one where the mask is true and nothing else is wrong with the message."""
    plain = where & ((messages.kind == Kind.FRESH) | (messages.kind == Kind.LATE))
    return np.where(plain, int(kind), messages.kind).astype(np.uint8)


WITHIN = duration("2 %", "at most so much later")

SORTS = {
    "duplicates": Sort(
        "messages are sent a second time",
        None,
        {"share_of_messages": share(0.2, "share of the messages that are sent twice"), "within": WITHIN},
        always(),
        lambda event, _fleet: Duplicates(event),
    ),
    "out_of_order": Sort(
        "messages are overtaken by later ones",
        None,
        {"share_of_messages": share(0.3, "share of the messages that are held up"), "within": WITHIN},
        always(),
        lambda event, _fleet: OutOfOrder(event),
    ),
    "renamed_field": Sort(
        "a firmware writes the first metric of its family under another name, `pm25` as `pm25_value`",
        ("air_quality",),
        {},
        always(Alarm("unknown_field", "warning", "cause")),
        lambda event, _fleet: RenamedField(event),
        "firmware",
    ),
}
