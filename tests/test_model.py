"""The path from broker to table under everything that can happen to it; and the model sees bugs when there are some.

docs/reliability.md says what the laws are.
"""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ingest.connection import Connection
from ingest.gather import Gathering
from ingest.inbox import area_inbox
from ingest.pipeline import gather
from ingest.window import Arrival, Window
from tests.model.broker import Violation
from tests.model.database import Writer
from tests.model.machine import SMALL_WINDOW, Path, Worker


def bounded(examples: int, steps: int, *phases: Phase) -> settings:
    """The same examples in every run, none of them kept on disk."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases or (Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def test_the_path_keeps_its_laws() -> None:
    run_state_machine_as_test(Path, settings=bounded(150, 50))


@pytest.mark.full
def test_the_path_keeps_its_laws_for_long() -> None:
    run_state_machine_as_test(Path, settings=bounded(3_000, 120))


# --- planted bugs


class StaleAcknowledgements(Path):
    """An acknowledgement goes out on whatever connection the inbox has now."""

    def new_connection(self, area: str, worker: Worker) -> Connection:
        class Careless(Connection):
            def acknowledge(self, pids: Sequence[int]) -> None:
                newest = worker.links.get(area)
                if newest:
                    Connection.acknowledge(newest.connection, pids)

        return Careless(area_inbox(area, "mqtt://u:p@127.0.0.1"), worker.window)


class OutOfOrder(Path):
    """The acknowledgements of a read go out last first."""

    def new_connection(self, area: str, worker: Worker) -> Connection:
        class Backwards(Connection):
            def acknowledge(self, pids: Sequence[int]) -> None:
                super().acknowledge(pids[::-1])

        return Backwards(area_inbox(area, "mqtt://u:p@127.0.0.1"), worker.window)


class Settling(Path):
    """A pipeline whose last step is another one."""

    async def new_pipeline(self, worker: Worker) -> None:
        gathering = gather(worker.window, self.router, self.limits)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(gathering.fill())
            tasks.create_task(self.settle(gathering, Writer(self.database), worker.window))

    async def settle(self, gathering: Gathering, writer: Writer, window: Window) -> None:
        """What a bug does here."""
        raise NotImplementedError


class BeforeCommit(Settling):
    """Acknowledged first, then stored."""

    async def settle(self, gathering: Gathering, writer: Writer, window: Window) -> None:
        while True:
            batch = await gathering.get()
            batch.acknowledge()
            await writer.store(batch)
            window.release(batch.arrivals)


class GivenUp(Settling):
    """A batch whose transaction failed once is taken for stored."""

    async def settle(self, gathering: Gathering, writer: Writer, window: Window) -> None:
        while True:
            batch = await gathering.get()
            await self.database.begin(batch).answer
            batch.acknowledge()
            window.release(batch.arrivals)


class ReleasedTwice(Path):
    """What is settled is counted out twice."""

    def new_window(self) -> Window:
        class Twice(Window):
            def release(self, arrivals: Sequence[Arrival]) -> None:
                super().release(arrivals)
                self.messages -= sum(len(arrival.messages) for arrival in arrivals)

        return Twice(most_messages=SMALL_WINDOW)


class DroppedOnReconnect(Settling):
    """A batch under way while any inbox connects anew is dropped: its messages are expected to come again."""

    connects = 0

    def new_connection(self, area: str, worker: Worker) -> Connection:
        self.connects += 1
        return super().new_connection(area, worker)

    async def settle(self, gathering: Gathering, writer: Writer, window: Window) -> None:
        while True:
            batch = await gathering.get()
            connects = self.connects
            await writer.store(batch)
            if connects == self.connects:
                batch.acknowledge()
            window.release(batch.arrivals)


class NeverResumed(Path):
    """A window that was full does not tell its sources to read on."""

    def new_window(self) -> Window:
        class Silent(Window):
            def release(self, arrivals: Sequence[Arrival]) -> None:
                sources, self._sources = self._sources, set()
                super().release(arrivals)
                self._sources = sources

        return Silent(most_messages=SMALL_WINDOW)


BUGS = [StaleAcknowledgements, OutOfOrder, BeforeCommit, GivenUp, ReleasedTwice, DroppedOnReconnect, NeverResumed]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: type[Path]) -> None:
    """Which law sees it first depends on the steps that were drawn; that one does is what counts."""
    with pytest.raises(Violation):
        run_state_machine_as_test(bug, settings=bounded(1_000, 50, Phase.generate))
