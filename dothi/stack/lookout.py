"""What `up` watches beside the processes: the brokers' queues, new zones in the registry; and its own pages.

A thread with an event loop of its own, so that the supervision never waits for a broker or a database.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import structlog

from dothi.stack.admission import Admission
from dothi.stack.door import Door
from dothi.stack.queues import TOPICS, Limits, Queues, number
from dothi.stack.samples import Samples
from ingest.inbox import address, credentials
from ingest.serve import Pages, serve
from ingest.watch import Events

log = structlog.get_logger("dothi.stack")

LOOK_S = 0.5
AGAIN_S = 2.0
ROUND_S = 0.3
AREAS = "select array(select code from registry.area order by code), array(select distinct inbox from ops.inbox)"


class Known(NamedTuple):
    """Zones of the registry, and inboxes that have a session."""

    areas: tuple[str, ...] = ()
    inboxes: frozenset[str] = frozenset()


class Lookout(threading.Thread):
    """Watches until `stop`. `known` and `queues` may be read from any thread."""

    def __init__(
        self,
        database: str,
        brokers: Sequence[tuple[str, str, Limits]],
        port: int,
        metrics: Callable[[], bytes],
        trouble: Callable[[], str | None],
        tables: Sequence[Path] = (),
        logs: Sequence[Path] = (),
        samples: Samples | None = None,
    ) -> None:
        """`database`: as the writer; `brokers`: name, URL and limits of each; `tables` and `logs`: of our own ones;
        `samples`: of the parts, if any are to be written down."""
        super().__init__(name="lookout", daemon=True)
        self.known = Known()
        self.queues = [Queues(name, limits) for name, _, limits in brokers]
        self.events = Events()
        self._admission = Admission(tables)
        self._door = Door(logs)
        self._samples = samples
        self._database = database
        self._urls = [url for _, url, _ in brokers]
        self._page = (port, Pages(metrics, trouble))
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None

    def astray(self) -> list[int]:
        """Messages that the gate of each of our brokers refused to gateways."""
        return [table.astray[0] for table in self._admission.tables]

    def run(self) -> None:
        """The thread."""
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._watch())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # the stack goes on without it, and must not do so silently
            log.error("the lookout ended", reason=repr(error))
        finally:
            self._loop.close()

    def stop(self) -> None:
        """End it; returns when it has ended, or after two seconds."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
            self.join(2.0)

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(*self._page))
            tasks.create_task(self._follow_registry())
            for url, queues in zip(self._urls, self.queues, strict=True):
                tasks.create_task(self._follow_broker(url, queues))

    async def _follow_registry(self) -> None:
        """Zones and sessions as the database has them, and our events into it."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._database, autocommit=True, connect_timeout=5, application_name="dothi up"
                ) as connection:
                    while True:
                        await self._look(connection)
                        await self._admission.follow(connection, time.monotonic())
                        if self._samples:
                            await self._samples.follow(connection, self.queues)
                        await asyncio.sleep(LOOK_S)
            except (psycopg.Error, OSError, ValueError) as error:  # also a disk that is full, a table that is broken
                log.warning("registry cannot be watched", reason=str(error).strip())
                await asyncio.sleep(AGAIN_S)

    async def _look(self, connection: psycopg.AsyncConnection[Any]) -> None:
        for event in self._door.events(time.time()):
            self.events.note(event)
        await self.events.write(connection)
        row = await (await connection.execute(AREAS)).fetchone()
        assert row is not None  # a select without from always gives a row
        self.known = Known(tuple(row[0]), frozenset(row[1]))

    async def _follow_broker(self, url: str, queues: Queues) -> None:
        """What a broker says of itself."""
        import aiomqtt

        host, port, context = address(url)
        user, password = credentials(url)
        while True:
            try:
                async with aiomqtt.Client(
                    host, port, username=user, password=password, tls_context=context, timeout=5
                ) as client:
                    for topic in TOPICS:
                        await client.subscribe(topic)
                    await self._hear(client, queues)
            except aiomqtt.MqttError:
                await asyncio.sleep(AGAIN_S)

    async def _hear(self, client: Any, queues: Queues) -> None:
        """A round of topics begins with the uptime and is there a moment later."""
        said: dict[str, int] = {}

        def judge() -> None:
            for event in queues.judge(dict(said), time.time()):
                self.events.add(event)
            said.clear()

        async for message in client.messages:
            name, value = TOPICS[str(message.topic)], number(bytes(message.payload))
            if value is not None:
                said[name] = value
            if name == "uptime_s":
                self._loop.call_later(ROUND_S, judge)
