"""docs/onboard-a-device.md, followed line by line: each walk ends with a stored reading, in at most five commands."""

import json
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from tests.gateway import WAIT_S
from tests.stack import RunningStack

PAGE = (Path(__file__).parents[1] / "docs/onboard-a-device.md").read_text("utf-8")
MOST_COMMANDS = 5
Before = dict[str, Callable[[RunningStack, str], None]]


def walk(number: int) -> list[str]:
    """The commands of a section, as they stand on the page."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{number}. ")]
    return [
        line[4:].partition("  #")[0].rstrip() for line in text.splitlines() if re.match(r"    (dothi|printf) ", line)
    ]


def uplink(stack: RunningStack, _: str) -> None:
    """What ChirpStack publishes when the sensor speaks: temperature 24.1, humidity 61 %, CO2 812 ppm."""
    frame = bytes.fromhex("0175640367f1000468" + "7a" + "077d2c03")
    message = {
        "time": datetime.now(UTC).isoformat(),
        "deviceInfo": {"devEui": "24e124710b421234", "deviceName": "phong-hop", "deviceProfileName": "Milesight AM103"},
        "fCnt": 1,
        "fPort": 85,
        "data": b64encode(frame).decode(),
    }
    stack.publish("application/1/device/24e124710b421234/event/up", message)


def plug(stack: RunningStack, _: str) -> None:
    """What a Tasmota plug says every five minutes."""
    local = datetime.now(timezone(timedelta(hours=7))).strftime("%Y-%m-%dT%H:%M:%S")
    energy = {"Total": 12.3, "Today": 0.1, "Power": 45, "Factor": 0.9, "Voltage": 221, "Current": 0.21}
    stack.publish("tele/plug-kitchen/SENSOR", {"Time": local, "ENERGY": energy})


def person(stack: RunningStack, _: str) -> None:
    """Somebody comes to the gate."""
    seen = {
        "id": f"{time.time()}-a",
        "camera": "cong-rung-1",
        "frame_time": time.time(),
        "label": "person",
        "score": 0.9,
    }
    stack.publish("frigate/events", {"type": "new", "before": {}, "after": seen})


def board(stack: RunningStack, said: str) -> None:
    """The board, programmed with what `credentials issue` has shown."""
    device, token = said.splitlines()[-1].split(",")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=device)
    client.username_pw_set(device, token)
    client.connect("127.0.0.1", int(stack.document["broker"].rpartition(":")[2]))
    client.loop_start()  # comes again until the gate knows its token
    deadline = time.monotonic() + WAIT_S
    while not client.is_connected():
        assert time.monotonic() < deadline, f"the broker does not let {device} in"
        time.sleep(0.05)
    client.publish(f"dothi/v1/213/{device}/up", json.dumps({"metrics": {"pm25": 41.2}}), 1).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


WALKS: list[tuple[int, Before, str]] = [
    (
        1,
        {"pending": uplink},
        "select co2 = 812 and temperature = 24.1 from city.classroom where device = 'meeting-room-1'",
    ),
    (2, {"pending": plug}, "select voltage = 221 from city.meter where device = 'plug-kitchen'"),
    (3, {"pending": person, "tail": person}, "select 1 from city.camera_event where device = 'cong-rung-1'"),
    (4, {"doctor": board}, "select pm25 = 41.2 from city.air_quality where device = 'balcony-1'"),
]


@pytest.mark.parametrize(
    ("number", "before", "stored"),
    [
        pytest.param(*walk, id=name, marks=[pytest.mark.full] if name in ("lorawan", "plug") else [])
        for walk, name in zip(WALKS, ("lorawan", "plug", "camera", "board"), strict=True)
    ],
)
def test_the_page_leads_to_a_stored_reading(
    stack: RunningStack, tmp_path: Path, number: int, before: Before, stored: str
) -> None:
    (tmp_path / ".dothi").symlink_to(stack.folder)
    commands = walk(number)
    assert 2 <= len([one for one in commands if one.startswith("dothi")]) <= MOST_COMMANDS
    said = ""
    for command in commands:
        happening = next((do for word, do in before.items() if f" {word}" in command), None)
        if happening:
            stack.wait_known()
            before_it = stack.received()
            happening(stack, said)
            stack.wait_settled(before_it + 1)
        said = run(command, tmp_path)
    assert stack.wait_for(stored)


def run(command: str, folder: Path) -> str:
    """A line of the page in a shell; it must succeed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment: dict[str, Any] = os.environ | {"PATH": path, "COLUMNS": "200"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
