"""What an operator hears of possible losses: sessions gone or taken over, brokers that fill, drop or begin anew."""

import asyncio
import contextlib
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dothi.stack.queues import Limits, Queues, number
from ingest.inbox import Inbox, area_inbox
from ingest.session import Joined, Session, TakenOver
from ingest.watch import Events, Register, taken_over
from ingest.window import Window
from tests.gateway import WAIT_S
from tests.stack import RunningStack
from tests.test_session import AREA, ingest_url

NOW = 1_795_226_927.0


def queues(messages: int = 1_000, memory: int = 0) -> Queues:
    """A broker that may hold so much."""
    broker = Queues("broker 0", Limits(messages, memory))
    broker.judge({"messages": 0, "bytes": 0, "dropped": 0, "uptime_s": 5}, NOW)
    return broker


def kinds(broker: Queues, at: float, **said: int) -> list[tuple[str, str]]:
    """Kind and severity of what a round says."""
    return [(event.kind, event.severity) for event in broker.judge({"uptime_s": int(at - NOW) + 5, **said}, at)]


def test_a_filling_queue_is_told_at_half_and_at_four_fifths_once_each() -> None:
    broker = queues()
    assert kinds(broker, NOW + 5, messages=499) == []
    assert kinds(broker, NOW + 10, messages=510) == [("queue_filling", "warning")]
    assert kinds(broker, NOW + 15, messages=700) == []
    assert kinds(broker, NOW + 20, messages=800) == [("queue_filling", "major")]
    assert kinds(broker, NOW + 25, messages=990) == []


def test_it_is_news_again_only_after_the_queue_fell_well_below() -> None:
    broker = queues()
    kinds(broker, NOW + 5, messages=510)
    assert kinds(broker, NOW + 10, messages=450) == []
    assert kinds(broker, NOW + 15, messages=510) == [], "around the level is no news"
    assert kinds(broker, NOW + 20, messages=100) == []
    assert kinds(broker, NOW + 25, messages=900) == [("queue_filling", "major")], "the highest level reached, once"


def test_memory_counts_as_much_as_messages() -> None:
    broker = queues(messages=1_000, memory=10_000)
    assert kinds(broker, NOW + 5, messages=10, bytes=6_000) == [("queue_filling", "warning")]


def test_the_minutes_that_are_left_are_told() -> None:
    broker = queues()
    (event,) = broker.judge({"messages": 600, "uptime_s": 65}, NOW + 60)
    assert event.detail["minutes_left"] == pytest.approx(0.7, abs=0.05)
    assert "full in 0.7 min" in event.message


def test_dropped_messages_are_a_possible_loss_between_two_looks() -> None:
    broker = queues()
    (event,) = broker.judge({"dropped": 7, "uptime_s": 10}, NOW + 5)
    assert (event.kind, event.severity, event.detail["dropped"]) == ("messages_dropped", "major", 7)
    span = datetime.fromisoformat(event.detail["to"]) - datetime.fromisoformat(event.detail["from"])
    assert span.total_seconds() == 5
    assert kinds(broker, NOW + 10, dropped=7) == [], "it has not grown"
    assert [kind for kind, _ in kinds(broker, NOW + 15, dropped=9)] == ["messages_dropped"]


def test_a_broker_that_began_anew_may_have_lost_what_it_had_not_saved() -> None:
    broker = queues()
    broker.judge({"uptime_s": 500, "dropped": 3}, NOW + 500)
    (event,) = broker.judge({"uptime_s": 2, "dropped": 0}, NOW + 510)
    assert (event.kind, event.severity) == ("broker_restarted", "major")
    span = datetime.fromisoformat(event.detail["to"]) - datetime.fromisoformat(event.detail["from"])
    assert span.total_seconds() == 68, "one save interval before it was last heard, up to its start"


def test_a_broker_of_somebody_else_has_no_known_limits() -> None:
    broker = queues(0, 0)
    assert kinds(broker, NOW + 5, messages=10**9) == []
    assert broker.share == 0.0


@pytest.mark.parametrize(("payload", "value"), [(b"12 seconds", 12), (b"7", 7), (b"", None), (b"x", None)])
def test_numbers_of_sys_topics(payload: bytes, value: int | None) -> None:
    assert number(payload) == value


def inbox_of(stack: RunningStack, name: str) -> Inbox:
    """An inbox that no worker of the stack has."""
    return area_inbox(AREA, ingest_url(stack))._replace(name=name)


def remove_session(inbox: Inbox) -> None:
    """What an operator does by mistake: connect under the inbox's id and ask for a clean start."""
    parts = urlsplit(inbox.url)
    client = paho.Client(CallbackAPIVersion.VERSION2, inbox.client_id, protocol=paho.MQTTv5)
    client.username_pw_set(parts.username, parts.password)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0
    connected = []
    client.on_connect = lambda *_: connected.append(True)
    client.connect(parts.hostname or "", parts.port or 0, clean_start=True, properties=properties)
    while not connected:
        client.loop(0.1)
    client.disconnect()
    client.loop(0.1)


async def events_of(stack: RunningStack, inbox: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Kind, severity and detail as the view shows them."""
    statement = "select kind, severity, detail from city.event where inbox = %s order by time"
    rows = await asyncio.to_thread(stack.query, statement, inbox)
    return [(kind, severity, detail) for kind, severity, detail in rows]


@contextlib.asynccontextmanager
async def registering(stack: RunningStack, inbox: Inbox) -> Any:
    """A session whose fate is noted in the database, as in a worker."""
    events = Events()
    register = Register(63, events)
    session = Session(inbox, Window(), register.tell)
    async with await psycopg.AsyncConnection.connect(stack.document["database"], autocommit=True) as connection:

        async def note() -> None:
            await register.write(connection)
            await events.write(connection)

        running = asyncio.create_task(session.run())
        try:
            await asyncio.wait_for(session.ready.wait(), 60)
            yield session, note
        finally:
            session.leave()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_a_first_session_and_one_that_was_kept_are_no_events(stack: RunningStack) -> None:
    inbox = inbox_of(stack, "watch-first")
    for _ in range(2):
        async with registering(stack, inbox) as (_, note):
            await note()
    assert await events_of(stack, inbox.name) == []
    remembered = await asyncio.to_thread(
        stack.query, "select broker, worker, seen >= since from city.inbox where inbox = %s", inbox.name
    )
    assert remembered == [(inbox.broker, 63, True)]


async def test_a_session_that_is_gone_is_a_possible_loss(stack: RunningStack) -> None:
    inbox = inbox_of(stack, "watch-gone")
    async with registering(stack, inbox) as (_, note):
        await note()
    await asyncio.to_thread(remove_session, inbox)
    async with registering(stack, inbox) as (_, note):
        await note()
    ((kind, severity, detail),) = await events_of(stack, inbox.name)
    assert (kind, severity) == ("session_lost", "major")
    assert datetime.fromisoformat(detail["from"]) <= datetime.fromisoformat(detail["to"])
    async with registering(stack, inbox) as (_, note):
        await note()
    assert len(await events_of(stack, inbox.name)) == 1, "the new session is as good as the old one"


async def test_a_session_that_is_taken_over_is_told_and_not_fought_for(stack: RunningStack) -> None:
    inbox = inbox_of(stack, "watch-taken")
    async with registering(stack, inbox) as (mine, note):
        await note()
        async with registering(stack, inbox):
            for _ in range(WAIT_S * 20):
                if not mine.ready.is_set():
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(1.0)
            assert not mine.ready.is_set(), "whoever came later may be the new host"
            await note()
    ((kind, severity, _),) = await events_of(stack, inbox.name)
    assert (kind, severity) == ("session_taken_over", "major")


async def test_events_wait_for_the_database_in_order(stack: RunningStack) -> None:
    inbox = inbox_of(stack, "watch-order")
    events = Events()
    for at in (NOW, NOW + 1):
        events.add(taken_over(TakenOver(inbox, at)))
    broken = await psycopg.AsyncConnection.connect(stack.document["database"], autocommit=True)
    await broken.close()
    with pytest.raises(psycopg.OperationalError):
        await events.write(broken)
    async with await psycopg.AsyncConnection.connect(stack.document["database"], autocommit=True) as connection:
        await events.write(connection)
    assert len(events.waiting) == 0
    told = await events_of(stack, inbox.name)
    assert [detail["from"] for _, _, detail in told] == ["2026-11-21T02:08:47.000Z", "2026-11-21T02:08:48.000Z"]


def test_what_a_session_is_known_by(stack: RunningStack) -> None:
    inbox = inbox_of(stack, "watch-name")
    assert Joined(inbox, True, NOW).inbox.client_id == "dothi-inbox-watch-name"
    assert inbox.broker.startswith("127.0.0.1:")
