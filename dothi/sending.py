"""The pages of a simulated city while it sends: `/metrics`, `/healthz`, `/readyz` on a loopback port."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ingest.serve import Pages, prometheus_text, serve
from simulators.tally import Tally

if TYPE_CHECKING:
    from prometheus_client.core import Metric

COUNTED = {
    "sent": "messages handed to a broker",
    "acknowledged": "messages that a broker acknowledged",
    "refused": "messages that a broker refused",
    "unheard": "messages that a broker acknowledged and nobody subscribed to",
    "overdue": "messages that were sent late because the broker was slow",
    "unsent": "messages given up",
    "reconnects": "connections that were lost and made again",
}


class Sending:
    """What a tally says, as Prometheus text; asked from another thread, it only reads."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def text(self) -> bytes:
        """Prometheus text, with CPU and memory of this process."""
        return prometheus_text(self)

    def collect(self) -> Iterator["Metric"]:
        """A counter for each thing that can become of a message, and those in flight."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        tally = self._tally
        for name, text in COUNTED.items():
            yield CounterMetricFamily(f"dothi_simulator_{name}", text, value=getattr(tally, name))
        yield GaugeMetricFamily("dothi_simulator_in_flight", "messages not yet acknowledged", value=tally.in_flight)

    def trouble(self) -> str | None:
        """Why nothing gets through just now, in one line."""
        return None if self._tally.is_up else "a broker is not connected"


@contextmanager
def pages(port: int | None, tally: Tally) -> Iterator[None]:
    """Serve the pages while the block runs, on a thread of their own; nothing without a port."""
    if port is None:
        yield
        return
    sending = Sending(tally)
    loop = asyncio.new_event_loop()
    serving = loop.create_task(serve(port, Pages(sending.text, sending.trouble)))

    def run() -> None:
        try:
            loop.run_until_complete(serving)
        except asyncio.CancelledError:
            loop.close()

    thread = threading.Thread(target=run, name="pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(2.0)
