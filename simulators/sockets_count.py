"""What is counted while devices come and go; what several processes count adds up."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from simulators.histogram import Histogram
from simulators.tally import COUNTED_AT_ONCE, Tally

PLAIN = ("connects", "cut", "pings", "heard")


@dataclass(slots=True)
class Counts:
    """Connections of one process, and with `tally` its messages.

    `connects`: CONNACKs that let in, `tally.reconnects` of them not the first of a device. `cut`: by an outage.
    `turned_away`: connections refused or failed, by reason. `disconnects`: those that stood, by reason. `heard`:
    messages to devices. `began`, `all_came`: s since 1970, when the first wanted to come and the last new one had.
    `growth_bytes`: memory that the connections took.
    """

    tally: Tally = field(default_factory=Tally)
    connects: int = 0
    cut: int = 0
    pings: int = 0
    heard: int = 0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    growth_bytes: int = 0
    turned_away: Counter[str] = field(default_factory=Counter)
    disconnects: Counter[str] = field(default_factory=Counter)
    began: float = float("inf")
    all_came: float = 0.0

    def add(self, other: "Counts") -> None:
        """Those of another process, too."""
        for name in COUNTED_AT_ONCE:
            setattr(self.tally, name, getattr(self.tally, name) + getattr(other.tally, name))
        for one in fields(Counts):
            if one.name not in ("tally", "began", "all_came"):
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        self.began, self.all_came = min(self.began, other.began), max(self.all_came, other.all_came)


@dataclass(slots=True)
class Times:
    """How long things took, s: from SYN to CONNACK, and from the loss or the end of an outage until back."""

    connect: list[float] = field(default_factory=list)
    away: list[float] = field(default_factory=list)

    def taken(self) -> "Times":
        """What was noted since this was asked last."""
        new = Times(self.connect, self.away)
        self.connect, self.away = [], []
        return new


class Totals:
    """All processes together: the latest counts of each, and every time."""

    def __init__(self, processes: int, tally: Tally) -> None:
        self.tally, self._latest = tally, [Counts() for _ in range(processes)]
        self._connect, self._away = Histogram(), Histogram()

    def note(self, process: int, counts: Counts, times: Times) -> None:
        """What a process has told."""
        self._latest[process] = counts
        self._connect.add(np.array(times.connect))
        self._away.add(np.array(times.away))
        self.tally.follow(added(self._latest).tally)

    @property
    def counts(self) -> Counts:
        """Connections of all processes."""
        return added(self._latest)

    def document(self, seconds: float, connections: int) -> dict[str, Any]:
        """The summary of a run as it was when the devices began to leave; times in ms."""
        counts = added(self._latest)
        coming_s = max(counts.all_came - counts.began, 1e-3)
        first = counts.connects - counts.tally.reconnects
        return {
            "seconds": round(seconds, 1),
            **self.tally.document(),
            "connected": counts.tally.up,
            **{name: getattr(counts, name) for name in PLAIN},
            "takeovers": counts.disconnects["session taken over"],
            "turned_away": dict(counts.turned_away),
            "disconnects": dict(counts.disconnects),
            "connects_per_s": round(first / coming_s, 1) if first else 0.0,
            **self._connect.document("connect"),
            **self._away.document("away"),
            "processes": len(self._latest),
            "cpu_s": round(counts.cpu_s, 2),
            "memory_mb": round(counts.memory_bytes / 2**20, 1),
            "bytes_per_connection": round(counts.growth_bytes / max(connections, 1)),
            "rate_per_s": round(self.tally.sent / seconds, 1) if seconds > 0 else 0.0,
        }


def added(parts: Iterable[Counts]) -> Counts:
    """The counts of all processes together."""
    whole = Counts()
    for part in parts:
        whole.add(part)
    return whole
