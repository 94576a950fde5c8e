"""Messages → rows of a batch: every one ends as a reading, a rejection or a device's word on itself."""

from typing import NamedTuple

from ingest.batch import Batch, Count, ledger_key
from ingest.route import Router
from ingest.together import Together, Waiting, come
from ingest.window import Arrival

PRESENCE = {b"online": True, b"offline": False}
AT_ONCE = 1_000
"""Messages that are read together: so few that all of them stay near the processor, so many that the calls for each
family do not count (measured)."""
BYTES_AT_ONCE = 1 << 20
"""The same for messages that hold many readings."""


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
        for asked, words in self._router.requests(arrival.source.inbox):
            arrival.source.publish(asked.encode(errors="replace"), words)

    def finish(self, batch: Batch) -> None:
        """Read what waits."""
        if not batch.waiting:
            return
        waiting, batch.waiting = come(batch.waiting), Waiting()
        readings, alone = self._together.read(waiting, self._router.numbers(waiting.topics), batch.believed)
        for family, rows in readings:
            batch.extend(family, rows)
        for place in alone:
            arrival = waiting.arrivals[waiting.arrival[place]]
            counts, order = batch.ledger[ledger_key(arrival)], int(waiting.order[place])
            self._alone(batch, Message(arrival, waiting.topics[place], waiting.payloads[place], counts, order))

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
