"""What `up` shows of itself and of the parts it keeps running."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dothi.stack.queues import Queues
from dothi.stack.supervisor import Supervisor
from ingest.serve import prometheus_text

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Samples = list[tuple[str, float]]


class Report:
    """Asked from another thread: it only reads, and copies what may change meanwhile."""

    def __init__(self, supervisor: Supervisor, folder: Path, ready: Callable[[], bool]) -> None:
        self.queues: Sequence[Queues] = ()
        self.astray: Callable[[], Sequence[int]] = tuple
        self._supervisor = supervisor
        self._folder = folder
        self._ready = ready
        self._began = time.monotonic()

    def trouble(self) -> str | None:
        """Why the stack is not whole just now, in one line; None: it is."""
        if not self._ready():
            return "starting"
        down = [name for name, up in self._parts() if not up]
        if down:
            return f"{', '.join(down)} down, being started again"
        return next((f"{one.broker} queue {one.share:.0%} full" for one in self.queues if one.share >= 0.8), None)

    def text(self) -> bytes:
        """Prometheus text, with CPU and memory of `up` itself."""
        return prometheus_text(self)

    def collect(self) -> Iterator["Metric"]:
        """Gauges and counters, labelled with the part."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, text, samples in self._gauges():
            gauge = GaugeMetricFamily(f"dothi_{name}", text, labels=["part"])
            for part, value in samples:
                gauge.add_metric([part], value)
            yield gauge
        for name, text, samples in self._counters():
            counter = CounterMetricFamily(f"dothi_{name}", text, labels=["part"])
            for part, value in samples:
                counter.add_metric([part], value)
            yield counter

    def _parts(self) -> Samples:
        running = list(self._supervisor.running.items())
        return [(name, one.process is not None and one.ready_since is not None) for name, one in running]

    def _gauges(self) -> Iterator[tuple[str, str, Samples]]:
        queues = [(one, one.broker) for one in self.queues]
        yield "part_up", "1 while a part runs and is ready", self._parts()
        yield "uptime_seconds", "Seconds since the stack was started", [("up", time.monotonic() - self._began)]
        yield "disk_free_bytes", "Free space where the stack's data lie", [("up", shutil.disk_usage(self._folder).free)]
        yield "broker_messages", "Messages a broker holds", [(name, one.now.get("messages", 0)) for one, name in queues]
        yield "broker_memory_bytes", "Heap of a broker", [(name, one.now.get("bytes", 0)) for one, name in queues]
        yield (
            "broker_limit_messages",
            "Messages one queue may hold",
            [(name, one.limits.messages) for one, name in queues],
        )
        yield "broker_limit_bytes", "Memory given to a broker", [(name, one.limits.memory) for one, name in queues]
        yield "broker_share", "How full a broker is, 0 to 1", [(name, one.share) for one, name in queues]

    def _counters(self) -> Iterator[tuple[str, str, Samples]]:
        yield "part_restarts", "Starts after an end that nobody asked for", list(self._supervisor.restarts.items())
        dropped: Samples = [(one.broker, one.now.get("dropped", 0)) for one in self.queues]
        astray: Samples = [(f"broker {shard}", number) for shard, number in enumerate(self.astray())]
        yield "gateway_denied", "Messages of gateways refused because no area and no route takes them", astray
        yield "broker_dropped", "Messages a broker acknowledged and dropped because a queue was full", dropped
