"""The writer against real faults between it and the database: stored once, booked once, said once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import structlog.testing

from devices.reading import Reading
from devices.route import ROUTES
from ingest import writer as writing
from ingest.batch import Batch, Limits
from ingest.known import Device
from ingest.metrics import Meters
from ingest.mqtt import Messages
from ingest.replay import Archive
from ingest.route import Outcome, Router
from ingest.window import Arrival
from ingest.writer import Writer
from tests.stack import RunningStack

WORKER = 98
ROWS = 40


@pytest.fixture(scope="module")
def device(stack: RunningStack) -> str:
    return stack.enroll("writer")


def address(stack: RunningStack, port: int | None = None) -> str:
    """The database as its owner, acting as ingest; through another port when that is given."""
    parts = urlsplit(stack.document["database"])
    place = f"{parts.username}:{parts.password}@127.0.0.1:{port or parts.port}"
    return f"postgresql://{place}{parts.path}?options=-c%20role%3Ddothi_writer&sslmode=disable&gssencmode=disable"


async def store(url: str, batch: Batch, worker: int = WORKER) -> Meters:
    """Store through a writer of its own; what it counted."""

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=5)

    meters = Meters()
    async with contextlib.aclosing(Closing(connect, worker, meters)) as writer:
        await asyncio.wait_for(writer.store(batch), 60)
    return meters


class Closing(Writer):
    """Closed as async generators are."""

    aclose = Writer.close


async def batch_for(stack: RunningStack, device: str, inbox: str, of: Batch | None = None) -> Batch:
    """Forty readings of the device that nobody has sent before, or those of another batch, the last one first."""
    router = Router(ROUTES)
    async with await psycopg.AsyncConnection.connect(address(stack), autocommit=True) as connection:
        await router.refresh(connection)
    found = router.find(f"dothi/v1/213/{device}/up".encode())
    assert isinstance(found, Device)
    batch = Batch(Limits())
    now = int(of.columns["air_quality"].time[0]) if of else time.time_ns() // 1000
    arrival = Arrival(Archive(inbox), now, Messages(), 0)
    count = batch.arrived(arrival)
    values = [float("nan")] * len(found.profile.family.metrics)
    for seq in range(ROWS)[:: -1 if of else 1]:
        reading = Reading(now, now + seq, None, [1.0, *values[1:]], None, b"{}")
        batch.add(Outcome(found, found.name, reading, b"{}"), arrival, b"t", count)
    return batch


def booked(stack: RunningStack, inbox: str) -> list[tuple[int, ...]]:
    """received, stored, duplicate of an inbox."""
    return stack.query(
        "select sum(received)::int, sum(stored)::int, sum(duplicate)::int from ops.ledger where inbox = %s", inbox
    )


@contextlib.asynccontextmanager
async def proxy(stack: RunningStack, on_commit: Callable[[bytes], tuple[bool, bool]]) -> AsyncIterator[int]:
    """A port that leads to the database. The first COMMIT is (forwarded or not, connection closed or silent)."""
    parts = urlsplit(stack.document["database"])
    struck = False
    tasks: set[asyncio.Task[None]] = set()
    pipes: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", parts.port)
        pipes.extend((writer, back))
        silent = asyncio.Event()

        async def answers() -> None:
            with contextlib.suppress(ConnectionError):
                while chunk := await there.read(65536):
                    if not silent.is_set():
                        writer.write(chunk)
            writer.close()

        tasks.add(asyncio.create_task(answers()))
        nonlocal struck
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                if b"COMMIT" in chunk and not struck:
                    struck = True
                    silent.set()
                    forwarded, closed = on_commit(chunk)
                    if forwarded:
                        back.write(chunk)
                        await asyncio.sleep(0.1)
                    if closed:
                        writer.close()
                elif not silent.is_set():
                    back.write(chunk)
        back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for pipe in pipes:
            pipe.close()
        await asyncio.gather(*tasks, *(pipe.wait_closed() for pipe in pipes), return_exceptions=True)
        await asyncio.sleep(0.05)


FATES = [(True, True), (False, True), (True, False), (False, False)]


@pytest.mark.parametrize(
    "fate", FATES, ids=["answer lost", "commit lost", "answer lost, silent", "commit lost, silent"]
)
async def test_a_commit_without_an_answer_is_carried_out_once(
    stack: RunningStack, device: str, fate: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LONGEST_TRANSACTION_S", 0.5)
    inbox = f"commit-{FATES.index(fate)}"
    batch = await batch_for(stack, device, inbox)
    before = stack.query("select count(*) from city.air_quality where device = %s", device)[0][0]
    async with proxy(stack, lambda _: fate) as port:
        with structlog.testing.capture_logs() as logs:
            meters = await store(address(stack, port), batch)
        assert [line["event"] for line in logs] == ["batch not stored, trying again", "database answers again"]
    assert booked(stack, inbox) == [(ROWS, ROWS, 0)]
    assert stack.query("select count(*) from city.air_quality where device = %s", device) == [(before + ROWS,)]
    assert meters.stored == ROWS


@pytest.mark.parametrize("statement", ["lock table reading.air_quality", "lock table ops.ledger"])
async def test_a_locked_table_is_waited_for(
    stack: RunningStack, device: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SESSION", "set lock_timeout = '200ms'")
    inbox = statement.replace(" ", "-")
    batch = await batch_for(stack, device, inbox)
    with psycopg.connect(stack.document["database"]) as holder, structlog.testing.capture_logs() as logs:
        holder.execute(statement.encode())
        storing = asyncio.create_task(store(address(stack), batch))
        while not logs:
            assert not storing.done()
            await asyncio.sleep(0.05)
        assert not storing.done()
        holder.rollback()
        await storing
    assert [line["event"] for line in logs] == ["batch not stored, trying again", "database answers again"]
    assert booked(stack, inbox) == [(ROWS, ROWS, 0)]


async def test_two_workers_with_the_same_readings_in_opposite_order(stack: RunningStack, device: str) -> None:
    """They deadlock or clash on the keys; each batch ends, and every reading is stored once."""
    first = await batch_for(stack, device, "crosswise")
    second = await batch_for(stack, device, "crosswise", of=first)
    await asyncio.gather(store(address(stack), first), store(address(stack), second, WORKER + 1))
    assert booked(stack, "crosswise") == [(2 * ROWS, ROWS, ROWS)]
