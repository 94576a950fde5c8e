"""The multiplexed sender with a record of what became of each message."""

import threading
import time
from typing import Any

import numpy as np

from simulators.city import City, Message
from simulators.drive import drive as drive_publisher
from simulators.publish import Broker, Publisher
from simulators.publish import Tally as Counts
from simulators.spool import NO_ANSWER, ROW, Spool


class Answers:
    """Seconds to PUBACK."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def quantile(self, share: float) -> float | None:
        return float(np.quantile(self.seconds, share)) if self.seconds else None


class Tally(Counts):
    """Also notes when each message was sent and answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = Answers()
        self.index: dict[str, int] = {}
        self.spool: Spool | None = None
        self.is_up = True
        self._sent: dict[tuple[str, int, int, bool], tuple[Message, float]] = {}

    def count(self, message: Message, now: float) -> None:
        super().count(message, now)
        self._sent[message.device, message.boot, message.seq, message.again] = (message, now)

    def answered(self, message: Message) -> None:
        _, sent = self._sent.pop((message.device, message.boot, message.seq, message.again))
        self.answers.seconds.append(time.time() - sent)
        self._append(message, sent, time.time() - sent, 0)

    def close(self) -> None:
        for message, sent in self._sent.values():
            self._append(message, sent, np.nan, NO_ANSWER)

    def _append(self, m: Message, sent: float, answer: float, code: int) -> None:
        device = self.index[m.device]
        row = (device, device, m.boot, m.seq, m.time, m.due, sent - m.due, answer, m.kind, m.again, code)
        if self.spool:
            self.spool.append(np.array([row], dtype=ROW))


def drive(
    city: City,
    brokers: list[Broker],
    *,
    start: float,
    seconds: float | None,
    stop: threading.Event,
    tally: Tally,
    spool: Spool | None = None,
    progress: Any = None,
    progress_s: float = 2.0,
) -> dict[str, Any]:
    """As the fast sender's."""
    at = np.arange(len(city.fleet))
    tally.index = dict(zip(city.fleet.ids(at), at.tolist(), strict=True))
    tally.spool = spool
    publisher = Publisher(brokers, name=f"simulate-{city.boot}", record=tally.answered, tally=tally)
    publisher.start()
    summary = drive_publisher(
        city, publisher, start=start, seconds=seconds, stop=stop, progress=progress, progress_s=progress_s
    )
    tally.close()
    return summary
