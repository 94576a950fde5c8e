"""Messages by what became of them, and how long they took."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simulators.draw import Ints
from simulators.histogram import Histogram
from simulators.messages import KINDS, Kind
from simulators.spool import FAILURE, NO_SUBSCRIBER, NOT_SENT, Rows

OVERDUE_S = 1.0
"""A message sent later than this after it became due counts as overdue."""
FAULTY = np.array([kind.faulty for kind in KINDS])
COUNTED_AT_ONCE = ("sent", "unsent", "reconnects", "repeated", "lines", "up", "codes")
COUNTED = (
    "sent",
    "acknowledged",
    "refused",
    "unheard",
    "overdue",
    "unsent",
    "late",
    "duplicated",
    "faulty",
    "reconnects",
    "repeated",
)


@dataclass(slots=True)
class Tally:
    """What has become of the messages so far.

    sent = acknowledged + refused + unheard + in flight; `codes`: PUBACKs by reason code. `unsent`: given up.
    `repeated`: sent once more because a connection was lost, which counts nowhere else. `lines`, `up`: connections that
    there should be, and are. Only of messages whose fate is known: `overdue`, sent more than a second after they were
    due; `late`, `duplicated`, `faulty`, sent so on purpose; `lateness`, s from due to sent; `answers`, s to the PUBACK.
    """

    sent: int = 0
    overdue: int = 0
    unsent: int = 0
    late: int = 0
    duplicated: int = 0
    faulty: int = 0
    reconnects: int = 0
    repeated: int = 0
    lines: int = 0
    up: int = 0
    codes: Ints = field(default_factory=lambda: np.zeros(256, dtype=np.int64))
    lateness: Histogram = field(default_factory=Histogram)
    answers: Histogram = field(default_factory=Histogram)

    def snapshot(self) -> "Tally":
        """As it is now, for another thread or process."""
        return replace(self, codes=self.codes.copy())

    def follow(self, other: "Tally") -> None:
        """Take over what another one has counted, but for what is counted by rows."""
        for name in COUNTED_AT_ONCE:
            setattr(self, name, getattr(other, name))

    def settle(self, rows: Rows) -> None:
        """Take rows of the spool: what they were, and the times. Nothing else is counted by them."""
        is_sent = rows["code"] != NOT_SENT
        sent = rows if is_sent.all() else rows[is_sent]
        self.overdue += int(np.count_nonzero(sent["late"] > OVERDUE_S))
        self.late += int(np.count_nonzero(sent["kind"] == Kind.LATE))
        self.duplicated += int(np.count_nonzero(sent["again"]))
        self.faulty += int(np.count_nonzero(FAULTY[sent["kind"]]))
        self.lateness.add(sent["late"])
        self.answers.add(sent["answer"])

    @property
    def refused(self) -> int:
        """Messages that a broker refused."""
        return int(self.codes[FAILURE:].sum())

    @property
    def unheard(self) -> int:
        """Messages that a broker acknowledged and nobody has subscribed to."""
        return int(self.codes[NO_SUBSCRIBER])

    @property
    def acknowledged(self) -> int:
        """Messages that a broker acknowledged, and somebody will read."""
        return int(self.codes[:FAILURE].sum()) - self.unheard

    @property
    def in_flight(self) -> int:
        """Messages sent whose PUBACK is still to come."""
        return self.sent - self.acknowledged - self.refused - self.unheard

    @property
    def is_up(self) -> bool:
        """Whether all connections stand."""
        return self.up == self.lines

    def document(self) -> dict[str, Any]:
        """As plain numbers; times in milliseconds, of messages whose fate is known."""
        counted = {name: getattr(self, name) for name in COUNTED}
        times = {**self.lateness.document("late"), **self.answers.document("puback")}
        return {**counted, "in_flight": self.in_flight, **times}
