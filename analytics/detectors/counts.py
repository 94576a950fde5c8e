"""What the detectors count of themselves."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from analytics.detectors.watch import Found, Watch

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Counts:
    """Since the start. Written by the analyst's thread, read by that of the pages."""

    def __init__(self) -> None:
        self.changes: Counter[tuple[str, str]] = Counter()  # detector, "on" or "off"
        self.catching_up = 0  # families
        self.waiting = 0  # changes that are not written

    def changed(self, found: Found) -> None:
        """Changes that a detector told."""
        on = int(np.count_nonzero(found.changes.on))
        self.changes[found.detector, "on"] += on
        self.changes[found.detector, "off"] += found.changes.size - on

    def collect(
        self, watches: list[Watch], out: dict[tuple[str, str], str], without: list[tuple[str, str]]
    ) -> "Iterator[Metric]":
        """As prometheus_client asks for it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        seconds: defaultdict[str, float] = defaultdict(float)
        for watch in watches:
            for detector, spent in list(watch.seconds.items()):
                seconds[detector] += spent
        work = CounterMetricFamily("dothi_detector_work_seconds", "Seconds of work, by detector", labels=["detector"])
        for detector, spent in sorted(seconds.items()):
            work.add_metric([detector], spent)
        yield work
        changes = CounterMetricFamily("dothi_detector_changes", "Changes of state found", labels=["detector", "to"])
        for (detector, to), count in sorted(self.changes.items()):
            changes.add_metric([detector, to], count)
        yield changes
        failed = GaugeMetricFamily(
            "dothi_detector_failed", "1 for each that failed and is out", labels=["detector", "family"]
        )
        for family, detector in sorted(out):
            failed.add_metric([detector, family], 1)
        yield failed
        left = GaugeMetricFamily(
            "dothi_detector_left_out", "1 for each that there is no memory for", labels=["detector", "family"]
        )
        for family, detector in without:
            left.add_metric([detector, family], 1)
        yield left
        yield GaugeMetricFamily("dothi_detectors_catching_up", "Families behind the stream", self.catching_up)
        yield GaugeMetricFamily("dothi_detectors_waiting", "Changes of state not written yet", self.waiting)
