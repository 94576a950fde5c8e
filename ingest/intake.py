"""Messages → rows of a batch: every one ends as a reading, a rejection or a device's word on itself."""

from typing import NamedTuple

from ingest.batch import Batch, Count, ledger_key
from ingest.route import Router
from ingest.together import Come, Ints, Together, Waiting, come
from ingest.window import Arrival

PRESENCE = {b"online": True, b"offline": False}
AT_ONCE = 4_000
"""Messages that are read together: so few that all of them stay near the processor, so many that the calls for each
family do not count (measured)."""
BYTES_AT_ONCE = 1 << 20
"""The same for messages that hold many readings: ten thousand, and no more, for nothing else is done meanwhile."""


class Message(NamedTuple):
    """One message on its way. `counts`: of the ledger; `order`: its place within the batch."""

    arrival: Arrival
    topic: bytes
    payload: bytes
    counts: Count
    order: int


class Intake:
    """Takes arrivals into batches. Messages of our own devices wait until there are many, or until the batch closes."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._together = Together(router.known)

    def take(self, arrival: Arrival, batch: Batch) -> None:
        """What one read brought."""
        first = batch.messages
        counts = batch.arrived(arrival)
        if self._router.native(arrival.source.inbox):
            batch.waiting.add(arrival, first)
            if len(batch.waiting) >= AT_ONCE or batch.waiting.bytes >= BYTES_AT_ONCE:
                self.finish(batch)
            return
        for place, (topic, payload) in enumerate(zip(arrival.messages.topics, arrival.messages.payloads, strict=True)):
            self._alone(batch, Message(arrival, topic, payload, counts, first + place))
        asked = self._router.requests(arrival.source.inbox)
        if asked:
            arrival.source.publish([(topic.encode(errors="replace"), words) for topic, words in asked])

    def finish(self, batch: Batch) -> None:
        """Read what waits."""
        if not batch.waiting:
            return
        waiting, batch.waiting = come(batch.waiting), Waiting()
        numbers = self._router.numbers(waiting.topics)
        readings, alone = self._together.read(waiting, numbers, batch.believed)
        batch.extend(readings, waiting.arrivals)
        if len(alone):
            self._one_by_one(batch, waiting, alone, numbers[alone].tolist())

    def _one_by_one(self, batch: Batch, come: Come, alone: Ints, numbers: list[int]) -> None:
        """What could not be read together. `numbers`: of the devices that speak, below 0 where that is to be found."""
        lines = [batch.ledger[ledger_key(arrival)] for arrival in come.arrivals]
        whence, orders = come.arrival[alone].tolist(), come.order[alone].tolist()
        for place, number, which, order in zip(alone.tolist(), numbers, whence, orders, strict=True):
            arrival, topic, payload, counts = (
                come.arrivals[which],
                come.topics[place],
                come.payloads[place],
                lines[which],
            )
            if number < 0:
                self._alone(batch, Message(arrival, topic, payload, counts, order))
            else:
                for outcome in self._router.read_from(number, payload):
                    batch.add(outcome, arrival, topic, counts, order)

    def _alone(self, batch: Batch, message: Message) -> None:
        """One message, whatever it is."""
        arrival, topic, payload, counts, order = message
        if topic[-7:] == b"/status" and topic[:9] == b"dothi/v1/":
            device = self._router.device_of_status(topic)
            if device and payload in PRESENCE:
                batch.presence[device.id] = (PRESENCE[payload], arrival.received)
            return
        for outcome in self._router.read(arrival.source.inbox, topic, payload):
            batch.add(outcome, arrival, topic, counts, order)
