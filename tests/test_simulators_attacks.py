"""Compromised devices and a new firmware through the real stack: all is stored or quarantined."""

import json
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from devices.enroll_columns import enroll_columns
from simulators.city import City, Message
from simulators.fleet import build, districts, pieces, zones_of
from simulators.messages import Kind
from simulators.scenario_file import read
from simulators.schedule import Shares
from tests.stack import RunningStack

pytestmark = pytest.mark.stack
SECONDS = 60.0
EVENTS = [
    {"id": "flood", "kind": "flood", "start": "10 %", "for": "80 %", "families": ["noise"], "per_s": 8},
    {"id": "spoof", "kind": "spoof", "start": "10 %", "for": "80 %", "families": ["air_quality"], "per_s": 0.5},
    {"id": "garbage", "kind": "garbage", "start": "10 %", "for": "80 %", "families": ["vehicle"], "per_s": 1},
    {"id": "firmware", "kind": "renamed_field", "start": "10 %", "families": ["weather"], "share": 1},
]


def test_what_compromised_devices_send_is_stored_or_quarantined(stack: RunningStack, tmp_path: Path) -> None:
    zones = [zone for zone in zones_of("bac-giang") if zone.code in ("215", "216")]
    fleet = build(districts(zones, 20, people=1000), 4321)
    with psycopg.connect(stack.document["database"], autocommit=True) as connection:
        enroll_columns(connection, lambda: pieces(fleet))
    stack.wait_known()
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps({"events": EVENTS}))
    start = time.time() - SECONDS
    boot = int(start) - 500_000  # no other run on this stack has it
    scenario = read([str(path)], fleet, start, SECONDS)
    city = City(fleet, start=start, boot=boot, shares=Shares(0.0, 0.0, 0.0), scenario=scenario)
    sent = list(city.each(city.until(start + SECONDS)))
    with stack.gateway() as gateway:
        for message in sent:
            gateway.publish(message.topic, message.payload)
        gateway.settle()
    kinds = Counter(message.kind for message in sent)
    assert min(kinds[kind] for kind in (Kind.FLOOD, Kind.SPOOFED, Kind.GARBAGE, Kind.RENAMED)) > 0
    check_flood(stack, sent)
    check_spoof(stack, sent)
    check_garbage(stack, sent)
    check_firmware(stack, sent)


def of(sent: list[Message], kind: Kind) -> list[Message]:
    """The messages of a kind, which a scenario of one device each gives."""
    return [message for message in sent if message.kind is kind]


def check_flood(stack: RunningStack, sent: list[Message]) -> None:
    """Every one is right, so every one is stored."""
    flood = of(sent, Kind.FLOOD)
    stored = "select count(*) from city.noise where device = %s and time >= to_timestamp(%s)"
    own = [message for message in sent if message.device == flood[0].device]
    stack.wait_for(stored, flood[0].device, own[0].time / 1000 - 1, until=lambda count: count >= len(own))
    assert len(own) > len(flood)


def check_spoof(stack: RunningStack, sent: list[Message]) -> None:
    """A gateway may speak for any device, so what it says under another's name is stored under that name."""
    spoofed = of(sent, Kind.SPOOFED)
    stored = "select count(*) from city.air_quality where device = %s and pm25 = 5000"
    stack.wait_for(stored, spoofed[0].device, until=lambda count: count >= len(spoofed))


def check_garbage(stack: RunningStack, sent: list[Message]) -> None:
    """Nothing can be made of it: kept with the reason."""
    garbage = of(sent, Kind.GARBAGE)
    kept = "select count(*) from city.quarantine where topic = %s"
    stack.wait_for(kept, garbage[0].topic, until=lambda count: count >= len(garbage))
    reasons = stack.query("select distinct reason from city.quarantine where topic = %s", garbage[0].topic)
    assert reasons == [("invalid_utf8",)]


def check_firmware(stack: RunningStack, sent: list[Message]) -> None:
    """The reading is stored without the metric, the unknown field is kept beside it."""
    renamed = of(sent, Kind.RENAMED)[-1]
    found = "select count(*) from city.weather where device = %s and seq = %s and time = to_timestamp(%s)"
    stack.wait_for(found, renamed.device, renamed.seq, renamed.time / 1000)
    ((temperature, extra),) = stack.query(
        "select temperature, extra from city.weather where device = %s and seq = %s and time = to_timestamp(%s)",
        renamed.device,
        renamed.seq,
        renamed.time / 1000,
    )
    assert temperature is None
    assert "temperature_value" in json.dumps(extra)
