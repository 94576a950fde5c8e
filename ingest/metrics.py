"""What a worker counts of itself: plain numbers, added to once per batch, turned into Prometheus text when asked."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from ingest.host import Host
from ingest.serve import prometheus_text
from ingest.watch import said_time
from ingest.window import Window

if TYPE_CHECKING:
    from prometheus_client.core import Metric

FULL_FOR_S = 2.0
"""A window is full for moments in every catch-up; that long it is worth telling."""
MOST_LAG_S = 10.0
SILENT_FOR_S = 5.0
COMMIT_BOUNDS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Meters:
    """Counters of one worker since its start. The writer calls `batch` after each COMMIT, `settled_at` tells when."""

    def __init__(self) -> None:
        self.stored = 0
        self.duplicate = 0
        self.quarantined = 0
        self.partial = 0
        self.batches = 0
        self.notices: Counter[str] = Counter()  # messages without a reading by design, by kind
        self.unknown: Counter[str] = Counter()  # fields that a profile does not know, by profile
        self.commit_s = 0.0  # sum
        self.commits = [0] * (len(COMMIT_BOUNDS_S) + 1)  # by bound, the last one is "longer"
        self.settled_at: float | None = None  # monotonic clock

    def batch(self, rows: int, duplicates: int, quarantined: int, partial: int, commit_s: float) -> None:
        """One batch is committed: readings by how they ended (`rows`: stored), and seconds from BEGIN to COMMIT."""
        self.stored += rows
        self.duplicate += duplicates
        self.quarantined += quarantined
        self.partial += partial
        self.batches += 1
        self.commit_s += commit_s
        self.commits[bisect_left(COMMIT_BOUNDS_S, commit_s)] += 1
        self.settled_at = time.monotonic()

    @property
    def received(self) -> int:
        """Readings settled so far, however they ended."""
        return self.stored + self.duplicate + self.quarantined


class Figures:
    """Everything a worker shows of itself, collected when somebody asks. Times are seconds since 1970."""

    def __init__(
        self,
        worker: int,
        meters: Meters,
        window: Window,
        host: Host,
        known: Callable[[], tuple[int, float]] = lambda: (0, 0.0),
    ) -> None:
        """`known`: how many devices the worker knows, and as of when."""
        self._worker, self._known = str(worker), known
        self._meters = meters
        self._window = window
        self._host = host
        self._away: tuple[float, str] | None = None  # since when, and what the database or its driver said
        self._unreported: str | None = None
        self._asked: float | None = None

    @property
    def taken(self) -> int:
        """Messages read since the start."""
        return self._window.taken

    @property
    def in_flight(self) -> int:
        """Messages read and not yet settled."""
        return self._window.messages

    @property
    def lag_s(self) -> float:
        """Age of the oldest message that is not settled."""
        return max(0.0, time.time() - self._window.oldest / 1e6) if self._window.oldest else 0.0

    @property
    def connected(self) -> list[str]:
        """Inboxes that messages come from now."""
        return [session.inbox.name for session in self._host.sessions if session.ready.is_set()]

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """While this worker asks the database for a moment: one that never answers is noticed by the time it takes."""
        self._asked = time.time()
        yield
        self._asked, self._unreported = None, None

    def unreported(self, said: str) -> None:
        """The database could not be told about us."""
        self._asked, self._unreported = None, said

    def database(self, trouble: str | None) -> None:
        """What the writer says of the database now; None: all is well."""
        said = trouble or self._unreported
        self._away = (self._away[0] if self._away else time.time(), said) if said else None

    def away(self) -> tuple[float, str] | None:
        """Since when the database does not take batches, and why."""
        if self._away is None and self._asked and time.time() - self._asked > SILENT_FOR_S:
            return self._asked, "no answer"
        return self._away

    def trouble(self) -> str | None:
        """Why this worker is not carrying readings as it should, in one line; None: it does."""
        if away := self.away():
            return f"database away since {said_time(away[0])}: {one_line(away[1])}"
        down = [session for session in self._host.sessions if not session.ready.is_set()]
        if down:
            since = min(session.down_since or time.time() for session in down)
            return f"inbox {', '.join(session.inbox.name for session in down)} not connected since {said_time(since)}"
        if self._window.full_since and time.time() - self._window.full_since > FULL_FOR_S:
            return f"window full since {said_time(self._window.full_since)}: the database takes less than what comes"
        if self.lag_s > MOST_LAG_S:
            return f"{self.lag_s:.0f} s behind"
        return None

    def text(self) -> bytes:
        """Prometheus text, with CPU and memory of the process."""
        return prometheus_text(self)

    def collect(self) -> Iterator["Metric"]:
        """One sample each, labelled with the worker's number."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        label = [self._worker]
        for kind, samples in ((CounterMetricFamily, self._counters()), (GaugeMetricFamily, self._gauges())):
            for name, text, value in samples:
                family = kind(f"dothi_{name}", text, labels=["worker"])
                family.add_metric(label, value)
                yield family
        for name, text, by, counts in (
            ("notices", "Messages of foreign systems that carry no reading by design", "kind", self._meters.notices),
            (
                "unknown_fields",
                "Fields kept in extra because the profile does not know them",
                "profile",
                self._meters.unknown,
            ),
        ):
            family = CounterMetricFamily(f"dothi_{name}", text, labels=["worker", by])
            for one, count in sorted(counts.items()):
                family.add_metric([*label, one], count)
            yield family
        commit = HistogramMetricFamily("dothi_commit_seconds", "From BEGIN to COMMIT of a batch", labels=["worker"])
        bounds = [*map(str, COMMIT_BOUNDS_S), "+Inf"]
        commit.add_metric(
            label, list(zip(bounds, accumulate(self._meters.commits), strict=True)), self._meters.commit_s
        )
        yield commit

    def _counters(self) -> Iterator[tuple[str, str, float]]:
        meters = self._meters
        yield "messages_received", "Messages read from the brokers", self._window.taken
        yield "messages_settled", "Messages settled: committed and acknowledged", self._window.settled
        yield "readings_received", "Readings settled, however they ended", meters.received
        yield "readings_stored", "Readings stored", meters.stored
        yield "readings_duplicate", "Readings that were stored before", meters.duplicate
        yield "readings_quarantined", "Readings in quarantine", meters.quarantined
        yield "readings_partial", "Stored readings that lack a refused value", meters.partial
        yield "batches", "Batches committed", meters.batches
        yield "connects", "Sessions taken up, the first time included", self._host.connects

    def _gauges(self) -> Iterator[tuple[str, str, float]]:
        window, sessions = self._window, self._host.sessions
        devices, read_at = self._known()
        yield "devices_known", "Devices of the registry that this worker knows", devices
        yield "registry_read_timestamp_seconds", "When it last began to read the registry that it knows", read_at
        yield "in_flight_messages", "Messages read and not yet settled", window.messages
        yield "in_flight_bytes", "Bytes read and not yet settled", window.bytes
        yield "window_limit_messages", "Messages in flight at which reading stops", window.most_messages
        yield "window_limit_bytes", "Bytes in flight at which reading stops", window.most_bytes
        yield "window_full", "1 while reading has stopped", window.full
        yield "lag_seconds", "Age of the oldest message that is not settled", self.lag_s
        yield "database_up", "0 while the database does not take batches", self.away() is None
        yield "inboxes", "Inboxes hosted", len(sessions)
        yield "inboxes_connected", "Inboxes hosted and connected", sum(session.ready.is_set() for session in sessions)
        yield "ready", "1 when /readyz says so", self.trouble() is None


def one_line(text: str | None) -> str:
    """The first line of what somebody said."""
    return (text or "").partition("\n")[0]
