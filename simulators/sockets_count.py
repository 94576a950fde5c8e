"""What is counted while devices come, speak and go; numbers of several processes add up."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from math import log
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

LEAST_S, STEP, BINS = 1e-4, 1.05, 300


@dataclass(slots=True)
class Durations:
    """Durations from 0.1 ms to 200 s in bins that are 5 % wide."""

    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))

    def note(self, seconds: float) -> None:
        """Count one."""
        place = log(max(seconds, LEAST_S) / LEAST_S) / log(STEP)
        self.bins[min(int(place), BINS - 1)] += 1

    def __iadd__(self, other: Self) -> Self:
        self.bins += other.bins
        return self

    def percentile(self, share: float) -> float | None:
        """Seconds within which this share (0 to 1) was done, at the upper edge of its bin; None: nothing was counted.

        >>> some = Durations()
        >>> for ms in range(1, 101): some.note(ms / 1000)
        >>> 0.049 < some.percentile(0.5) < 0.054, 0.1 <= some.percentile(1.0) < 0.106
        (True, True)
        """
        total = int(self.bins.sum())
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self.bins), share * total))
        return float(LEAST_S * STEP ** (place + 1))

    def document(self) -> dict[str, float | None]:
        """Percentiles in s."""
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        found = {name: self.percentile(share) for name, share in shares.items()}
        return {name: None if value is None else round(value, 4) for name, value in found.items()}


@dataclass(slots=True)
class Counts:
    """Messages and connections by what became of them.

    sent = acknowledged + refused + unheard + those in flight. `unsent`: given up. `overdue`: sent more than 1 s late.
    `late`, `duplicated`, `faulty`: how many of those sent were so on purpose. `resent`: again after a reconnect.
    `connects`: CONNACKs that let in, `reconnects` of them not the first of a device; `cut`: by an outage.
    `turned_away`: connections refused or failed, by reason; `disconnects`: those that stood, by reason.
    """

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unheard: int = 0
    overdue: int = 0
    unsent: int = 0
    late: int = 0
    duplicated: int = 0
    faulty: int = 0
    resent: int = 0
    connected: int = 0
    connects: int = 0
    reconnects: int = 0
    cut: int = 0
    pings: int = 0
    heard: int = 0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    growth_bytes: int = 0
    turned_away: Counter[str] = field(default_factory=Counter)
    disconnects: Counter[str] = field(default_factory=Counter)
    connect_s: Durations = field(default_factory=Durations)
    away_s: Durations = field(default_factory=Durations)
    answer_s: Durations = field(default_factory=Durations)
    first_up: float = float("inf")
    last_up: float = 0.0

    @property
    def in_flight(self) -> int:
        """Messages sent whose PUBACK is still to come."""
        return self.sent - self.acknowledged - self.refused - self.unheard

    @property
    def takeovers(self) -> int:
        """Connections that ended because somebody else came under the same client id."""
        return self.disconnects["session taken over"]


MOST, LEAST = ("last_up",), ("first_up",)


def added(parts: Iterable[Counts]) -> Counts:
    """The counts of all processes together."""
    whole = Counts()
    for part in parts:
        for one in fields(Counts):
            mine, its = getattr(whole, one.name), getattr(part, one.name)
            joined = max(mine, its) if one.name in MOST else min(mine, its) if one.name in LEAST else None
            if joined is None:
                mine += its
                joined = mine
            setattr(whole, one.name, joined)
    return whole


def summary(counts: Counts, seconds: float, connections: int, processes: int) -> dict[str, Any]:
    """The counts as a document, as they were when the devices began to leave."""
    coming_s = max(counts.last_up - counts.first_up, 1e-3)
    return {
        "seconds": round(seconds, 1),
        **{name: getattr(counts, name) for name in PLAIN},
        "in_flight": counts.in_flight,
        "takeovers": counts.takeovers,
        "turned_away": dict(counts.turned_away),
        "disconnects": dict(counts.disconnects),
        "connects_per_s": round((counts.connects - counts.reconnects) / coming_s, 1) if counts.connects else 0.0,
        "connect_s": counts.connect_s.document(),
        "away_s": counts.away_s.document(),
        "answer_s": counts.answer_s.document(),
        "processes": processes,
        "cpu_s": round(counts.cpu_s, 2),
        "memory_mb": round(counts.memory_bytes / 2**20, 1),
        "bytes_per_connection": round(counts.growth_bytes / max(connections, 1)),
        "rate_per_s": round(counts.sent / seconds, 1) if seconds > 0 else 0.0,
    }


PLAIN = (
    "sent",
    "acknowledged",
    "refused",
    "unheard",
    "overdue",
    "unsent",
    "late",
    "duplicated",
    "faulty",
    "resent",
    "connected",
    "connects",
    "reconnects",
    "cut",
    "pings",
    "heard",
)
