"""An edge node on a running stack: asked for its birth when one is missing, its data stored from then on."""

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from devices.codecs.sparkplug import decode_payload, encode_payload
from tests.stack import RunningStack, running_stack

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("sparkplug"), prepared=prepared) as running:
        yield running


@pytest.fixture
def heard(stack: RunningStack) -> Iterator["queue.Queue[bytes]"]:
    """What the platform sends to edge nodes."""
    parts, commands = urlsplit(stack.document["broker"]), queue.Queue[bytes]()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(parts.username, parts.password)
    client.on_message = lambda _client, _userdata, message: commands.put(bytes(message.payload))
    client.connect(parts.hostname or "", parts.port or 1883)
    client.subscribe("spBv1.0/plant/NCMD/gateway-1", qos=1)
    client.loop_start()
    yield commands
    client.disconnect()
    client.loop_stop()


def payload(seq: int, *metrics: dict[str, Any]) -> bytes:
    return encode_payload({"metrics": [*metrics], "seq": seq})


def test_an_edge_node_is_asked_and_then_understood(stack: RunningStack, heard: "queue.Queue[bytes]") -> None:
    (pump,) = stack.enroll_many([("pump", "sparkplug-machine", "213", '"sparkplug:plant/gateway-1/pump"')])
    values: list[dict[str, Any]] = [{"alias": 3, "double_value": -3.5}, {"alias": 4, "int_value": 0xFFFFFA38}]
    stack.publish("spBv1.0/plant/DDATA/gateway-1/pump", payload(7, *values))
    message = decode_payload(heard.get(timeout=60))
    assert isinstance(message, dict)
    assert message["metrics"][0]["name"] == "Node Control/Rebirth"
    stack.wait_for("select count(*) from city.quarantine where reason = 'before_birth' and device = %s", pump)
    stack.publish("spBv1.0/plant/NBIRTH/gateway-1", payload(0, {"name": "bdSeq", "datatype": 8, "long_value": 1}))
    temperature: dict[str, Any] = {"name": "Temperature", "alias": 3, "datatype": 10, "double_value": 20.0}
    speed = {"name": "RPM", "alias": 4, "datatype": 3, "int_value": 1480}
    stack.publish("spBv1.0/plant/DBIRTH/gateway-1/pump", payload(1, temperature, speed))
    stack.publish("spBv1.0/plant/DDATA/gateway-1/pump", payload(2, *values))
    stack.wait_for("select count(*) from city.machine where device = %s", pump, until=lambda count: count == 2)
    rows = stack.query("select temperature, rotation_speed from city.machine where device = %s order by time", pump)
    assert rows == [(20.0, 1480.0), (-3.5, -1480.0)]
    assert heard.empty()
