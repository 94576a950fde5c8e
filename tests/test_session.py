"""The session against a real broker: what is not acknowledged comes again, and a full window stops the reading."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from ingest.session import Session, address, area_inbox
from ingest.window import Arrival, Window
from tests.stack import RunningStack

AREA = "061"


def ingest_url(stack: RunningStack) -> str:
    """The broker with the credentials of ingest."""
    document = json.loads((stack.folder / "stack.json").read_text())
    return str(document["ingest"]["brokers"][0]["url"])


@contextlib.asynccontextmanager
async def session_of(stack: RunningStack, name: str, window: Window) -> AsyncIterator[Session]:
    """A session of its own beside those of the stack's worker; every subscriber gets a copy."""
    inbox = area_inbox(AREA, ingest_url(stack))._replace(name=name)
    session = Session(inbox, window)
    running = asyncio.create_task(session.run())
    try:
        await asyncio.wait_for(session.ready.wait(), 10)
        yield session
    finally:
        session.leave()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def publish(stack: RunningStack, first: int, last: int) -> None:
    """Messages numbered first to last."""
    payloads = [json.dumps({"seq": n, "metrics": {"pm25": 1}}).encode() for n in range(first, last + 1)]
    await asyncio.to_thread(stack.publish, f"dothi/v1/{AREA}/session-test/up", *payloads)


def numbers(arrivals: list[Arrival]) -> list[int]:
    """The numbers of the messages, in the order in which they came."""
    return [json.loads(message.payload)["seq"] for arrival in arrivals for message in arrival.messages]


async def take(window: Window, count: int) -> list[Arrival]:
    """Arrivals until so many messages have come."""
    arrivals: list[Arrival] = []
    while sum(len(arrival.messages) for arrival in arrivals) < count:
        arrival = await window.take(10)
        assert arrival is not None, f"only {numbers(arrivals)} came"
        arrivals.append(arrival)
    return arrivals


def acknowledge(arrivals: list[Arrival]) -> None:
    """As a batch does after its COMMIT."""
    for arrival in arrivals:
        arrival.source.acknowledge([message.pid for message in arrival.messages])


async def test_what_is_not_acknowledged_comes_again_and_old_acknowledgements_do_not_count(stack: RunningStack) -> None:
    window = Window()
    async with session_of(stack, "again", window):
        await publish(stack, 1, 4)
        first = await take(window, 4)
    async with session_of(stack, "again", window):
        acknowledge(first)  # the connection they came by has gone: this must confirm nothing
        second = await take(window, 4)
        assert numbers(second) == [1, 2, 3, 4]
        acknowledge(second)
        await publish(stack, 5, 5)
        third = await take(window, 1)
        assert numbers(third) == [5]
        acknowledge(third)
    async with session_of(stack, "again", window):
        assert await window.take(0.5) is None


async def test_messages_published_while_nobody_listens_are_kept(stack: RunningStack) -> None:
    window = Window()
    async with session_of(stack, "away", window):
        pass
    await publish(stack, 1, 50)
    async with session_of(stack, "away", window):
        arrivals = await take(window, 50)
        assert numbers(arrivals) == list(range(1, 51))
        acknowledge(arrivals)


async def test_a_full_window_stops_the_reading_and_loses_nothing(stack: RunningStack) -> None:
    window = Window(most_messages=10)
    async with session_of(stack, "full", window):
        await publish(stack, 1, 3_000)
        await asyncio.sleep(0.5)
        held = window.messages
        assert 10 <= held < 3_000, "one read may go over the bound, then reading must wait"
        seen: list[int] = []
        while len(seen) < 3_000:
            arrival = await window.take(10)
            assert arrival is not None
            seen += numbers([arrival])
            acknowledge([arrival])
            window.release([arrival])
        assert seen == list(range(1, 3_001))
        assert (window.messages, window.bytes, window.oldest) == (0, 0, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("ingest:", "nobody:"), "not authorised|wrong user name"),
        (lambda url: "mqtt://127.0.0.1:1", "127.0.0.1:1"),
    ],
)
async def test_a_broker_that_refuses_is_named(
    stack: RunningStack, change: object, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    session = Session(area_inbox(AREA, change(ingest_url(stack))), Window())
    running = asyncio.create_task(session.run())
    await asyncio.sleep(1)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert not session.ready.is_set()
    import re

    assert re.search(said, capsys.readouterr().out)


def test_addresses() -> None:
    assert address("mqtt://u:p@h:1")[:2] == ("h", 1)
    assert address("mqtt://h")[:2] == ("h", 1883)
    assert address("mqtts://h")[1] == 8883
    assert address("mqtts://h")[2] is not None
