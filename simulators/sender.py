"""All gateway connections of a run and what keeps them going: a turn for each of them every few milliseconds."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from simulators.line import Batch, Line, Piece
from simulators.publish import Broker, BrokerError, Clock, Gateway
from simulators.spool import Rows
from simulators.tally import Tally

TICK_S = 0.01
"""What becomes due within so much time is sent together: a message is late by half of it on average."""
TOLD_EVERY_S = 0.1
LINGER_S = 0.05


class Order(NamedTuple):
    """What a sender is asked for. `end`: s since 1970. `offset`: s to add to the monotonic clock for s since 1970."""

    brokers: tuple[Broker, ...]
    name: str
    per_broker: int
    window: int
    offset: float
    end: float
    patience_s: float
    drain_s: float


class Told(NamedTuple):
    """Counts so far, and messages whose fate is known now.

    `until`: batches up to there were taken, s since 1970. `ended`: when it was over, s since 1970; `refused`: why.
    """

    tally: Tally
    until: float = 0.0
    rows: Sequence[Rows] = ()
    ended: float | None = None
    refused: str | None = None


class Source(Protocol):
    """Where batches come from, and what has become of messages goes to; no call waits."""

    def take(self) -> Batch | None:
        """The next batch, if there is one."""

    @property
    def is_over(self) -> bool:
        """Whether no batch will come any more."""

    @property
    def is_stopped(self) -> bool:
        """Whether sending is to end now."""

    def tell(self, told: Told) -> None:
        """Pass on what has become of messages."""


class Sender:
    """Sends what was written ahead when it is due, and notes what became of it."""

    def __init__(self, order: Order, source: Source) -> None:
        self._order, self._source, self.tally = order, source, Tally()
        clock: Clock = lambda: time.monotonic() + order.offset  # noqa: E731
        self._clock = clock
        self._gateways = [
            Gateway(broker.url, f"{order.name}-{place}-{number}", Line(self.tally, order.window), self.tally, clock)
            for place, broker in enumerate(order.brokers)
            for number in range(order.per_broker)
        ]
        self.tally.lines = len(self._gateways)
        self._written_until, self._told_at = 0.0, 0.0

    async def run(self) -> None:
        """Until the order's end, or until stopped. Raises BrokerError when a broker is not there to begin with."""
        connecting = [asyncio.create_task(gateway.run()) for gateway in self._gateways]
        try:
            await self._all_up()
            while not self._source.is_stopped and (now := self._clock()) < self._order.end:
                self._take()
                self._turn()
                self._tell(now)
                await asyncio.sleep(max(TICK_S - (self._clock() - now), 0.0))
            await self._drain(min(self._clock(), self._order.end))
            await self._leave()
        finally:
            for task in connecting:
                task.cancel()
            await asyncio.gather(*connecting, return_exceptions=True)

    async def _all_up(self) -> None:
        """Raises BrokerError when one refuses, or does not answer in time."""
        deadline = self._clock() + self._order.patience_s
        while not self.tally.is_up and not self._source.is_stopped:
            self._take()
            self._turn()
            down = [gateway for gateway in self._gateways if not gateway.is_up]
            for gateway in down:
                if gateway.refusal:
                    raise BrokerError(f"broker {gateway.where} refuses the connection: {gateway.refusal}")
            if down and self._clock() > deadline:
                why = f" ({down[0].trouble})" if down[0].trouble else ""
                wait = f"{self._order.patience_s:.0f} s"
                raise BrokerError(f"broker {down[0].where} does not answer within {wait}{why}")
            await asyncio.sleep(TICK_S)

    def _take(self) -> None:
        if batch := self._source.take():
            self._written_until = batch.until
            for number, messages, packets in batch.parts:
                self._gateways[number].line.offer(Piece(messages, packets))

    def _turn(self, end: float = float("inf")) -> None:
        for gateway in self._gateways:
            gateway.turn(min(self._clock(), end))

    async def _drain(self, end: float) -> None:
        """Wait until all that was due was written, and all that was sent is answered; in time."""
        deadline = self._clock() + self._order.drain_s
        lines = [gateway.line for gateway in self._gateways]
        while self._written_until < end and not self._source.is_over and self._clock() < deadline:
            self._take()
            self._turn(end)
            await asyncio.sleep(0.001)
        self._turn(end)
        for line in lines:
            line.cut(end)
        while not all(line.is_settled for line in lines) and self._clock() < deadline:
            self._turn()
            await asyncio.sleep(TICK_S)
        for line in lines:
            line.end()
        self._source.tell(Told(self.tally.snapshot(), self._written_until, self._settled(), ended=end))

    async def _leave(self) -> None:
        for gateway in self._gateways:
            gateway.leave()
        await asyncio.sleep(LINGER_S)

    def _tell(self, now: float) -> None:
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            self._source.tell(Told(self.tally.snapshot(), self._written_until, self._settled()))

    def _settled(self) -> list[Rows]:
        return [rows for gateway in self._gateways for rows in gateway.line.settled() if len(rows)]
