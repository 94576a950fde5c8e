"""Whatever comes twice, in whatever batch: each reading is stored once, each other one is a duplicate or a conflict."""

import asyncio
import itertools
import time
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.reading import Reading
from devices.route import ROUTES
from ingest.batch import Batch, Limits
from ingest.known import Device
from ingest.replay import Archive
from ingest.route import Outcome, Router
from ingest.window import Arrival
from ingest.writer import Writer
from tests.examples import examples
from tests.stack import RunningStack
from tests.test_writer import address, booked

WORKER = 97
REFUSED = 77.0
RUNS = itertools.count()


class Row(NamedTuple):
    """What is sent; `way`: how it reached us, which is no part of what was said."""

    time: int
    seq: int
    value: float
    note: int | None
    way: int | None


ROWS = st.builds(
    Row,
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from([1.0, 2.0, float("nan"), REFUSED]),
    st.sampled_from([None, None, None, 1, 2]),
    st.sampled_from([None, None, None, -90]),
)
BATCHES = st.lists(st.tuples(st.lists(ROWS, min_size=1, max_size=12), st.booleans()), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def device(stack: RunningStack) -> Device:
    name = stack.enroll("settling")
    stack.run(f"alter table reading.air_quality add constraint test_settling check (pm10 <> {REFUSED}) not valid")

    async def found() -> Device:
        router = Router(ROUTES)
        async with await psycopg.AsyncConnection.connect(address(stack), autocommit=True) as connection:
            await router.refresh(connection)
        device = router.find(f"dothi/v1/213/{name}/up".encode())
        assert isinstance(device, Device)
        return device

    return asyncio.run(found())


def batch_of(rows: list[Row], device: Device, start: int, inbox: str) -> Batch:
    """A batch as the pipeline would fill it."""
    batch, arrival = Batch(Limits()), Arrival(Archive(inbox), time.time_ns() // 1000, [], 0)  # type: ignore[arg-type]
    count, places = batch.arrived(arrival), device.profile.family.index
    for order, row in enumerate(rows):
        values = [float("nan")] * len(places)
        values[places["pm10"]] = row.value
        said = {"note": row.note, "radio": None if row.way is None else {"rssi": row.way}}
        extra = {name: value for name, value in said.items() if value is not None} or None
        reading = Reading(start + row.time, row.seq, None, values, extra, b"{}")
        batch.add(Outcome(device, device.name, reading, b"{}"), arrival, b"t", count, order)
    return batch


class Expected:
    """What the table and the ledger must say."""

    def __init__(self) -> None:
        self.stored: dict[tuple[int, int], str] = {}
        self.duplicates = self.quarantined = 0

    def take(self, rows: list[Row]) -> None:
        """One batch. What repeats a refused row of the same batch is refused with it."""
        refused = set()
        for row in rows:
            key, said = (row.time, row.seq), repr((row.value, row.note))
            if key in refused:
                self.quarantined += 1
            elif self.stored.get(key) == said:
                self.duplicates += 1
            elif key in self.stored:
                self.quarantined += 1
            elif row.value == REFUSED:
                self.quarantined += 1
                refused.add(key)
            else:
                self.stored[key] = said


def test_each_reading_ends_in_one_way(stack: RunningStack, device: Device) -> None:
    async def play(batches: list[tuple[list[Row], bool]], start: int, inbox: str) -> None:
        async def connect() -> psycopg.AsyncConnection[Any]:
            return await psycopg.AsyncConnection.connect(address(stack), autocommit=True)

        writer = Writer(connect, WORKER)
        for rows, restarted in batches:
            if restarted:
                await writer.close()
                writer = Writer(connect, WORKER)
            await asyncio.wait_for(writer.store(batch_of(rows, device, start, inbox)), 60)
        await writer.close()

    @settings(
        max_examples=examples(15),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(BATCHES)
    def law(batches: list[tuple[list[Row], bool]]) -> None:
        start, inbox, expected = time.time_ns() // 1000, f"settling-{next(RUNS)}", Expected()
        asyncio.run(play(batches, start, inbox))
        for rows, _ in batches:
            expected.take(rows)
        received, stored, duplicates = booked(stack, inbox)[0]
        assert (stored, duplicates) == (len(expected.stored), expected.duplicates)
        assert received == stored + duplicates + expected.quarantined
        found = stack.query(
            "select (extract(epoch from time) * 1000000)::int8 - %s, seq, pm10, extra from reading.air_quality"
            " where device = %s and time >= timestamptz 'epoch' + %s * interval '1 us'"
            " and time < timestamptz 'epoch' + (%s + 3) * interval '1 us'",
            *(start, device.id, start, start),
        )
        table = {
            (when, seq): repr((float("nan") if value is None else value, (extra or {}).get("note")))
            for when, seq, value, extra in found
        }
        assert table == expected.stored

    law()
