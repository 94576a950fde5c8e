"""The process that tells others of alarms: takes the news out of the record, and lets each way go its own pace."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import structlog

from analytics.delivery import outbox
from analytics.delivery.meters import Meters
from analytics.delivery.mirror import Mirror
from analytics.delivery.outbox import Pace
from analytics.delivery.routes import Routes
from analytics.delivery.store import AWAY, Busy, Connection, Store, connect
from analytics.delivery.teller import first_of
from analytics.delivery.tellers import Tellers

log = structlog.get_logger("analytics.delivery")

CHANNEL = "dothi_alarm"
LOOK_EVERY_S = 1.0
REMIND_EVERY_S = 5.0
REREAD_EVERY_S = 2.0
COUNT_EVERY_S = 5.0
TIDY_EVERY_S = 600.0
LAST_WORDS_S = 10.0
LONGEST_PAUSE_S = 1.0
COUNT = """
select receiver, count(*), extract(epoch from clock_timestamp() - min(begun))::float8
from ops.delivery where state = 'waiting' group by receiver
"""


class Messenger(NamedTuple):
    """What the process is told. `ready` is called once; `stop` ends it. `brokers`: addresses by name; `reread`: other
    routes than before, None while there are none."""

    database: str
    brokers: dict[str, str]
    routes: Routes
    meters: Meters
    stop: asyncio.Event
    ready: Callable[[], None] = lambda: None
    pace: Pace = Pace()
    reread: Callable[[], Routes | None] = lambda: None


async def run(messenger: Messenger) -> None:
    """Tell until `stop` is set; then what is under way is told to its end, for a few seconds at most."""
    async with Store(messenger.database) as store, Store(messenger.database, alone=False, name="mirror") as seen:
        tellers = Tellers(store, messenger.meters)
        mirrors = [Mirror(url, seen, messenger.meters, name) for name, url in messenger.brokers.items()]
        works: list[Coroutine[Any, Any, None]] = [one.run(messenger.stop) for one in mirrors]
        works += [Desk(messenger, store, tellers, mirrors).run(), tellers.run(messenger.stop)]
        tasks = [asyncio.create_task(work) for work in works]
        stopped = asyncio.create_task(messenger.stop.wait())
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        messenger.stop.set()
        await asyncio.wait(tasks, timeout=LAST_WORDS_S)
        for task in (*tasks, stopped):
            task.cancel()
        await asyncio.gather(*tasks, stopped, return_exceptions=True)
        for task in done & set(tasks):
            task.result()  # whatever ended one by itself is a fault of ours, and ends the process


class Desk:
    """Takes news, wakes who is concerned, and does what is to be done from time to time."""

    def __init__(self, messenger: Messenger, store: Store, tellers: Tellers, mirrors: Sequence[Mirror]) -> None:
        self._messenger = messenger
        self._routes, self._pace = messenger.routes, messenger.pace
        tellers.lead(self._routes, self._pace)
        self._store = store
        self._tellers = tellers
        self._mirrors = mirrors
        self._done = dict.fromkeys(("reread", "remind", "count", "tidy"), 0.0)
        self._announced = False

    async def run(self) -> None:
        """Until `stop` is set. A database that is away is waited for."""
        stop, meters, pause_s = self._messenger.stop, self._messenger.meters, 0.05
        while not stop.is_set():
            try:
                async with await connect(self._messenger.database, "news") as listening:
                    await listening.execute(f"listen {CHANNEL}")
                    await self._follow(listening)
            except AWAY as error:
                said = (str(error).strip() or type(error).__name__).splitlines()[0]
                if said != meters.trouble_said:
                    log.error("database away, alarms wait in the record", reason=said)
                meters.database(said)
                await first_of(stop, asyncio.Event(), pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                pause_s = 0.05

    async def _follow(self, listening: Connection) -> None:
        stop = self._messenger.stop
        while not stop.is_set():
            await self._round()
            with contextlib.suppress(asyncio.TimeoutError):
                await self._news(listening)

    async def _news(self, listening: Connection) -> None:
        """Wait for news, for a while at most; wakes the mirrors where there is any."""
        async for _ in listening.notifies(timeout=LOOK_EVERY_S, stop_after=1):
            for mirror in self._mirrors:
                mirror.wake.set()
            break

    async def _round(self) -> None:
        """All news that there is now, and whatever is due."""
        meters = self._messenger.meters
        if self._due("reread", REREAD_EVERY_S):
            await self._reread()
        try:
            while not self._messenger.stop.is_set():
                taken, receivers = await self._store.run(lambda c: outbox.fan_out(c, self._routes))
                meters.news += taken
                self._tellers.wake(receivers)
                if taken < outbox.PORTION:
                    break
            await self._now_and_then()
            self._stands_by(False)
        except Busy:
            self._stands_by(True)
        if meters.trouble_said:
            log.info("database answers again")
        meters.database(None)
        if not self._announced:
            self._announced = True
            self._messenger.ready()

    async def _reread(self) -> None:
        """Other routes hold for whatever news is taken from now on; what waits for a receiver waits on."""
        routes = await asyncio.to_thread(self._messenger.reread)
        if routes is not None:
            self._routes = routes
            self._pace = self._pace._replace(give_up_s=routes.give_up_after_h * 3600.0)
            self._tellers.lead(routes, self._pace)

    def _stands_by(self, standing: bool) -> None:
        if standing and not self._messenger.meters.standing_by:
            log.info("another messenger tells the receivers of this database; standing by")
        self._messenger.meters.standing_by = standing

    async def _now_and_then(self) -> None:
        if self._due("remind", REMIND_EVERY_S):
            self._messenger.meters.reminders += await self._store.run(outbox.remind)
        if self._due("count", COUNT_EVERY_S):
            await self._count()
        if self._due("tidy", TIDY_EVERY_S):
            give_up_s = self._pace.give_up_s
            while await self._store.run(lambda c: outbox.tidy(c, give_up_s)) >= outbox.TIDY_PORTION:
                pass

    def _due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now - self._done[what] < every_s and self._done[what]:
            return False
        self._done[what] = now
        return True

    async def _count(self) -> None:
        async def ask(connection: Connection) -> list[tuple[str, int, float]]:
            found = await connection.execute(COUNT)
            return await found.fetchall()

        rows = await self._store.run(ask)
        meters = self._messenger.meters
        meters.waiting = dict.fromkeys(self._routes.receivers, 0) | {name: count for name, count, _ in rows}
        meters.oldest_s = dict.fromkeys(self._routes.receivers, 0.0) | {name: age for name, _, age in rows}
