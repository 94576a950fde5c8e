"""Retained messages at a broker are the active alarms, whatever happened to either in between."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from analytics.delivery.messenger import Messenger, run
from analytics.delivery.meters import Meters
from analytics.delivery.mirror import client
from analytics.delivery.routes import NOBODY
from tests.mosquitto import OPEN, Mosquitto, mosquitto
from tests.stack import RunningStack

WAIT_S = 60.0
ACTIVE = """
select 'dothi/alarms/' || coalesce(area, '000') || '/' || severity || '/' || id, to_jsonb(a) - 'last' - 'occurrences'
       - 'value' from city.alarm a where cleared is null
"""
SEVERITIES = ("info", "warning", "minor", "major", "critical")


@pytest.fixture(scope="module")
def url(stack: RunningStack) -> Iterator[str]:
    with stack.database() as url:
        yield url


@pytest.fixture
def admin(url: str) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("truncate ops.alarm, ops.alarm_news, ops.delivery")
        yield connection


def raise_alarms(admin: "psycopg.Connection[Any]", *alarms: tuple[str, str, int | None]) -> None:
    """Key, severity and area of each."""
    told = [
        {"key": key, "kind": "leak", "severity": severity, "area": area, "message": f"Tin {key}"}
        | {"at": datetime.now(UTC).isoformat()}
        for key, severity, area in alarms
    ]
    admin.execute("select * from ops.raise_alarms(%s)", (json.dumps(told),))


def clear(admin: "psycopg.Connection[Any]", *keys: str) -> None:
    at = [datetime.now(UTC) + timedelta(seconds=1)] * len(keys)
    admin.execute("select * from ops.clear_alarms(%s, %s)", (list(keys), at))


def retained(url: str) -> dict[str, Any]:
    """What a broker tells somebody who comes now."""

    async def ask() -> dict[str, Any]:
        found = {}
        async with client(url) as connected:
            await connected.subscribe("dothi/alarms/#", qos=1)
            try:
                while True:
                    async with asyncio.timeout(0.3):
                        message = await anext(connected.messages)
                    if message.retain:  # what comes while we listen has it not
                        found[str(message.topic)] = document(message.payload)
            except TimeoutError:
                return found

    return asyncio.run(ask())


def document(payload: object) -> dict[str, Any]:
    """What a message says; nothing where it is rubbish."""
    try:
        found = json.loads(payload if isinstance(payload, bytes) else b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def said(document: dict[str, Any]) -> dict[str, Any]:
    """Without what is only counted up, times as moments."""
    plain = {name: value for name, value in document.items() if name not in ("last", "occurrences", "value")}
    return {name: moment(value) if name in ("raised", "acknowledged") else value for name, value in plain.items()}


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def same(admin: "psycopg.Connection[Any]", url: str) -> bool:
    """The law."""
    active = {topic: said(row) for topic, row in admin.execute(ACTIVE)}
    return active == {topic: said(document) for topic, document in retained(url).items()}


def until(pleased: Callable[[], object], seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not pleased():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def mirroring(url: str, *brokers: str) -> Iterator[Meters]:
    """A messenger of these brokers in a thread of its own."""
    loop, stop, ready, meters = asyncio.new_event_loop(), asyncio.Event(), threading.Event(), Meters()
    analyst = f"{url}?options=-c%20role%3Ddothi_analyst"
    named = {f"broker {n}": broker for n, broker in enumerate(brokers)}
    messenger = Messenger(analyst, named, NOBODY, meters, stop, ready.set)
    thread = threading.Thread(target=loop.run_until_complete, args=(run(messenger),))
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield meters
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
        loop.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path, OPEN) as running:
        yield running


def test_an_alarm_is_there_while_it_is_active(admin: Any, url: str, broker: Mosquitto) -> None:
    with mirroring(url, broker.url) as meters:
        raise_alarms(admin, ("a", "minor", 213), ("b", "critical", None))
        found: dict[str, Any] = {}
        until(lambda: found.update(retained(broker.url)) or len(found) == 2)
        (number,) = (row[0] for row in admin.execute("select id from ops.alarm where key = 'a'"))
        told = found[f"dothi/alarms/213/minor/{number}"]
        assert (told["kind"], told["message"], told["state"]) == ("leak", "Tin a", "unacknowledged")
        assert told["raised"].endswith("Z")
        assert sorted(topic.split("/")[2] for topic in found) == ["000", "213"], "000: the whole province"
        admin.execute("select ops.acknowledge_alarm(%s, 'Lan')", (number,))
        until(lambda: retained(broker.url).get(f"dothi/alarms/213/minor/{number}", {}).get("by") == "Lan")
        raise_alarms(admin, ("a", "major", 213))
        until(lambda: f"dothi/alarms/213/major/{number}" in retained(broker.url))
        until(lambda: len(retained(broker.url)) == 2)
        clear(admin, "a", "b")
        until(lambda: retained(broker.url) == {})
        assert meters.trouble() is None


def test_listeners_hear_the_end_as_an_empty_message(admin: Any, url: str, broker: Mosquitto) -> None:
    heard: list[tuple[str, bytes, bool]] = []
    listener = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    listener.on_message = lambda _client, _data, message: heard.append((message.topic, message.payload, message.retain))
    listener.connect("127.0.0.1", broker.port)
    listener.subscribe("dothi/alarms/#", qos=1)
    listener.loop_start()
    try:
        with mirroring(url, broker.url):
            raise_alarms(admin, ("a", "minor", 213))
            until(lambda: heard)
            clear(admin, "a")
            until(lambda: len(heard) == 2)
    finally:
        listener.disconnect()
        listener.loop_stop()
    assert heard[0][0] == heard[1][0]
    assert json.loads(heard[0][1])["message"] == "Tin a"
    assert heard[1][1] == b""


def test_what_repeats_is_not_told_each_time(admin: Any, url: str, broker: Mosquitto) -> None:
    with mirroring(url, broker.url) as meters:
        raise_alarms(admin, ("a", "minor", 213))
        until(lambda: meters.published["broker 0"] == 1)
        for _ in range(20):
            raise_alarms(admin, ("a", "minor", 213))
            time.sleep(0.1)
        assert meters.published["broker 0"] == 1


def test_a_broker_that_has_forgotten_is_told_again(admin: Any, url: str, broker: Mosquitto) -> None:
    with mirroring(url, broker.url):
        raise_alarms(admin, *[(f"k{n}", "minor", 213) for n in range(5)])
        until(lambda: same(admin, broker.url))
        broker.kill()
        clear(admin, "k0")
        raise_alarms(admin, ("k5", "major", 220))
        broker.start()
        until(lambda: len(retained(broker.url)) == 5)
        until(lambda: same(admin, broker.url))


def test_what_a_broker_kept_while_nobody_looked_is_put_right(admin: Any, url: str, broker: Mosquitto) -> None:
    raise_alarms(admin, ("stays", "minor", 213), ("grows", "minor", 213), ("ends", "minor", 213))
    with mirroring(url, broker.url):
        until(lambda: same(admin, broker.url))
    raise_alarms(admin, ("grows", "critical", 213), ("new", "info", 216))
    clear(admin, "ends")
    rubbish = {"dothi/alarms/213/minor/999999": b"{}", "dothi/alarms/x": b"\xff", "dothi/alarms/213/major/0": b"x"}

    async def leave() -> None:
        async with aiomqtt.Client("127.0.0.1", broker.port) as connected:
            for topic, payload in rubbish.items():
                await connected.publish(topic, payload, qos=1, retain=True)

    asyncio.run(leave())
    with mirroring(url, broker.url) as meters:
        until(lambda: len(retained(broker.url)) == 3)
        until(lambda: same(admin, broker.url))
        assert meters.published["broker 0"] == 7, "two that changed, an old topic, one that ended, three of rubbish"


def test_every_broker_holds_all_and_none_waits_for_another(admin: Any, url: str, tmp_path: Path) -> None:
    with mosquitto(tmp_path) as one, mosquitto(tmp_path) as dead:
        dead.kill()
        with mirroring(url, dead.url, one.url):
            raise_alarms(admin, ("a", "minor", 213), ("b", "minor", 216))
            until(lambda: same(admin, one.url))
            dead.start()
            until(lambda: same(admin, dead.url))


def test_retained_messages_are_the_active_alarms(admin: Any, url: str, broker: Mosquitto) -> None:
    """The law, under whatever comes: raised, grown, cleared, shelved, brokers killed, the messenger started anew."""
    chance = random.Random(5)  # noqa: S311 -- the same steps every time
    keys = [f"k{n}" for n in range(12)]

    def step() -> None:
        what, key = chance.randrange(6), chance.choice(keys)
        if what < 3:
            raise_alarms(admin, (key, chance.choice(SEVERITIES), chance.choice((213, 216, None))))
        elif what < 5:
            clear(admin, key)
        else:
            broker.kill()
            broker.start()

    for _ in range(3):
        with mirroring(url, broker.url):
            for _ in range(15):
                step()
            until(lambda: same(admin, broker.url))
        for _ in range(5):
            step()


def test_many_alarms_are_told_in_portions(admin: Any, url: str, broker: Mosquitto) -> None:
    raise_alarms(admin, *[(f"m{n}", "minor", 213) for n in range(1_000)])
    with mirroring(url, broker.url) as meters:
        until(lambda: meters.retained.get("broker 0") == 1_000)
        until(lambda: same(admin, broker.url))


def test_the_stack_tells_alarms_and_only_the_platform_may(stack: RunningStack) -> None:
    at = datetime.now(UTC).isoformat()
    alarm = {"key": "topics", "kind": "leak", "severity": "minor", "area": 215, "at": at, "message": "Thử"}
    number = stack.query("select id from ops.raise_alarms(%s::jsonb)", json.dumps([alarm]))[0][0]
    topic = f"dothi/alarms/215/minor/{number}"
    broker = stack.document["broker"]
    until(lambda: topic in retained(broker))
    with stack.gateway() as gateway:
        gateway.publish(topic, b"", retain=True)
        gateway.publish("dothi/alarms/215/critical/7", b"{}", retain=True)
        gateway.settle()
    until(lambda: topic in retained(broker))  # what anybody else publishes there goes nowhere
    assert "dothi/alarms/215/critical/7" not in retained(broker)
    at = datetime.now(UTC) + timedelta(seconds=1)
    stack.query("select * from ops.clear_alarms(array['topics'], array[%s::timestamptz])", at)
    until(lambda: topic not in retained(broker))
    assert json.loads(stack.dothi("status", "--json").stdout)["processes"]["messenger"] > 0
    until(lambda: json.loads(stack.dothi("status", "--json").stdout)["trouble"] == [])
