"""The application acknowledgement: what a device is told is settled, is; even when the broker's memory is lost."""

import contextlib
import json
import os
import queue
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.device import Device
from tests.stack import RunningStack, running_stack
from tests.test_ingest import now_ms, uplink


@contextlib.contextmanager
def listening(stack: RunningStack, area: str, device: str) -> Iterator["queue.Queue[dict[str, Any]]"]:
    """What the device hears on its topic of acknowledgements."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    subscribed: queue.Queue[bool] = queue.Queue()
    parts = urlsplit(stack.document["broker"])
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(parts.username, parts.password)
    client.on_message = lambda _client, _userdata, message: heard.put(json.loads(message.payload))
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.connect(parts.hostname or "", parts.port or 1883)
    client.loop_start()
    client.subscribe(f"dothi/v1/{area}/{device}/ack")
    subscribed.get(timeout=60)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.fixture(scope="module")
def devices(stack: RunningStack) -> list[str]:
    """Two that ask to be told, and one that does not."""
    asking = [(name, "native-fire-watch", "220", "") for name in ("ack", "ack-gaps")]
    return stack.enroll_many([*asking, ("ack-not", "native-air-quality", "213", "")])


def reading(seq: int, boot: int | None = 1, co: object = 3.5) -> dict[str, Any]:
    """One reading of a fire-watch sensor."""
    return {"time": now_ms(), "seq": seq, "metrics": {"co": co}} | ({} if boot is None else {"boot": boot})


def test_a_device_is_told_up_to_where_all_is_settled(stack: RunningStack, devices: list[str]) -> None:
    device = devices[0]
    topic = uplink("220", device)
    with listening(stack, "220", device) as heard:
        stack.publish(topic, reading(5))
        assert heard.get(timeout=60) == {"seq": 5, "first": 5, "boot": 1}
        again = reading(6)
        stack.publish(topic, [again, reading(7), reading(9)])
        assert heard.get(timeout=60) == {"seq": 7, "first": 5, "boot": 1, "missing": [8, 8]}
        stack.publish(topic, again)
        assert heard.get(timeout=60) == {"seq": 7, "first": 5, "boot": 1, "missing": [8, 8]}, (
            "a duplicate is told again"
        )
        stack.publish(topic, reading(8, co=-1))
        assert heard.get(timeout=60) == {"seq": 9, "first": 5, "boot": 1}, "quarantined counts as settled"
        stack.publish(topic, reading(1, boot=2))
        assert heard.get(timeout=60) == {"seq": 1, "first": 1, "boot": 2}
        stack.publish(topic, reading(3, boot=None))
        assert heard.get(timeout=60) == {"seq": 3, "first": 3}
        stack.publish(topic, b"unreadable", {"metrics": {"co": 1}}, reading(2**63 - 1), reading(10))
        while heard.get(timeout=60)["seq"] != 10:
            pass  # settled in several batches, it is told in several steps
    assert stack.query("select count(*) from city.fire_watch where device = %s", device) == [(9,)]


def test_gaps_are_remembered_within_bounds(stack: RunningStack, devices: list[str]) -> None:
    from ingest.acknowledge import MOST_RANGES

    device = devices[1]
    with listening(stack, "220", device) as heard:
        stack.publish(uplink("220", device), [reading(2 * n) for n in range(500)])
        assert heard.get(timeout=60) == {"seq": 0, "first": 0, "boot": 1, "missing": [1, 1]}
    ranges = (
        "select count(*) from ops.settled s join registry.device d on d.id = s.device, unnest(s.seqs) "
        "where d.device = %s"
    )
    assert stack.query(ranges, device) == [(MOST_RANGES,)]


def test_profiles_that_do_not_ask_cost_nothing(stack: RunningStack, devices: list[str]) -> None:
    device = devices[2]
    stack.publish(uplink("213", device), {"time": now_ms(), "seq": 1, "metrics": {"pm25": 1}})
    stack.wait_for("select count(*) from city.air_quality where device = %s", device)
    of_device = "select count(*) from ops.settled s join registry.device d on d.id = s.device where d.device = %s"
    assert stack.query(of_device, device) == [(0,)]


FAULTS = ("broker", "workers", "broker", "database")
MANY = pytest.param(FAULTS, 1.0, id="four", marks=pytest.mark.full)


def strike(stack: RunningStack, kind: str) -> None:
    """kill -9; the broker loses all that it had written down, too."""
    found = json.loads((Path(stack.folder) / "stack.json").read_text())["processes"][kind]
    pid = found[0] if isinstance(found, list) else found
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if kind == "broker":
        for file in stack.folder.rglob("mosquitto.db*"):
            file.unlink(missing_ok=True)


@pytest.mark.parametrize(("faults", "apart_s"), [pytest.param(FAULTS[2:], 0.3, id="two"), MANY])
def test_what_the_device_counts_as_settled_is_stored(
    tmp_path: Path, prepared: Path, faults: tuple[str, ...], apart_s: float
) -> None:
    chance = random.Random(3)  # noqa: S311 - the same moments in every run
    with running_stack(tmp_path, prepared=prepared) as stack:
        name = stack.enroll("keeper", "native-water-level", "213")
        device = Device(stack.document["broker"], "213", name, boot=7, resend_s=1.0)
        device.start()
        measured = 0
        for kind in faults:
            until = time.monotonic() + chance.uniform(apart_s, 2 * apart_s)
            while time.monotonic() < until:
                measured += device.measure({"water_level": measured % 7}) is not None
                time.sleep(0.01)
            strike(stack, kind)
        deadline = time.monotonic() + 120
        while device.kept and time.monotonic() < deadline:
            time.sleep(0.1)
        device.stop()
        rows = [seq for (seq,) in stack.query("select seq from city.water_level where device = %s", name)]
        assert device.settled <= set(rows), "counted as settled and lost"
        assert not device.kept, "not settled in the end"
        assert sorted(rows) == list(range(1, measured + 1)), "all are stored once"
        audit = json.loads(stack.dothi("ingest", "audit", "--since", "1h", "--json").stdout)
        assert audit["differences"] == []
