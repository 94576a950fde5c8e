"""How a reading travels. Start here.

    MQTT PUBLISH
     → session    one persistent session per inbox hands on what it reads; the window bounds what is unacknowledged
     → route      topic → device → profile, or Rejected(reason)
     → codecs     payload → values in the device's own words               (devices, pure)
     → profile    → metrics of the family, in its units, checked           (devices, pure)
     → batch      columns per family; closed by rows, bytes or age
     → writer     one transaction: readings + quarantine + ledger + batch; COMMIT; only then the acknowledgement

Bad data is a returned value and ends in quarantine. Broken infrastructure is an exception: nothing is acknowledged, and
the broker sends everything again.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ingest.batch import Batch, Count, Limits, ledger_key
from ingest.points import reached
from ingest.route import Router
from ingest.together import Together, Waiting, come
from ingest.window import Arrival, Window
from ingest.writer import Writer

PRESENCE = {b"online": True, b"offline": False}


class Message(NamedTuple):
    """One message on its way. `counts`: of the ledger; `order`: its place within the batch."""

    arrival: Arrival
    topic: bytes
    payload: bytes
    counts: Count
    order: int


def unheard(_: Batch) -> None:
    """Nobody wants to know."""


async def pipeline(
    window: Window, router: Router, writer: Writer, limits: Limits, hear: Callable[[Batch], None] = unheard
) -> None:
    """Carry readings until cancelled. One batch is being filled while the one before it is being committed; `hear` is
    given every batch that is."""
    closed: asyncio.Queue[Batch] = asyncio.Queue(maxsize=1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fill(window, router, limits, closed))
        tasks.create_task(settle(closed, writer, window, hear))


async def fill(window: Window, router: Router, limits: Limits, closed: asyncio.Queue[Batch]) -> None:
    """Arrivals → batches."""
    together = Together(router.known)
    while True:
        batch = Batch(limits)
        while not batch.closed:
            arrival = await window.take(batch.time_left_s)
            if arrival:
                take(arrival, router, batch)
        read_waiting(router, together, batch)
        await closed.put(batch)


def take(arrival: Arrival, router: Router, batch: Batch) -> None:
    """Messages of our own devices wait until the batch closes, to be read together; others are read at once."""
    first = batch.messages
    count = batch.arrived(arrival)
    if router.native(arrival.source.inbox):
        batch.waiting.add(arrival, first)
        return
    for place, (topic, payload) in enumerate(zip(arrival.messages.topics, arrival.messages.payloads, strict=True)):
        read_alone(router, batch, Message(arrival, topic, payload, count, first + place))
    for asked, words in router.requests(arrival.source.inbox):
        arrival.source.publish(asked.encode(errors="replace"), words)


def read_waiting(router: Router, together: Together, batch: Batch) -> None:
    """Messages → rows of the batch: every one ends as a reading, a rejection or a device's word on itself."""
    if not batch.waiting:
        return
    waiting, batch.waiting = come(batch.waiting), Waiting()
    readings, alone = together.read(waiting, router.numbers(waiting.topics), batch.believed)
    for family, rows in readings:
        batch.extend(family, rows)
    for place in alone:
        arrival = waiting.arrivals[waiting.arrival[place]]
        count, order = batch.ledger[ledger_key(arrival)], int(waiting.order[place])
        read_alone(router, batch, Message(arrival, waiting.topics[place], waiting.payloads[place], count, order))


def read_alone(router: Router, batch: Batch, message: Message) -> None:
    """One message, whatever it is."""
    arrival, topic, payload, counts, order = message
    if topic[-7:] == b"/status" and topic[:9] == b"dothi/v1/":
        device = router.device_of_status(topic)
        if device and payload in PRESENCE:
            batch.presence[device.id] = (PRESENCE[payload], arrival.received)
        return
    for outcome in router.read(arrival.source.inbox, topic, payload):
        batch.add(outcome, arrival, topic, counts, order)


async def settle(
    closed: asyncio.Queue[Batch], writer: Writer, window: Window, hear: Callable[[Batch], None] = unheard
) -> None:
    """Batches → committed → acknowledged."""
    while True:
        batch = await closed.get()
        await writer.store(batch)
        reached("after_commit_before_puback")
        batch.acknowledge()
        window.release(batch.arrivals)
        hear(batch)
        reached("between_batches")
