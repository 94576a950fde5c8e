"""What detectors said against what was done: which faults were found, how soon, and what was said without a fault."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from analytics.detectors.detector import Changes, Detector
from analytics.detectors.rows import WHOLE_DEVICE, Rows
from devices.family import Family

HOUR_US = 3_600_000_000
OPEN = np.iinfo(np.int64).max

FINDS: Mapping[str, tuple[str, ...]] = {
    "stuck": ("stuck",),
    "drift": ("drift",),
    "spikes": ("spike", "implausible"),
    "silence": ("silent",),
    "gateway_cut": ("silent",),
    "power_cut": ("silent",),
    "clock": ("clock",),
    "clock_skew": ("clock",),
    "bias": ("shift", "drift", "anomaly", "implausible"),
    "wrong_unit": ("shift", "missing", "drift", "implausible", "spike", "anomaly"),
    "battery_death": ("battery",),
    "renamed_field": ("missing",),
    "bad_value": ("implausible",),
    "bad_time": ("repeated",),
}
"""By kind of fault the detectors that are there to find it; of a kind that is not here any detector counts."""


class Found(NamedTuple):
    """A finding; `device` is a number within the world that was judged. µs since 1970; `until`: OPEN while it lasts."""

    detector: str
    family: str
    device: int
    metric: str | None
    since: int
    at: int
    until: int
    score: float
    value: float
    expected: float


class Fault(NamedTuple):
    """What was done to a device, from `start` to `end` (µs since 1970); `metric`: None where it is not about one."""

    kind: str
    device: int
    metric: str | None
    start: int
    end: int


@dataclass
class Watch:
    """Detectors of one family and what they said so far. `device`: of each slot, its number in the world."""

    family: Family
    detectors: Sequence[Detector]
    device: Sequence[int]
    found: list[Found] = field(default_factory=list)
    _open: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def update(self, rows: Rows, late: Rows | None = None) -> None:
        """Rows in order; `late`: with those that are older than the newest, for detectors that ask for them."""
        for detector in self.detectors:
            told = late if detector.late and late is not None else rows
            if told.size:
                self._take(detector, detector.update(told))

    def tick(self, now_us: int) -> None:
        """Time passes."""
        for detector in self.detectors:
            self._take(detector, detector.tick(now_us))

    def _take(self, detector: Detector, changes: Changes) -> None:
        for slot, metric, on, at, since, score, value, expected in zip(*(c.tolist() for c in changes), strict=True):
            key = (detector.name, slot, metric)
            if on:
                name = None if metric == WHOLE_DEVICE else self.family.metrics[metric].name
                self._open[key] = len(self.found)
                where = (detector.name, self.family.name, int(self.device[slot]), name)
                self.found.append(Found(*where, since, at, OPEN, score, value, expected))
            elif key in self._open:
                place = self._open.pop(key)
                self.found[place] = self.found[place]._replace(until=at)


class Score(NamedTuple):
    """Of one kind of fault. `seconds`: from its start until it was told, of those that were found."""

    kind: str
    faults: int
    found: int
    seconds: tuple[float, ...]
    missed: tuple[Fault, ...]

    @property
    def recall(self) -> float:
        """Share found, 0 to 1."""
        return self.found / self.faults if self.faults else 1.0

    def row(self) -> dict[str, Any]:
        """For a table: share, and time to detect in minutes."""
        minutes = np.array(self.seconds) / 60.0 if self.seconds else np.array([np.nan])
        return {
            "kind": self.kind,
            "faults": self.faults,
            "found": self.found,
            "recall": round(self.recall, 4),
            "minutes_median": round(float(np.median(minutes)), 1),
            "minutes_p95": round(float(np.percentile(minutes, 95)), 1),
        }


def hits(fault: Fault, one: Found, after_us: int) -> bool:
    """Whether a finding is of a fault: of its device and metric, told while it lasted or soon after."""
    return (
        one.device == fault.device
        and one.detector in FINDS.get(fault.kind, (one.detector,))
        and (fault.metric is None or one.metric in (None, fault.metric))
        and one.at <= fault.end + after_us
        and (fault.start <= one.at or one.until > fault.start)
    )


def scores(faults: Iterable[Fault], found: Sequence[Found], after_us: int = HOUR_US) -> list[Score]:
    """Per kind of fault, in the order of their names."""
    by_device: dict[int, list[Found]] = {}
    for one in found:
        by_device.setdefault(one.device, []).append(one)
    kinds: dict[str, list[tuple[Fault, float | None]]] = {}
    for fault in faults:
        times = [one.at for one in by_device.get(fault.device, []) if hits(fault, one, after_us)]
        soonest = max(0.0, (min(times) - fault.start) / 1e6) if times else None
        kinds.setdefault(fault.kind, []).append((fault, soonest))
    return [
        Score(
            kind,
            len(each),
            sum(seconds is not None for _, seconds in each),
            tuple(seconds for _, seconds in each if seconds is not None),
            tuple(fault for fault, seconds in each if seconds is None),
        )
        for kind, each in sorted(kinds.items())
    ]


def unexplained(faults: Iterable[Fault], found: Iterable[Found], after_us: int = 24 * HOUR_US) -> list[Found]:
    """Findings on a device at which nothing was wrong then: neither when it began nor when it was told, up to
    `after_us` after a fault, in which what follows from its end is told."""
    by_device: dict[int, list[Fault]] = {}
    for fault in faults:
        by_device.setdefault(fault.device, []).append(fault)
    return [
        one
        for one in found
        if not any(f.start <= one.at and one.since <= f.end + after_us for f in by_device.get(one.device, []))
    ]
