"""The session against a real broker: what is not acknowledged comes again, and a full window stops the reading."""

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from devices.route import ROUTES
from ingest.host import Host
from ingest.inbox import address, area_inbox
from ingest.mqtt import Subscription
from ingest.session import Happening, Joined, Session
from ingest.window import Arrival, Window
from tests.gateway import WAIT_S
from tests.stack import RunningStack

AREA = "061"


def ingest_url(stack: RunningStack) -> str:
    """The broker with the credentials of ingest."""
    document = json.loads((stack.folder / "stack.json").read_text())
    return str(document["ingest"]["brokers"][0]["url"])


@contextlib.asynccontextmanager
async def session_of(
    stack: RunningStack, name: str, window: Window, subscriptions: tuple[Subscription, ...] | None = None
) -> AsyncIterator[Session]:
    """A session of its own beside those of the stack's worker; every subscriber gets a copy."""
    inbox = area_inbox(AREA, ingest_url(stack))._replace(name=name)
    inbox = inbox._replace(subscriptions=subscriptions or inbox.subscriptions)
    session = Session(inbox, window)
    running = asyncio.create_task(session.run())
    try:
        await asyncio.wait_for(session.ready.wait(), 60)
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
        arrival = await window.take(60)
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
        for _ in range(WAIT_S * 20):
            if window.messages >= 10:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # what is read beyond the bound would have come
        held = window.messages
        assert 10 <= held < 3_000, "one read may go over the bound, then reading must wait"
        seen: list[int] = []
        while len(seen) < 3_000:
            arrival = await window.take(60)
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
    told, until = "", time.monotonic() + WAIT_S
    while not re.search(said, told):
        assert time.monotonic() < until, told
        await asyncio.sleep(0.05)
        told += "".join(capsys.readouterr())  # stderr once another test has set logging up
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert not session.ready.is_set()


@contextlib.contextmanager
def outside(stack: RunningStack, version: MQTTProtocolVersion, client_id: str = "") -> Iterator[paho.Client]:
    """A connected device that is not ours."""
    parts = urlsplit(stack.document["broker"])
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=version)
    client.username_pw_set(parts.username, parts.password)
    client.will_set(f"dothi/v1/{AREA}/outsider/status", "offline", qos=1, retain=True)
    client.connect(parts.hostname or "", parts.port or 0)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def send(stack: RunningStack, version: MQTTProtocolVersion, seq: int, **how: Any) -> None:
    """One message from outside, acknowledged as its QoS asks."""
    with outside(stack, version) as client:
        payload = json.dumps({"seq": seq, "metrics": {"pm25": 1}})
        client.publish(f"dothi/v1/{AREA}/outsider/up", payload, **how).wait_for_publish(60)
        time.sleep(0.1)


VERSIONS = [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5]


@pytest.mark.parametrize("version", VERSIONS, ids=["3.1.1", "5"])
async def test_devices_of_any_version_and_qos_are_heard_once(stack: RunningStack, version: MQTTProtocolVersion) -> None:
    window = Window()
    async with session_of(stack, f"qos-{int(version)}", window):
        for qos in (0, 1, 2):
            await asyncio.to_thread(send, stack, version, qos, qos=qos)
        arrivals = await take(window, 3)
        assert numbers(arrivals) == [0, 1, 2]
        pids = [bool(message.pid) for arrival in arrivals for message in arrival.messages]
        assert pids == [False, True, True], "QoS 0 cannot be acknowledged, QoS 2 reaches us as QoS 1"
        acknowledge([arrival for arrival in arrivals if arrival.messages.pids[0]])
        assert await window.take(0.3) is None


async def test_a_live_retained_reading_is_read_and_an_old_one_is_not(stack: RunningStack) -> None:
    first, second = Window(), Window()
    async with session_of(stack, "retained-live", first):
        await asyncio.to_thread(send, stack, VERSIONS[1], 7, qos=1, retain=True)
        assert numbers(await take(first, 1)) == [7]
    try:
        async with session_of(stack, "retained-late", second):
            assert await second.take(0.5) is None, "whoever subscribes later would store it again and again"
    finally:
        await asyncio.to_thread(send_nothing_retained, stack)


def send_nothing_retained(stack: RunningStack) -> None:
    """Take the retained reading away."""
    with outside(stack, VERSIONS[1]) as client:
        client.publish(f"dothi/v1/{AREA}/outsider/up", b"", qos=1, retain=True).wait_for_publish(60)


async def test_a_retained_reading_that_waited_in_the_queue_is_read(stack: RunningStack) -> None:
    window = Window()
    async with session_of(stack, "retained-queued", window):
        pass
    await asyncio.to_thread(send, stack, VERSIONS[1], 8, qos=1, retain=True)
    try:
        async with session_of(stack, "retained-queued", window):
            assert numbers(await take(window, 1)) == [8]
    finally:
        await asyncio.to_thread(send_nothing_retained, stack)


async def test_a_last_will_arrives_as_a_word_of_the_device(stack: RunningStack) -> None:
    window = Window()

    def die() -> None:
        with outside(stack, VERSIONS[0], "will") as client:
            while not client.is_connected():
                time.sleep(0.01)
            broken = client.socket()
            assert isinstance(broken, socket.socket)
            client.loop_stop()
            broken.shutdown(socket.SHUT_RDWR)

    async with session_of(stack, "will", window):
        await asyncio.to_thread(die)
        (arrival,) = await take(window, 1)
        (message,) = arrival.messages
        assert (message.topic, message.payload) == (f"dothi/v1/{AREA}/outsider/status".encode(), b"offline")
        arrival.source.acknowledge([message.pid])
    with outside(stack, VERSIONS[1]) as client:
        client.publish(f"dothi/v1/{AREA}/outsider/status", b"", qos=1, retain=True).wait_for_publish(60)


async def test_overlapping_filters_bring_a_message_once_each(stack: RunningStack) -> None:
    """So does mosquitto 2; another broker may bring it once. Either way its key makes one row of it."""
    window = Window()
    inbox = area_inbox(AREA, ingest_url(stack))
    wide = Subscription("dothi/v1/+/+/up", False)
    async with session_of(stack, "overlap", window, (*inbox.subscriptions, wide)):
        await publish(stack, 1, 3)
        arrivals = await take(window, 6)
        assert sorted(numbers(arrivals)) == [1, 1, 2, 2, 3, 3]
        acknowledge(arrivals)


def test_no_message_comes_to_an_inbox_twice_or_to_a_route_and_an_area() -> None:
    native = [one.filter for area in ("213", "215") for one in area_inbox(area, "mqtt://h").subscriptions]
    for route in ROUTES.values():
        for one, other in combinations([*route.topics, *native], 2):
            if {one, other} == {"+/onvif-ej/#", "+/+/onvif-ej/#"}:
                continue  # a camera's prefix has one level or two, and none is called onvif-ej
            assert not overlap(one.split("/"), other.split("/")), f"{route.name}: {one} and {other}"
    assert overlap(["a", "+"], ["a", "b"])
    assert overlap(["a", "#"], ["a", "b", "c"])
    assert not overlap(["a", "+"], ["a", "b", "c"])


def overlap(one: list[str], other: list[str]) -> bool:
    """Whether some topic passes both filters."""
    if "#" in (one[:1] + other[:1]):
        return True
    if not one or not other:
        return one == other
    return (one[0] == other[0] or "+" in (one[0], other[0])) and overlap(one[1:], other[1:])


async def test_the_next_host_waits_until_everything_read_is_settled(stack: RunningStack, tmp_path: Path) -> None:
    inbox = area_inbox(AREA, ingest_url(stack))._replace(name="handover")
    happened: list[Happening] = []
    windows = Window(), Window()
    old, new = (Host(window, tmp_path, happened.append) for window in windows)
    old.assign([inbox])
    await asyncio.wait_for(old.all_ready(), 60)
    await publish(stack, 1, 3)
    arrivals = await take(windows[0], 3)
    old.assign([])
    new.assign([inbox])
    await asyncio.sleep(0.5)
    assert new.connects == 0, "three messages are not settled yet"
    acknowledge(arrivals)
    windows[0].release(arrivals)
    await asyncio.wait_for(new.all_ready(), 60)
    assert await windows[1].take(0.3) is None, "what was acknowledged does not come again"
    assert [type(one) for one in happened] == [Joined, Joined], "nobody took anything over"
    await asyncio.gather(old.leave(), new.leave())


async def test_a_host_that_died_is_not_waited_for(stack: RunningStack, tmp_path: Path) -> None:
    inbox = area_inbox(AREA, ingest_url(stack))._replace(name="died")
    holder = await asyncio.create_subprocess_exec(
        *("flock", str(tmp_path / "inbox-died.lock"), "-c", "echo held; exec sleep 60"), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout
    await holder.stdout.readline()
    host = Host(Window(), tmp_path, lambda _: None)
    host.assign([inbox])
    await asyncio.sleep(0.3)
    assert host.connects == 0
    for process in psutil.Process(holder.pid).children(recursive=True):
        process.kill()
    holder.kill()
    await holder.wait()
    await asyncio.wait_for(host.all_ready(), 60)
    await host.leave()


def test_addresses() -> None:
    assert address("mqtt://u:p@h:1")[:2] == ("h", 1)
    assert address("mqtt://h")[:2] == ("h", 1883)
    assert address("mqtts://h")[1] == 8883
    assert address("mqtts://h")[2] is not None
