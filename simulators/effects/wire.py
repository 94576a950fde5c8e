"""What networks and firmware do to messages: twice, out of order, with a metric under another name."""

from dataclasses import replace

import numpy as np

from simulators.effects.event import Happening, marked
from simulators.effects.kinds import Sort, always, duration, share
from simulators.fleet import Fleet
from simulators.messages import Kind, Messages
from simulators.scenario import Alarm


class Duplicates(Happening):
    """Messages are sent a second time, byte for byte, a little later."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        event = self.event
        told = messages.take(self.sent(messages))
        chance = event.draws(fleet, told.sender, "twice", told.seq)
        twice = told.take(~told.again & (chance < event.given["share_of_messages"]))
        if not len(twice):
            return messages
        later = twice.due + event.given["within"] * event.draws(fleet, twice.sender, "later", twice.seq)
        again = np.ones(len(twice), dtype=np.bool_)
        return Messages.joined(messages, replace(twice, due=later, again=again))


class OutOfOrder(Happening):
    """Messages arrive late, so that others overtake them; their readings keep their time."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        event, told = self.event, self.sent(messages)
        if not len(told):
            return messages
        sender, seq, due = messages.sender[told], messages.seq[told], messages.due.copy()
        slow = event.draws(fleet, sender, "slow", seq) < event.given["share_of_messages"]
        due[told] += np.where(slow, event.given["within"] * event.draws(fleet, sender, "how-slow", seq), 0.0)
        return replace(messages, due=due)


class RenamedField(Happening):
    """A new firmware calls the first metric otherwise."""

    def shape(self, fleet: Fleet, messages: Messages) -> Messages:
        """As `Happening` says."""
        told = self.sent(messages)
        return replace(messages, kind=marked(messages, told, Kind.RENAMED)) if len(told) else messages


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
        None,
        {},
        always(Alarm("unknown_field", "warning", "cause")),
        lambda event, _fleet: RenamedField(event),
        "firmware",
    ),
}
