"""When a batch closes: by age, which follows what a commit costs; and what a full one does."""

import asyncio
import time

import pytest

from ingest.batch import Batch, Limits
from ingest.gather import AGE_PER_COMMIT, Gathering
from ingest.mqtt import Messages, Publish
from ingest.replay import Archive
from ingest.window import Arrival, Window


class Counting:
    """An intake that only counts: each message is a refused row."""

    def take(self, arrival: Arrival, batch: Batch) -> None:
        batch.arrived(arrival)
        batch.quarantine += [None] * len(arrival.messages)  # type: ignore[list-item]

    def finish(self, batch: Batch) -> None:
        """Nothing waits."""


def arrival(messages: int = 1, size: int = 10) -> Arrival:
    """So many messages in one read."""
    brought = Messages()
    for _ in range(messages):
        brought.add(Publish(b"t", b"p", 1, False))
    return Arrival(Archive("213"), time.time_ns() // 1000, brought, size)


def gathering(window: Window, limits: Limits) -> Gathering:
    return Gathering(window, limits, Counting())  # type: ignore[arg-type]


async def test_a_batch_goes_on_filling_while_nobody_takes_it() -> None:
    window = Window()
    one = gathering(window, Limits(age_s=0.01))
    filling = asyncio.create_task(one.fill())
    for _ in range(5):
        window.put(arrival(3))
        await asyncio.sleep(0.02)
    assert len((await one.get()).arrivals) == 5
    filling.cancel()


@pytest.mark.parametrize("limits", [Limits(rows=10, age_s=30.0), Limits(bytes=100, age_s=30.0)], ids=["rows", "bytes"])
async def test_a_full_batch_does_not_wait_and_leaves_the_rest_in_the_window(limits: Limits) -> None:
    window = Window()
    one = gathering(window, limits)
    filling = asyncio.create_task(one.fill())
    for _ in range(25):
        window.put(arrival())
    first = await asyncio.wait_for(one.get(), 60)
    assert len(first.arrivals) == 10
    assert window.messages == 25, "nothing is released before it is settled"
    second = await asyncio.wait_for(one.get(), 60)
    assert len(second.arrivals) == 10
    assert not set(map(id, first.arrivals)) & set(map(id, second.arrivals))
    filling.cancel()


async def test_nothing_is_handed_over_while_nothing_comes() -> None:
    one = gathering(Window(), Limits(age_s=0.0))
    filling = asyncio.create_task(one.fill())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.get(), 0.05)
    filling.cancel()


@pytest.mark.parametrize(
    ("commit_s", "age_s"), [(0.001, 0.05), (0.05, 0.05 * AGE_PER_COMMIT), (20.0, 1.0)], ids=["quick", "slow", "outage"]
)
async def test_the_age_follows_the_last_commit_within_bounds(commit_s: float, age_s: float) -> None:
    window = Window()
    one = gathering(window, Limits(age_s=0.05, longest_s=1.0))
    one.took(commit_s)
    filling = asyncio.create_task(one.fill())
    window.put(arrival())
    await one.get()  # the one that was open already
    window.put(arrival())
    await asyncio.sleep(0.01)
    assert one._batch.time_left_s is not None
    assert one._batch._age_s == pytest.approx(age_s)
    filling.cancel()
