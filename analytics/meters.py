"""What the analyst counts of itself: plain numbers, turned into Prometheus text when somebody asks."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MOST_BEHIND_S = 30.0
BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Work:
    """How long pieces of work took: how many there were by the first bound of BOUNDS_S that they did not exceed.
    `cpu_s`: of these seconds, what the thread reckoned itself; else it waited for the server or for its turn."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_s = 0.0
        self.counts = [0] * (len(BOUNDS_S) + 1)

    def took(self, seconds: float, cpu_s: float) -> None:
        """One more."""
        self.seconds += seconds
        self.cpu_s += cpu_s
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them, each with those below it."""
        names = [*map(str, BOUNDS_S), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class Meters:
    """Counters of one analyst since its start. Each follower's are written by its thread, and read by that of the
    pages."""

    def __init__(self) -> None:
        self.rounds = 0
        self.rows = 0
        self.missing = 0
        self.failures = 0
        self.also: list[Callable[[], Iterable[Metric]]] = []  # what followers count of themselves
        self.work: dict[str, Work] = {}  # by follower and its ticks; "round" and its parts by consumer
        self.standing_by = False
        self.trouble_said: str | None = None
        self._away_since: float | None = None
        self._oldest: dict[str, float] = {}  # by consumer, s since 1970: commit of the oldest batch not taken

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Time of the block is the work of a follower."""
        began, cpu_s = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            self.took(what, time.monotonic() - began, time.thread_time() - cpu_s)

    def took(self, what: str, seconds: float, cpu_s: float = 0.0) -> None:
        """A piece of work is done."""
        self.work.setdefault(what, Work()).took(seconds, cpu_s)

    def round(self, rows: int, missing: int) -> None:
        """One round with batches is committed; `missing` rows were not there."""
        self.rounds += 1
        self.rows += rows
        self.missing += missing

    def waiting(self, consumer: str, age_s: float) -> None:
        """Age of the oldest batch that a consumer has not taken; 0: there is none."""
        self._oldest.pop(consumer, None)
        if age_s:
            self._oldest[consumer] = time.time() - age_s

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
        return max([0.0, *(time.time() - oldest for oldest in self._oldest.copy().values())])

    def trouble(self) -> str | None:
        """Why what is kept is not up to the stream, in one line; None: it is."""
        if self.trouble_said and self._away_since:
            since = datetime.fromtimestamp(self._away_since, UTC)
            return f"database away since {since:%Y-%m-%dT%H:%M:%SZ}: {self.trouble_said}"
        return f"{self.behind_s:.0f} s behind" if self.behind_s > MOST_BEHIND_S else None

    def collect(self) -> Iterator["Metric"]:
        """As prometheus_client asks for it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, text, count in (
            ("rounds", "Rounds that took batches", self.rounds),
            ("rows", "Readings taken", self.rows),
            ("rows_missing", "Readings that batches should have and had not", self.missing),
            ("failures", "Rounds that failed and were done again", self.failures),
        ):
            yield CounterMetricFamily(f"dothi_analyst_{name}", text, value=count)
        yield GaugeMetricFamily("dothi_analyst_behind_seconds", "Age of the oldest batch not taken", self.behind_s)
        yield GaugeMetricFamily("dothi_analyst_ready", "1 when /readyz says so", self.trouble() is None)
        about = "Seconds that pieces of work took, by follower"
        took = HistogramMetricFamily("dothi_analyst_work_seconds", about, labels=["follower"])
        cpu = CounterMetricFamily("dothi_analyst_cpu_seconds", "CPU of these, without the server", labels=["follower"])
        for follower, work in self.work.copy().items():
            took.add_metric([follower], work.buckets(), work.seconds)
            cpu.add_metric([follower], work.cpu_s)
        yield took
        yield cpu
        for collect in list(self.also):
            yield from collect()
