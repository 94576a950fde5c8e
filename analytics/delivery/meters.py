"""What the messenger counts of itself."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LONGEST_AWAY_S = 10.0


class Meters:
    """Counts since the start. Written by the messenger, read by its pages."""

    def __init__(self) -> None:
        self.news = 0
        self.reminders = 0
        self.answered: Counter[str] = Counter()  # by receiver
        self.failed: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.waiting: dict[str, int] = {}
        self.oldest_s: dict[str, float] = {}
        self.published: Counter[str] = Counter()  # by broker
        self.retained: dict[str, int] = {}
        self.standing_by = False
        self.trouble_said: str | None = None
        self._away: dict[str, float] = {}  # brokers, since when

    def database(self, said: str | None) -> None:
        """Why the database cannot be asked; None: it can."""
        self.trouble_said = said

    def broker(self, name: str, connected: bool) -> None:
        """Whether a broker is connected."""
        if connected:
            self._away.pop(name, None)
        else:
            self._away.setdefault(name, time.monotonic())

    def trouble(self) -> str | None:
        """Why alarms do not go out as they should, in one line; None: they do. A dead receiver is its own trouble."""
        if self.trouble_said:
            return f"database away: {self.trouble_said}"
        now = time.monotonic()
        away = [name for name, since in self._away.items() if now - since > LONGEST_AWAY_S]
        return f"alarms do not reach {', '.join(sorted(away))}" if away else None

    def collect(self) -> Iterator["Metric"]:
        """As prometheus_client asks for it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield CounterMetricFamily("dothi_messenger_news", "Steps of alarms taken", value=self.news)
        yield CounterMetricFamily("dothi_messenger_reminders", "Steps that time alone brought", value=self.reminders)
        for name, text, counts in (
            ("answered", "Deliveries that receivers took", self.answered),
            ("failed", "Tries that failed", self.failed),
            ("given_up", "Deliveries given up", self.given_up),
        ):
            counter = CounterMetricFamily(f"dothi_messenger_{name}", text, labels=["receiver"])
            for receiver, count in sorted(counts.items()):
                counter.add_metric([receiver], count)
            yield counter
        for name, text, values in (
            ("waiting", "Deliveries that wait", self.waiting),
            ("oldest_seconds", "Age of the oldest delivery that waits", self.oldest_s),
        ):
            gauge = GaugeMetricFamily(f"dothi_messenger_{name}", text, labels=["receiver"])
            for receiver, value in sorted(values.items()):
                gauge.add_metric([receiver], value)
            yield gauge
        published = CounterMetricFamily("dothi_messenger_published", "Alarm messages published", labels=["broker"])
        for broker, count in sorted(self.published.items()):
            published.add_metric([broker], count)
        yield published
        retained = GaugeMetricFamily("dothi_messenger_retained", "Alarms retained at a broker", labels=["broker"])
        for broker, kept in sorted(self.retained.items()):
            retained.add_metric([broker], kept)
        yield retained
        yield GaugeMetricFamily("dothi_messenger_ready", "1 when /readyz says so", self.trouble() is None)
