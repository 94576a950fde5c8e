"""Uplinks of every LoRaWAN server through broker, ingest and database: stored once, however often they are told."""

import copy
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.stack import RunningStack
from tests.test_envelopes_lorawan import CHIRPSTACK, CHIRPSTACK_3, LORIOT, THINGPARK, TTN, changed

Shape = Callable[[str, datetime], dict[str, Any]]


def rfc3339(moment: datetime) -> str:
    """As servers write it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_ttn(eui: str, at: datetime) -> dict[str, Any]:
    """An uplink as The Things Stack tells it."""
    made = changed(TTN, end_device_ids={"device_id": "room", "dev_eui": eui.upper()})
    return changed(made, "uplink_message", received_at=rfc3339(at))


def of_chirpstack(eui: str, at: datetime) -> dict[str, Any]:
    """An uplink as ChirpStack v4 tells it."""
    return changed(changed(CHIRPSTACK, time=rfc3339(at)), "deviceInfo", devEui=eui)


def of_chirpstack_3(eui: str, at: datetime) -> dict[str, Any]:
    """An uplink as ChirpStack v3 tells it."""
    return changed(CHIRPSTACK_3, time=rfc3339(at), devEUI=eui)


def of_loriot(eui: str, at: datetime) -> dict[str, Any]:
    """An uplink as LORIOT tells it."""
    return changed(LORIOT, EUI=eui.upper(), ts=round(at.timestamp() * 1000))


def of_thingpark(eui: str, at: datetime) -> dict[str, Any]:
    """An uplink as ThingPark tells it."""
    return changed(THINGPARK, "DevEUI_uplink", DevEUI=eui.upper(), Time=rfc3339(at))


SERVERS: dict[str, tuple[str, str, Shape]] = {
    "00000000000000a1": ("ttn", "v3/rooms@ttn/devices/room/up", of_ttn),
    "00000000000000a2": ("chirpstack", "application/7/device/00000000000000a2/event/up", of_chirpstack),
    "00000000000000a3": ("chirpstack", "application/7/device/00000000000000a3/event/up", of_chirpstack_3),
    "00000000000000a4": ("loriot", "loriot/rooms", of_loriot),
    "00000000000000a5": ("thingpark", "thingpark/rooms", of_thingpark),
    "00000000000000a6": ("lorawan", "lorawan/status/gateway-7", of_chirpstack),
}


@pytest.fixture(scope="module")
def rooms(stack: RunningStack) -> dict[str, str]:
    """A room sensor at every server: EUI → device."""
    devices = [(f"room-{eui[-2:]}", "lorawan-indoor", "213", f"lorawan:{eui.upper()}") for eui in SERVERS]
    return dict(zip(SERVERS, stack.enroll_many(devices), strict=True))


def ledger(stack: RunningStack, inbox: str) -> tuple[int, int, int, int]:
    """Received, stored, duplicate, quarantined of an inbox."""
    (row,) = stack.query(
        "select coalesce(sum(received), 0)::int, coalesce(sum(stored), 0)::int, coalesce(sum(duplicate), 0)::int,"
        " coalesce(sum(quarantined), 0)::int from city.ledger where inbox = %s",
        inbox,
    )
    return row  # type: ignore[return-value]  # four columns are asked for


def gained(stack: RunningStack, inbox: str, before: tuple[int, int, int, int], received: int) -> tuple[int, ...]:
    """What the ledger gained since, once it has so many more."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = tuple(now - then for now, then in zip(ledger(stack, inbox), before, strict=True))
        if found[0] >= received:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{inbox} received {ledger(stack, inbox)} after {before}; {received} more were sent")


@pytest.mark.parametrize("eui", SERVERS)
def test_an_uplink_is_stored_with_its_values(stack: RunningStack, rooms: dict[str, str], eui: str) -> None:
    inbox, topic, shape = SERVERS[eui]
    at, before = datetime.now(UTC).replace(microsecond=250_000), ledger(stack, inbox)
    stack.publish(topic, shape(eui, at))
    assert gained(stack, inbox, before, 1) == (1, 1, 0, 0)
    ((when, seq, temperature, humidity, extra),) = stack.query(
        "select time, seq, temperature, relative_humidity, extra from city.classroom where device = %s and time > %s",
        rooms[eui],
        at - timedelta(seconds=1),
    )
    assert abs(when - at) < timedelta(milliseconds=1)
    assert (seq, temperature, humidity) == (26, 28, 0.545)
    assert (extra["port"], extra["radio"]["rssi"]) == (85, -35)


@pytest.mark.parametrize("eui", SERVERS)
def test_an_uplink_told_again_is_a_duplicate(stack: RunningStack, rooms: dict[str, str], eui: str) -> None:
    inbox, topic, shape = SERVERS[eui]
    at, before = datetime.now(UTC) - timedelta(minutes=1), ledger(stack, inbox)
    first = shape(eui, at)
    stack.publish(topic, first, first)
    assert gained(stack, inbox, before, 2) == (2, 1, 1, 0)


def other_gateway(message: dict[str, Any]) -> dict[str, Any]:
    """The same uplink, heard by another gateway too."""
    told = json.dumps(copy.deepcopy(message)).replace("-35", "-71")
    return json.loads(told)  # type: ignore[no-any-return]  # an object as before


@pytest.mark.parametrize("eui", SERVERS)
def test_an_uplink_through_two_gateways_is_stored_once(stack: RunningStack, rooms: dict[str, str], eui: str) -> None:
    inbox, topic, shape = SERVERS[eui]
    at, before = datetime.now(UTC) - timedelta(minutes=2), ledger(stack, inbox)
    message = shape(eui, at)
    again = other_gateway(message)
    if inbox == "loriot":
        again = changed(again, cmd="gw", rssi=None, snr=None, gws=[{"rssi": -71, "snr": 2, "gweui": eui}])
    assert again != message
    stack.publish(topic, message)
    stack.publish(topic, again)
    assert gained(stack, inbox, before, 2) == (2, 1, 1, 0)


def test_other_values_under_the_same_counter_and_time_are_a_conflict(
    stack: RunningStack, rooms: dict[str, str]
) -> None:
    eui = "00000000000000a2"
    inbox, topic, shape = SERVERS[eui]
    at, before = datetime.now(UTC) - timedelta(minutes=3), ledger(stack, inbox)
    message = shape(eui, at)
    stack.publish(topic, message, changed(message, object={"temperature": 29}))
    assert gained(stack, inbox, before, 2) == (2, 1, 0, 1)


def test_a_device_that_joined_again_counts_from_nought(stack: RunningStack, rooms: dict[str, str]) -> None:
    eui = "00000000000000a2"
    inbox, topic, shape = SERVERS[eui]
    at, before = datetime.now(UTC) - timedelta(minutes=4), ledger(stack, inbox)
    stack.publish(topic, shape(eui, at), shape(eui, at + timedelta(seconds=20)))
    assert gained(stack, inbox, before, 2) == (2, 2, 0, 0)


def test_a_codec_error_is_an_event_and_no_reading(stack: RunningStack, rooms: dict[str, str]) -> None:
    eui = "00000000000000a2"
    before = ledger(stack, "chirpstack")
    said = {"deviceInfo": {"devEui": eui}, "level": "ERROR", "code": "UPLINK_CODEC", "description": "JS error: port"}
    joined = {"deviceInfo": {"devEui": eui}, "devAddr": "00bcb929"}
    stack.publish(f"application/7/device/{eui}/event/log", said, said)
    stack.publish(f"application/7/device/{eui}/event/join", joined)
    message = stack.wait_for(
        "select max(message) from city.event where device = %s and kind = 'codec_error'", rooms[eui]
    )
    assert "UPLINK_CODEC: JS error: port" in message
    stack.publish(SERVERS[eui][1], SERVERS[eui][2](eui, datetime.now(UTC) - timedelta(minutes=5)))
    assert gained(stack, "chirpstack", before, 1) == (1, 1, 0, 0)
    assert stack.query("select count(*) from city.event where device = %s", rooms[eui]) == [(1,)]


def test_a_topic_of_two_routes_is_stored_once(stack: RunningStack, rooms: dict[str, str]) -> None:
    eui = "00000000000000a6"
    _, topic, shape = SERVERS[eui]
    others, before = ledger(stack, "shelly"), ledger(stack, "lorawan")
    stack.publish(topic, shape(eui, datetime.now(UTC) - timedelta(minutes=6)))
    assert gained(stack, "lorawan", before, 1) == (1, 1, 0, 0)
    assert ledger(stack, "shelly") == others


@pytest.mark.full
@pytest.mark.parametrize("eui", ["00000000000000a1", "00000000000000a4"])
def test_a_message_can_be_tried(stack: RunningStack, tmp_path: Path, eui: str) -> None:
    file = tmp_path / "message.json"
    file.write_text(json.dumps(SERVERS[eui][2](f"00000000000000e{eui[-1]}", datetime.now(UTC))))
    tried = stack.dothi("devices", "try", str(file), "--profile", "lorawan-indoor", "--json")
    said = json.loads(tried.stdout)
    assert (said["stored"], said["temperature"], said["seq"]) == (True, 28, 26)


def test_trying_what_carries_no_reading_says_so(stack: RunningStack, tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_text(json.dumps({"cmd": "txd", "EUI": "00000000000000e9"}))
    tried = stack.dothi("devices", "try", str(file), "--profile", "lorawan-indoor", check=False)
    assert tried.returncode == 1
    assert "carries no reading" in tried.stderr


def test_a_stranger_is_quarantined_with_the_alias_to_enrol(stack: RunningStack, rooms: dict[str, str]) -> None:
    message = of_ttn("00000000000000FF", datetime.now(UTC))
    stack.publish("v3/rooms@ttn/devices/other/up", message)
    detail = stack.wait_for("select max(detail) from city.quarantine where device = '00000000000000ff'")
    assert "lorawan:00000000000000ff" in detail
