"""Tasmota, zigbee2mqtt, Shelly and OpenDataCam: messages as these systems send them, and what they become."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.envelopes import Notice, Opened, Opener, Packet, opener_of
from devices.laws import stated_metrics
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES

FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads"))
published = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no published messages in {FOLDER} (DOTHI_PAYLOADS names it)"
)
quick = settings(database=None, deadline=None, max_examples=150)
SYSTEMS = ("tasmota", "zigbee", "shelly", "shelly1", "opendatacam")


def message(document: object) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def opened(system: str, topic: str, document: object) -> Opened:
    return opener_of(ROUTES[system])(topic, message(document))


def packet(system: str, topic: str, document: object) -> Packet:
    (part,) = opened(system, topic, document)
    assert isinstance(part, Packet), part
    return part


def notice(system: str, topic: str, document: object) -> Notice:
    (part,) = opened(system, topic, document)
    assert isinstance(part, Notice), part
    return part


def metrics(part: Packet, profile: str) -> dict[str, float | str]:
    (result,) = PROFILES[profile].map(part.document, part.payload)
    assert isinstance(result, Reading), result
    return stated_metrics(PROFILES[profile], result)


# --- Tasmota ---------------------------------------------------------------------------------------------------------

ENERGY = {"Time": "2026-01-01T07:00:00", "ENERGY": {"Total": 3.185, "Power": 12, "Voltage": 230, "Current": 0.05}}


@pytest.mark.parametrize(
    ("topic", "device"),
    [
        ("tele/plug/SENSOR", "plug"),
        ("tele/house 1/floor/plug/SENSOR", "house 1/floor/plug"),
        ("stat/plug/STATUS8", "plug"),
        ("plug/tele/SENSOR", "plug"),
        ("house/plug/tele/SENSOR", "house/plug"),
    ],
)
def test_tasmota_device_is_between_prefix_and_kind(topic: str, device: str) -> None:
    document = {"StatusSNS": ENERGY} if topic.endswith("STATUS8") else ENERGY
    part = packet("tasmota", topic, document)
    assert part.foreign_id == device
    assert metrics(part, "tasmota-plug") == {
        "total_active_energy_import": 3.185,
        "active_power": 12,
        "voltage": 230,
        "current": 0.05,
    }


@pytest.mark.parametrize("topic", ["tele/SENSOR", "cmnd/plug/POWER", "x"])
def test_tasmota_topic_without_a_prefix_is_told(topic: str) -> None:
    part = packet("tasmota", topic, ENERGY)
    assert isinstance(part.document, Rejected)
    assert "FullTopic" in part.document.detail


@pytest.mark.parametrize(
    ("topic", "payload", "kind"),
    [
        ("tele/plug/LWT", b"Online", "online"),
        ("tele/plug/LWT", b"Offline", "offline"),
        ("tele/plug/LWT", b"?", "other"),
        ("stat/plug/POWER", b"ON", "other"),
        ("stat/plug/POWER2", b"OFF", "other"),
        ("tele/plug/INFO1", b'{"Info1":{"Module":"Sonoff"}}', "other"),
        ("tele/plug/STATE", b'{"Time":"2026-01-01T07:00:00","Uptime":"1T02:03:04","Vcc":3.4}', "other"),
        ("stat/plug/STATUS", b'{"Status":{"Module":1,"Power":1}}', "other"),
        ("stat/plug/RESULT", b'{"TelePeriod":300}', "other"),
        ("tele/plug/SENSOR", b'{"Time":"2026-01-01T07:00:00"}', "other"),
    ],
)
def test_tasmota_says_something_of_itself(topic: str, payload: bytes, kind: str) -> None:
    found = notice("tasmota", topic, payload)
    assert (found.foreign_id, found.kind) == ("plug", kind)


def test_tasmota_relay_of_a_plug_is_a_reading_of_a_sensor_a_notice() -> None:
    opener = opener_of(ROUTES["tasmota"])
    state = message({"Time": "2026-01-01T07:00:00", "POWER": "ON"})
    assert isinstance(opener("tele/plug/STATE", state)[0], Packet)
    opener("tele/room/SENSOR", message({"Time": "2026-01-01T07:00:00", "AM2301": {"Temperature": 21}}))
    assert isinstance(opener("tele/room/STATE", state)[0], Notice)
    assert isinstance(opener("tele/plug/STATE", state)[0], Packet)


def test_tasmota_phases_are_summed_and_kept() -> None:
    document = {
        "Time": "2026-01-01T07:00:00",
        "ENERGY": {"Total": [1, 2, 3], "Power": [1, -2, 3], "Voltage": [229, 230, 231]},
    }
    part = packet("tasmota", "tele/m/SENSOR", document)
    assert metrics(part, "tasmota-plug") == {"total_active_energy_import": 6, "active_power": 2, "voltage": 229}
    assert isinstance(part.document, dict)
    assert part.document["phases"]["Power"] == [1, -2, 3]


def test_tasmota_zigbee_bridge_names_its_devices() -> None:
    document = {
        "ZbReceived": {"0x099F": {"Device": "0x099F", "Name": "cold room", "Humidity": 71.63, "LinkQuality": 9}}
    }
    part = packet("tasmota", "tele/bridge/SENSOR", document)
    assert part.foreign_id == "bridge/cold room"
    assert metrics(part, "tasmota-climate") == {"relative_humidity": pytest.approx(0.7163)}


def test_tasmota_chip_temperature_is_not_the_rooms() -> None:
    document = {
        "Time": "2026-01-01T07:00:00",
        "ESP32": {"Temperature": 53.3},
        "DS18B20": {"Temperature": 21.5},
        "TempUnit": "C",
    }
    assert metrics(packet("tasmota", "tele/r/SENSOR", document), "tasmota-climate") == {"temperature": 21.5}


# --- zigbee2mqtt -----------------------------------------------------------------------------------------------------

DEVICES = [
    {"ieee_address": "0x00124b00226f1ba4", "type": "Coordinator", "friendly_name": "Coordinator", "definition": None},
    {
        "ieee_address": "0x00158d0001dc126a",
        "friendly_name": "school/room 5",
        "definition": {
            "model": "WSDCGQ11LM",
            "vendor": "Aqara",
            "exposes": [
                {"type": "numeric", "property": "temperature", "unit": "°F"},
                {"type": "numeric", "property": "humidity", "unit": "%"},
                {"type": "climate", "features": [{"property": "local_temperature", "unit": "°C"}]},
            ],
        },
    },
]


def test_zigbee_units_come_from_the_bridge_once_it_has_told_them() -> None:
    opener: Opener = opener_of(ROUTES["zigbee"])
    state = message({"temperature": 50, "humidity": 44})
    (before,) = opener("zigbee2mqtt/school/room 5", state)
    assert isinstance(opener("zigbee2mqtt/bridge/devices", message(DEVICES))[0], Notice)
    (after,) = opener("zigbee2mqtt/school/room 5", state)
    assert isinstance(before, Packet)
    assert isinstance(after, Packet)
    assert before.foreign_id == after.foreign_id == "school/room 5"
    assert metrics(before, "zigbee-climate")["temperature"] == 50
    assert metrics(after, "zigbee-climate")["temperature"] == pytest.approx(10)
    assert isinstance(after.document, dict)
    assert after.document["model"] == "Aqara/WSDCGQ11LM"


def test_zigbee_address_in_the_message_names_the_device() -> None:
    document = {
        "contact": True,
        "device": {"ieeeAddr": "0x00158d0001dc126a", "friendlyName": "door", "model": "MCCGQ11LM"},
    }
    part = packet("zigbee", "zigbee2mqtt/door", document)
    assert part.foreign_id == "0x00158d0001dc126a"
    assert metrics(part, "zigbee-contact") == {"contact": "closed"}


@pytest.mark.parametrize(
    ("topic", "payload", "device", "kind"),
    [
        ("zigbee2mqtt/room/availability", b"online", "room", "online"),
        ("zigbee2mqtt/school/room 5/availability", b'{"state":"offline"}', "school/room 5", "offline"),
        ("zigbee2mqtt/bridge/state", b'{"state":"online"}', None, "online"),
        ("zigbee2mqtt/bridge/state", b"offline", None, "offline"),
        ("zigbee2mqtt/bridge/logging", b'{"level":"info","message":"x"}', None, "other"),
        ("zigbee2mqtt/bridge/devices", b"\xff", None, "other"),
        ("zigbee2mqtt/room/set", b'{"state":"ON"}', "room/set", "other"),
        ("zigbee2mqtt/room/set/state", b"ON", "room/set/state", "other"),
        ("zigbee2mqtt/room", b"", "room", "other"),
    ],
)
def test_zigbee_notices(topic: str, payload: bytes, device: str | None, kind: str) -> None:
    found = notice("zigbee", topic, payload)
    assert (found.foreign_id, found.kind) == (device, kind)


@pytest.mark.parametrize(("payload", "value"), [(b"21.5", 21.5), (b'"21.5"', None), (b"warm", None)])
def test_zigbee_one_attribute_a_topic(payload: bytes, value: float | None) -> None:
    part = packet("zigbee", "zigbee2mqtt/room/temperature", payload)
    assert part.foreign_id == "room"
    (result,) = PROFILES["zigbee-climate"].map(part.document, part.payload)
    assert (result.reason == Reason.WRONG_TYPE) if isinstance(result, Rejected) else result.values[0] == value


def test_zigbee_repeated_state_is_one_reading() -> None:
    state = {"temperature": 21.5, "last_seen": 1767225600000}
    first, again = (packet("zigbee", "zigbee2mqtt/room", state) for _ in range(2))
    results = [PROFILES["zigbee-climate"].map(part.document, part.payload)[0] for part in (first, again)]
    assert len({(result.time, result.seq) for result in results if isinstance(result, Reading)}) == 1


def test_zigbee_remembers_a_bounded_number_of_devices() -> None:
    from devices.envelopes.zigbee import MAX_DEVICES, MAX_UNITS, known_devices

    exposes = [{"property": f"p{n}", "unit": "V"} for n in range(200)]
    listed = [
        {"friendly_name": f"d{n}", "definition": {"exposes": exposes if n < 2 else None}}
        for n in range(MAX_DEVICES + 5)
    ]
    known = known_devices(listed)
    assert len(known) == MAX_DEVICES
    assert len(known["d0"].units) == MAX_UNITS


# --- Shelly ----------------------------------------------------------------------------------------------------------


@published
@pytest.mark.parametrize(
    ("file", "topic", "device", "profile", "values"),
    [
        (
            "shelly2pmg3-Shelly.GetStatus.json",
            "shelly2pmg3-1/status/switch:0",
            "shelly2pmg3-1",
            "shelly-gen3",
            {
                "total_active_energy_import": 0.314614,
                "active_power": 0,
                "voltage": 219.2,
                "current": 0,
                "frequency": 50,
                "power_factor": 0,
                "temperature": 52,
            },
        ),
        (
            "shellyblugatewaygen3-Shelly.GetStatus.json",
            "shellyblugwg3-1/rpc",
            "shellyblugwg3-1/blutrv:200",
            "shelly-climate",
            {"temperature": 21, "battery_level": 1},
        ),
        (
            "shellyblugatewaygen3-blutrv_200.json",
            "shellyblugwg3-1/status/blutrv:200",
            "shellyblugwg3-1/blutrv:200",
            "shelly-climate",
            {"temperature": 21, "battery_level": 1},
        ),
        ("shellymini1gen4-input_0.json", "s/status/input:0", "s/input:0", "shelly-input", {"switch": "off"}),
        ("shelly2pmg3-input_0.json", "s/status/input:0", "s", None, {}),
        ("shelly2pmg3-input_1.json", "s/status/input:1", "s", None, {}),
    ],
)
def test_shelly_published(file: str, topic: str, device: str, profile: str | None, values: dict[str, Any]) -> None:
    (part,) = opened("shelly", topic, (FOLDER / "shelly" / file).read_bytes())
    assert part.foreign_id == device
    if profile is None:  # a push button has no state: there is nothing to store
        assert isinstance(part, Notice)
        return
    assert isinstance(part, Packet)
    assert metrics(part, profile) == pytest.approx(values)


def test_shelly_channels_are_devices() -> None:
    parts = opened(
        "shelly",
        "pro/events/rpc",
        {
            "src": "pro",
            "method": "NotifyStatus",
            "params": {
                "ts": 1767225600.5,
                "em1:0": {"id": 0, "act_power": 5},
                "em1data:0": {"id": 0, "total_act_energy": 1000},
                "em1:1": {"id": 1, "act_power": -7},
                "em1data:1": {"id": 1, "total_act_energy": 3000},
                "temperature:100": {"id": 100, "tC": -4.5},
                "input:0": {"id": 0, "state": True},
                "input:1": {"id": 1, "state": None},
                "script:1": {"id": 1, "running": True},
                "wifi": {"rssi": -50},
            },
        },
    )
    found = {part.foreign_id: part for part in parts if isinstance(part, Packet)}
    assert set(found) == {"pro", "pro/em1:1", "pro/temperature:100", "pro/input:0"}
    assert metrics(found["pro"], "shelly-gen3") == {"total_active_energy_import": 1, "active_power": 5}
    assert metrics(found["pro/em1:1"], "shelly-gen3") == {"total_active_energy_import": 3, "active_power": -7}
    assert metrics(found["pro/temperature:100"], "shelly-climate") == {"temperature": -4.5}
    assert metrics(found["pro/input:0"], "shelly-input") == {"switch": "on"}
    times = {profile_time(part, "shelly-gen3") for name, part in found.items() if name in ("pro", "pro/em1:1")}
    assert times == {1767225600500000}


def profile_time(part: Packet, profile: str) -> int | None:
    (result,) = PROFILES[profile].map(part.document, part.payload)
    assert isinstance(result, Reading)
    return result.time


@pytest.mark.parametrize(
    ("topic", "payload", "kind"),
    [
        ("s/online", b"true", "online"),
        ("s/online", b"false", "offline"),
        ("s/online", b"maybe", "other"),
        ("s/status/wifi", b'{"rssi": -50, "ssid": "x"}', "other"),
        ("s/status/sys", b'{"uptime": 5}', "other"),
        ("s/status/cloud", b'{"connected": false}', "other"),
        ("s/status/mqtt", b'{"connected": true}', "other"),
        ("s/status/script:1", b'{"id": 1, "running": true}', "other"),
        (
            "s/events/rpc",
            b'{"src":"s","method":"NotifyEvent","params":{"ts":1,"events":[{"event":"single_push"}]}}',
            "other",
        ),
        ("s/events/rpc", b'{"src":"s","method":"NotifyStatus","params":{"ts":1,"mqtt":{"connected":true}}}', "other"),
        ("a/rpc", b'{"id":1,"src":"s","error":{"code":404,"message":"No handler"}}', "other"),
    ],
)
def test_shelly_says_something_of_itself(topic: str, payload: bytes, kind: str) -> None:
    found = notice("shelly", topic, payload)
    assert (found.foreign_id, found.kind) == ("s", kind)


def test_shelly_answer_is_named_by_who_answers() -> None:
    document = {"id": 1, "src": "shellyplug-1", "dst": "asker", "result": {"switch:0": {"id": 0, "apower": 3.5}}}
    part = packet("shelly", "asker/rpc", document)
    assert part.foreign_id == "shellyplug-1"
    assert metrics(part, "shelly-gen3") == {"active_power": 3.5}


def test_shelly_behind_a_topic_prefix() -> None:
    assert packet("shelly", "city/lamps/l-7/status/light:0", {"id": 0, "brightness": 5}).foreign_id == "city/lamps/l-7"


@pytest.mark.parametrize(
    ("topic", "text", "device", "values"),
    [
        ("shellies/pm/relay/0/power", b"41.27", "pm", {"active_power": 41.27}),
        ("shellies/pm/relay/1/power", b"3", "pm/relay:1", {"active_power": 3}),
        ("shellies/pm/relay/0", b"on", "pm", {"relay": "on"}),
        ("shellies/em/emeter/2/total_returned", b"4500", "em/emeter:2", {"total_active_energy_export": 4.5}),
        ("shellies/pm/temperature", b"-3.5", "pm", {"temperature": -3.5}),
        ("shellies/new/status/switch:0", b'{"id":0,"apower":5}', "new", None),
    ],
)
def test_shelly_first_generation(topic: str, text: bytes, device: str, values: dict[str, Any] | None) -> None:
    part = packet("shelly1", topic, text)
    assert part.foreign_id == device
    assert values is None or metrics(part, "shelly-gen1-meter") == pytest.approx(values)


@pytest.mark.parametrize(
    ("topic", "text", "kind"),
    [
        ("shellies/pm/online", b"true", "online"),
        ("shellies/pm/online", b"false", "offline"),
        ("shellies/pm/announce", b'{"id":"pm","model":"SHSW-PM"}', "other"),
        ("shellies/announce", b"{}", "other"),
        ("shellies/pm/relay/0/command", b"on", "other"),
        ("shellies/pm/temperature_f", b"98.6", "other"),
        ("shellies/pm/overtemperature", b"0", "other"),
    ],
)
def test_shelly_first_generation_says_something_of_itself(topic: str, text: bytes, kind: str) -> None:
    assert notice("shelly1", topic, text).kind == kind


# --- OpenDataCam -----------------------------------------------------------------------------------------------------


@published
def test_opendatacam_published_status() -> None:
    part = packet("opendatacam", "opendatacam/cam-1/status", (FOLDER / "opendatacam/get-status.json").read_bytes())
    assert part.foreign_id == "cam-1/22d35d27-7d73-4f54-a99c-a3391f5c1c46"
    assert metrics(part, "opendatacam-line") == {"total_count": 4}


@published
def test_opendatacam_published_counter_lacks_a_comma() -> None:
    payload = (FOLDER / "opendatacam/get-recording-id-counter.json").read_bytes()
    part = packet("opendatacam", "opendatacam/cam-1/counter", payload)
    assert isinstance(part.document, Rejected)
    assert part.document.reason == Reason.MALFORMED
    assert "line 50, column 21" in part.document.detail
    mended = packet(
        "opendatacam",
        "opendatacam/cam-1/counter",
        payload.replace(b'"id": 1021\n', b'"id": 1021,\n').replace(
            b"                ]\n            }\n", b"                ]\n            ]}\n"
        ),
    )
    assert metrics(mended, "opendatacam-line") == pytest.approx(
        {"intensity": 111, "period_s": 156.373, "cars": 111, "total_count": 111}
    )


# --- all of them -----------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *("ENERGY", "Power", "Time", "StatusSNS", "ZbReceived", "Temperature", "AM2301", "Name", "device", "ieeeAddr"),
        *("switch:0", "em1:1", "em1data:1", "input:0", "params", "result", "src", "method", "sys", "id", "errors"),
        *("counterSummary", "areas", "appState", "recordingStatus", "_total", "definition", "exposes", "state"),
    ]
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5),
    max_leaves=25,
)
TOPICS = st.sampled_from(
    [
        *(
            "tele/a/SENSOR",
            "stat/a/RESULT",
            "tele/a/LWT",
            "tele//",
            "zigbee2mqtt/a",
            "zigbee2mqtt/bridge/devices",
            "zigbee2mqtt",
        ),
        *(
            "zigbee2mqtt/a/availability",
            "a/events/rpc",
            "a/status/switch:0",
            "/status/x",
            "opendatacam/c/s",
            "opendatacam",
            "",
        ),
    ]
)


@pytest.mark.parametrize("system", SYSTEMS)
@quick
@given(topic=TOPICS | st.text(max_size=30), payload=DOCUMENTS.map(message) | st.binary(max_size=60))
def test_any_message_is_opened_and_read(system: str, topic: str, payload: bytes) -> None:
    profiles = [profile for profile in PROFILES.values() if profile.route == system]
    for part in opened(system, topic, payload):
        assert part.foreign_id is None or part.foreign_id
        if isinstance(part, Packet):
            assert isinstance(part.payload, bytes)
            for profile in profiles:
                assert profile.map(part.document, part.payload)
        else:
            assert part.detail


@pytest.mark.parametrize(
    ("system", "topic", "payload"),
    [
        ("shelly", "s/events/rpc", message({"params": {f"switch:{n}": {"apower": 1} for n in range(9000)}})),
        (
            "shelly",
            "s/events/rpc",
            message({"params": {f"script:{n}": {"id": n} for n in range(9999)} | {"switch:0": {"apower": 1}}}),
        ),
        ("tasmota", "tele/b/SENSOR", message({"ZbReceived": {f"0x{n:04x}": {"Temperature": 1} for n in range(9000)}})),
        ("tasmota", "tele/b/SENSOR", message({f"S{n}": {"Temperature": n} for n in range(9000)})),
        (
            "zigbee",
            "zigbee2mqtt/bridge/devices",
            message([{"friendly_name": str(n), "definition": {}} for n in range(9000)]),
        ),
        ("opendatacam", "opendatacam/c/s", message([{"counterSummary": {str(n): {"_total": n} for n in range(9000)}}])),
        ("ngsi", "ngsi/x", b"[" + b"{}," * 150_000 + b"{}]"),
        (
            "ngsi",
            "ngsi/x",
            message({"id": "a", "type": "T", "x": [{"value": n, "observedAt": "2026"} for n in range(9000)]}),
        ),
        ("ngsi", "ngsi/x", message({"id": "2016-11-30T07:00:00Z" * 19, "type": "Device", "value": " =" * 9000})),
        (
            "circular10",
            "circular10/s",
            b"\n".join(b"PM10 %d ug/m3 2026010107%02d%02d 00" % (n, n // 60 % 60, n % 60) for n in range(9999)),
        ),
        ("circular10", "circular10/s", (b"a" + b" " * 398 + b"b\n") * 1300),
        ("circular10", "circular10/s", b"1 " * 250_000),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_no_message_takes_long(system: str, topic: str, payload: bytes) -> None:
    """Half a megabyte of a message's worst part: less than a second, where squares of it would take minutes."""
    for part in opened(system, topic, payload):
        if isinstance(part, Packet):
            profile = next(profile for profile in PROFILES.values() if profile.route == system)
            profile.map(part.document, part.payload)
