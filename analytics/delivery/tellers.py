"""The tellers of all receivers, as the routes name them: other routes end some and begin some."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from analytics.delivery.meters import Meters
from analytics.delivery.outbox import Pace
from analytics.delivery.routes import Receiver, Routes, Secrets
from analytics.delivery.store import Store
from analytics.delivery.teller import Teller, channel_to


class Terms(NamedTuple):
    """How a receiver is told; a teller holds to them for as long as it lives."""

    receiver: Receiver
    secrets: Secrets
    pace: Pace


class At(NamedTuple):
    """A teller at work; `stop` ends it after what is under way."""

    terms: Terms
    teller: Teller
    stop: asyncio.Event
    task: "asyncio.Task[None]"


class Tellers:
    """One for each receiver."""

    def __init__(self, store: Store, meters: Meters) -> None:
        self._store = store
        self._meters = meters
        self._at: dict[str, At] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def lead(self, routes: Routes, pace: Pace) -> None:
        """From now on tell these receivers; one that is told otherwise than before is told by another teller."""
        terms = {name: Terms(one, routes.secrets[name], pace) for name, one in routes.receivers.items()}
        for name in [name for name, one in self._at.items() if terms.get(name) != one.terms]:
            one = self._at.pop(name)
            one.stop.set()
            self._leaving[name] = one.task
        for name in terms.keys() - self._at.keys():
            self._at[name] = self._begin(name, terms[name])
        self._changed.set()

    def _begin(self, name: str, terms: Terms) -> At:
        channel = channel_to(terms.receiver, terms.secrets)
        teller = Teller(name, terms.receiver, channel, self._store, self._meters, terms.pace)
        stop = asyncio.Event()
        return At(terms, teller, stop, asyncio.create_task(self._after(self._leaving.get(name), teller, stop)))

    async def _after(self, before: "asyncio.Task[None] | None", teller: Teller, stop: asyncio.Event) -> None:
        """Whoever told this receiver before ends first, so that nothing is told twice."""
        if before is not None:
            await asyncio.wait([before])
        await teller.run(stop)

    def wake(self, names: Iterable[str]) -> None:
        """There is something new for these."""
        for name in names:
            if name in self._at:
                self._at[name].teller.wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then each ends after what is under way. Raises what ended one by itself."""
        try:
            while not stop.is_set():
                self._changed.clear()
                await self._watch(stop)
        finally:
            for one in self._at.values():
                one.stop.set()
            await asyncio.gather(*(one.task for one in self._at.values()), *self._leaving.values())

    async def _watch(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, other routes come, or one has ended; what it raised is raised."""
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._changed.wait())]
        tasks = {*(one.task for one in self._at.values()), *self._leaving.values()}
        try:
            done, _ = await asyncio.wait([*waits, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        for task in done & tasks:
            task.result()
        self._leaving = {name: task for name, task in self._leaving.items() if not task.done()}
