"""Routes at work: births are asked for, deaths are noted, and what devices say of themselves is heard again."""

import asyncio
import contextlib
import json
import queue
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices.codecs.sparkplug import decode_payload
from devices.envelopes import Notice, Packet, opener_of
from devices.rejected import Rejected
from devices.route import ROUTES, matches, overlap
from ingest.inbox import route_inbox
from ingest.session import Session
from ingest.window import Window
from tests.stack import RunningStack


@contextlib.contextmanager
def listening(stack: RunningStack, topic: str) -> Iterator["queue.Queue[tuple[str, bytes]]"]:
    """What comes on a topic at a client with the gateway's credentials, as an edge node has them."""
    heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
    subscribed: queue.Queue[bool] = queue.Queue()
    parts = urlsplit(stack.document["broker"])
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(parts.username, parts.password)
    client.on_message = lambda _client, _userdata, message: heard.put((message.topic, message.payload))
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.connect(parts.hostname or "", parts.port or 0)
    client.subscribe(topic, qos=1)
    client.loop_start()
    try:
        assert subscribed.get(timeout=60)
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def sparkplug(seq: int, **metrics: float) -> bytes:
    """A payload with named metrics, written as JSON."""
    named = [{"name": name, "dataType": "Double", "value": value} for name, value in metrics.items()]
    return json.dumps({"timestamp": time.time_ns() // 1_000_000, "seq": seq, "metrics": named}).encode()


def test_a_node_that_was_never_heard_is_asked_for_its_birth(stack: RunningStack) -> None:
    device = stack.enroll("weather", "sparkplug-weather", alias="sparkplug:live/edge-1/tram-5")
    with listening(stack, "spBv1.0/live/NCMD/+") as heard:
        stack.publish("spBv1.0/live/DDATA/edge-1/tram-5", sparkplug(7, Temperature=21.5))
        topic, payload = heard.get(timeout=60)
    assert topic == "spBv1.0/live/NCMD/edge-1"
    command = decode_payload(payload)
    assert not isinstance(command, Rejected)
    assert command["metrics"][0]["name"] == "Node Control/Rebirth"
    assert stack.wait_for("select max(temperature) from city.weather where device = %s", device) == 21.5


def test_births_and_deaths_are_presence_and_events_and_no_readings(stack: RunningStack) -> None:
    device = stack.enroll("weather", "sparkplug-weather", alias="sparkplug:live/edge-2/tram-6")
    stack.publish("spBv1.0/live/NBIRTH/edge-2", sparkplug(0, bdSeq=0))
    stack.publish("spBv1.0/live/DBIRTH/edge-2/tram-6", sparkplug(1, Temperature=20.5))
    assert stack.wait_for("select max(temperature) from city.weather where device = %s", device) == 20.5
    assert online(stack, device) is True
    stack.publish("spBv1.0/live/DDEATH/edge-2/tram-6", sparkplug(2))
    kinds = "select string_agg(kind, ' ' order by time, kind desc) from city.event where device = %s"
    said = stack.wait_for(kinds, device, until=lambda kinds: "device_offline" in str(kinds))
    assert said == "device_online device_offline"
    assert online(stack, device) is False
    assert stack.query("select count(*) from city.quarantine where device = %s", device) == [(0,)]


def online(stack: RunningStack, device: str) -> bool:
    """What the device, or its gateway, said of it last."""
    ((said,),) = stack.query(
        "select p.online from ops.presence p join registry.device d on d.id = p.device where d.device = %s", device
    )
    return bool(said)


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.retained])
def test_what_is_asked_of_the_brokers_memory_is_of_the_route_and_no_reading(name: str) -> None:
    route = ROUTES[name]
    for pattern in route.retained:
        assert any(overlap(pattern, own) and matches(own, pattern) for own in route.topics), pattern
        for payload in (b"online", b"21.5", b"{}", b"[]"):
            parts = opener_of(route)(pattern.replace("+", "device"), payload)
            readings = [part for part in parts if isinstance(part, Packet) and not isinstance(part.document, Rejected)]
            assert not readings, "it would be stored at every connect"


async def test_descriptions_are_heard_again_at_every_connect(stack: RunningStack) -> None:
    topic, said = "homie/live-1/air/temperature/$unit", "°F"
    url = json.loads((stack.folder / "stack.json").read_text())["ingest"]["brokers"][0]["url"]
    inbox = route_inbox("homie-again", ROUTES["homie"].topics, url, ROUTES["homie"].retained)
    with stack.gateway() as gateway:
        gateway.publish(topic, said.encode(), retain=True)
        gateway.publish("homie/live-1/air/temperature", b"70", retain=True)
        gateway.settle()
    try:
        for _ in range(2):
            topics, opener = (
                await heard_at_connect(Session(inbox, window := Window()), window),
                opener_of(ROUTES["homie"]),
            )
            assert topics == {topic: said.encode()}, "the description, and not the old value"
            for one, payload in topics.items():
                assert all(isinstance(part, Notice) for part in opener(one, payload))
            (value,) = opener("homie/live-1/air/temperature", b"77")
            assert isinstance(value, Packet)
            assert value.document["$unit"] == {"temperature": said}  # type: ignore[index]  # an object
    finally:
        with stack.gateway() as gateway:
            gateway.publish(topic, b"", retain=True)
            gateway.publish("homie/live-1/air/temperature", b"", retain=True)
            gateway.settle()


async def heard_at_connect(session: Session, window: Window) -> dict[str, bytes]:
    """What of one device comes within a moment after the connect, acknowledged."""
    running = asyncio.create_task(session.run())
    heard: dict[str, bytes] = {}
    try:
        await asyncio.wait_for(session.ready.wait(), 60)
        while arrival := await window.take(1.0):
            heard |= {message.topic.decode(): message.payload for message in arrival.messages}
            arrival.source.acknowledge([message.pid for message in arrival.messages if message.pid])
    finally:
        session.leave()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return {topic: payload for topic, payload in heard.items() if "/live-1/" in topic}
