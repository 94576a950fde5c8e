"""Tells one receiver what waits for it. Each receiver has a teller of its own, so that none waits for another."""

import asyncio
from types import TracebackType
from typing import Protocol, Self

import structlog

from analytics.delivery import outbox
from analytics.delivery.channel import Message, Undelivered
from analytics.delivery.letter import message
from analytics.delivery.mail import EmailChannel
from analytics.delivery.meters import Meters
from analytics.delivery.outbox import Due, Pace
from analytics.delivery.routes import Receiver, Secrets, Webhook
from analytics.delivery.store import AWAY, Busy, Store
from analytics.delivery.webhook import WebhookChannel

log = structlog.get_logger("analytics.delivery")

LOOK_EVERY_S = 1.0


class Channel(Protocol):
    """A way to a receiver."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def send(self, message: Message) -> str:
        """Tell it; what it answered. Raises Undelivered, at the latest when the receiver's time limit is over."""
        ...


def channel_to(receiver: Receiver, secrets: Secrets) -> Channel:
    """The way to a receiver."""
    return WebhookChannel(receiver, secrets) if isinstance(receiver, Webhook) else EmailChannel(receiver, secrets)


class Teller:
    """One receiver's. `wake` is set when there is something new for it."""

    def __init__(
        self, name: str, receiver: Receiver, channel: Channel, store: Store, meters: Meters, pace: Pace
    ) -> None:
        self.wake = asyncio.Event()
        self._name = name
        self._most = receiver.at_once
        self._channel = channel
        self._store = store
        self._meters = meters
        self._pace = pace
        self._said: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; what is being told then is told to its end, so that its answer is not lost."""
        async with self._channel:
            while not stop.is_set():
                if not await self._round():
                    await first_of(stop, self.wake, LOOK_EVERY_S)
                    self.wake.clear()

    async def _round(self) -> bool:
        """Tell what is due; whether there was anything."""
        try:
            due = await self._store.run(lambda connection: outbox.due(connection, self._name, self._most))
        except (*AWAY, Busy):
            return False
        async with asyncio.TaskGroup() as group:
            for one in due:
                group.create_task(self._tell(one))
        return bool(due)

    async def _tell(self, one: Due) -> None:
        try:
            said = await self._channel.send(self._message(one))
        except Undelivered as error:
            await self._failed(one, error)
        else:
            await self._store.surely(lambda connection: outbox.answered(connection, one.id, said))
            self._meters.answered[self._name] += 1
            if self._said:
                log.info("receiver answers again", receiver=self._name)
            self._said = None

    def _message(self, one: Due) -> Message:
        if one.news is None:
            raise Undelivered("the alarm is not in the record any more", "gone")
        try:
            return message(one.news, one.language)
        except Exception as error:  # a fault in a template must neither end the messenger nor hold up other alarms
            raise Undelivered(f"cannot be put into words: {type(error).__name__}: {error}", "refused") from None

    async def _failed(self, one: Due, error: Undelivered) -> None:
        state = await self._store.surely(lambda connection: outbox.failed(connection, one, error, self._pace))
        self._meters.failed[self._name] += 1
        if state == "given_up":
            self._meters.given_up[self._name] += 1
            log.error("delivery given up", receiver=self._name, delivery=one.id, reason=error.said)
        elif error.said != self._said:
            log.warning("receiver does not take alarms", receiver=self._name, reason=error.said)
        self._said = error.said


async def first_of(stop: asyncio.Event, wake: asyncio.Event, seconds: float) -> None:
    """Wait until one of them is set, or for so long."""
    waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(wake.wait())]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
