"""All gateway connections of a run and what keeps them going: a turn of a few microseconds for each, every few ms."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

from simulators.ahead import Ahead
from simulators.line import Line
from simulators.publish import Broker, BrokerError, Clock, Gateway
from simulators.spool import Spool
from simulators.tally import Tally

TICK_S = 0.005
DRAIN_S = 5.0
LINGER_S = 0.05


class Sender:
    """Takes what was written ahead, sends it when it is due, and notes what became of it."""

    def __init__(
        self,
        brokers: Sequence[Broker],
        tally: Tally,
        ahead: Ahead,
        spool: Spool | None,
        clock: Clock,
        name: str,
        per_broker: int,
        window: int,
    ) -> None:
        self._tally, self._ahead, self._spool, self._clock = tally, ahead, spool, clock
        self._gateways = [
            Gateway(broker.url, f"{name}-{place}-{number}", Line(tally, window), tally, clock)
            for place, broker in enumerate(brokers)
            for number in range(per_broker)
        ]
        tally.lines = len(self._gateways)

    async def run(
        self,
        stop: threading.Event,
        start: float,
        seconds: float | None,
        patience_s: float,
        tell: Callable[[float], None],
    ) -> float:
        """Until `seconds` have passed since `start` (s since 1970), or `stop` is set; how long that was, in s."""
        end = start + seconds if seconds is not None else float("inf")
        self._ahead.start()
        connecting = [asyncio.create_task(gateway.run()) for gateway in self._gateways]
        try:
            await self._all_up(stop, patience_s)
            while not stop.is_set() and (now := self._clock()) < end:
                self._turn(now)
                tell(now)
                await asyncio.sleep(max(TICK_S - (self._clock() - now), 0.0))
            end = min(max(self._clock(), start), end)
            await self._drain(end)
            await self._leave()
        finally:
            self._ahead.stop()
            for task in connecting:
                task.cancel()
            await asyncio.gather(*connecting, return_exceptions=True)
        return end - start

    async def _all_up(self, stop: threading.Event, patience_s: float) -> None:
        """Raises BrokerError when one refuses, or does not answer in time."""
        deadline = time.monotonic() + patience_s
        while not self._tally.is_up and not stop.is_set():
            self._turn(self._clock())
            down = [gateway for gateway in self._gateways if not gateway.is_up]
            for gateway in down:
                if gateway.refusal:
                    raise BrokerError(f"broker {gateway.where} refuses the connection: {gateway.refusal}")
            if down and time.monotonic() > deadline:
                trouble = f" ({down[0].trouble})" if down[0].trouble else ""
                raise BrokerError(f"broker {down[0].where} does not answer within {patience_s:.0f} s{trouble}")
            await asyncio.sleep(TICK_S)

    def _turn(self, now: float) -> None:
        for number, piece in self._ahead.take():
            self._gateways[number].line.offer(piece)
        for gateway in self._gateways:
            gateway.turn(self._clock())
        self._keep()

    async def _drain(self, end: float) -> None:
        """Wait until all that was due was written, and all that was sent is answered; at most DRAIN_S."""
        deadline = time.monotonic() + DRAIN_S
        lines = [gateway.line for gateway in self._gateways]
        while self._ahead.taken_until < end and time.monotonic() < deadline:
            for number, piece in self._ahead.take():
                lines[number].offer(piece)
            await asyncio.sleep(0.001)
        for line in lines:
            line.cut(end)
        while not all(line.is_settled for line in lines) and time.monotonic() < deadline:
            for gateway in self._gateways:
                gateway.turn(self._clock())
            await asyncio.sleep(TICK_S)
        for line in lines:
            line.end()
        self._keep()

    async def _leave(self) -> None:
        for gateway in self._gateways:
            gateway.leave()
        await asyncio.sleep(LINGER_S)

    def _keep(self) -> None:
        for gateway in self._gateways:
            for rows in gateway.line.settled():
                if self._spool:
                    self._spool.append(rows)
