"""What the analyst counts of itself: plain numbers, turned into Prometheus text when somebody asks."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MOST_BEHIND_S = 30.0


class Meters:
    """Counters of one analyst since its start. Written by its thread, read by that of the pages."""

    def __init__(self) -> None:
        self.rounds = 0
        self.rows = 0
        self.missing = 0
        self.failures = 0
        self.also: list[Callable[[], Iterable[Metric]]] = []  # what followers count of themselves
        self.work_s: dict[str, float] = {}  # by follower, and "read"
        self.standing_by = False
        self.trouble_said: str | None = None
        self._away_since: float | None = None
        self._oldest: float | None = None  # s since 1970: commit of the oldest batch not taken

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Time of the block is the work of a follower."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.work_s[what] = self.work_s.get(what, 0.0) + time.monotonic() - began

    def round(self, rows: int, missing: int) -> None:
        """One round with batches is committed; `missing` rows were not there."""
        self.rounds += 1
        self.rows += rows
        self.missing += missing

    def waiting(self, age_s: float) -> None:
        """Age of the oldest batch not taken; 0: there is none."""
        self._oldest = time.time() - age_s if age_s else None

    def away(self, said: str | None) -> None:
        """What stands in the way, in one line; None: nothing any more."""
        if said:
            self.failures += 1
            self._away_since = self._away_since or time.time()
        else:
            self._away_since = None
        self.trouble_said = said

    @property
    def behind_s(self) -> float:
        """Age of the oldest batch not taken, s."""
        oldest = self._oldest
        return max(0.0, time.time() - oldest) if oldest else 0.0

    def trouble(self) -> str | None:
        """Why what is kept is not up to the stream, in one line; None: it is."""
        if self.trouble_said and self._away_since:
            since = datetime.fromtimestamp(self._away_since, UTC)
            return f"database away since {since:%Y-%m-%dT%H:%M:%SZ}: {self.trouble_said}"
        return f"{self.behind_s:.0f} s behind" if self.behind_s > MOST_BEHIND_S else None

    def collect(self) -> Iterator["Metric"]:
        """As prometheus_client asks for it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, text, count in (
            ("rounds", "Rounds that took batches", self.rounds),
            ("rows", "Readings taken", self.rows),
            ("rows_missing", "Readings that batches should have and had not", self.missing),
            ("failures", "Rounds that failed and were done again", self.failures),
        ):
            yield CounterMetricFamily(f"dothi_analyst_{name}", text, value=count)
        yield GaugeMetricFamily("dothi_analyst_behind_seconds", "Age of the oldest batch not taken", self.behind_s)
        yield GaugeMetricFamily("dothi_analyst_ready", "1 when /readyz says so", self.trouble() is None)
        work = CounterMetricFamily("dothi_analyst_work_seconds", "Seconds of work, by follower", labels=["follower"])
        for follower, seconds in list(self.work_s.items()):
            work.add_metric([follower], seconds)
        yield work
        for collect in list(self.also):
            yield from collect()
