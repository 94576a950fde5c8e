"""LoRaWAN network servers: what each sends, by its documentation, becomes one document; the rest says why not."""

import copy
import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.envelopes import Notice, Packet, opener_of
from devices.envelopes.lorawan import from_base64, from_hex, normal_eui
from devices.mapping import read_seq
from devices.native import WAY
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import ROUTES, exactness, overlap, rivals_of, route_of
from tests.enrolment import check_file
from tests.test_payloads import FOLDER

EUI = "70b3d57ba000156b"
FRAME = bytes.fromhex("0175640367180104686d")
ROOM = PROFILES["lorawan-indoor"]
SYSTEMS = {
    **{"ttn-v3": "ttn", "tti-v3": "ttn", "chirpstack-v4": "chirpstack", "lorawan-http": "chirpstack"},
    **{"loriot": "loriot", "thingpark": "thingpark", "thingpark-enterprise": "thingpark"},
}
TOPIC = {
    "ttn": "v3/rooms@ttn/devices/eui-70b3d57ba000156b/up",
    "chirpstack": f"application/7/device/{EUI}/event/up",
    "loriot": "loriot/app",
    "thingpark": "thingpark/app",
    "lorawan": "lorawan/gateway",
}

TTN: dict[str, Any] = {
    "end_device_ids": {"device_id": "room-1", "dev_eui": "70B3D57BA000156B", "dev_addr": "00BCB929"},
    "correlation_ids": ["as:up:01"],
    "received_at": "2026-01-01T00:00:01Z",
    "uplink_message": {
        "session_key_id": "AXA50tHUQ4VP",
        "f_port": 85,
        "f_cnt": 26,
        "frm_payload": b64encode(FRAME).decode(),
        "decoded_payload": {"temperature": 28, "humidity": 54.5},
        "rx_metadata": [
            {"gateway_ids": {"gateway_id": "far"}, "rssi": -110, "snr": -4.2},
            {"gateway_ids": {"gateway_id": "near", "eui": "6A7E111A10000000"}, "rssi": -35, "snr": 9.5},
            {"gateway_ids": {"gateway_id": "packetbroker"}},
        ],
        "settings": {
            "data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7}},
            "frequency": "868300000",
            "time": "1980-01-06T00:00:00Z",
        },
        "received_at": "2026-01-01T00:00:00.123456789Z",
        "version_ids": {"brand_id": "milesight-iot", "model_id": "am102"},
        "locations": {"user": {"latitude": 21.28, "longitude": 106.2, "source": "SOURCE_REGISTRY"}},
    },
}
CHIRPSTACK: dict[str, Any] = {
    "deduplicationId": "57433366-50a6-4dc2-8145-2df1bbc70d9e",
    "time": "2026-01-01T00:00:00.123456+00:00",
    "deviceInfo": {"deviceProfileName": "Milesight AM102", "deviceName": "room-1", "devEui": EUI, "tags": {"a": "b"}},
    "devAddr": "00bcb929",
    "fCnt": 26,
    "fPort": 85,
    "data": b64encode(FRAME).decode(),
    "object": {"temperature": 28, "humidity": 54.5},
    "rxInfo": [
        {"gatewayId": "1111111111111111", "rssi": -110, "snr": -4.2},
        {"gatewayId": "6a7e111a10000000", "rssi": -35, "snr": 9.5},
    ],
    "txInfo": {"frequency": 868300000, "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 7}}},
}
CHIRPSTACK_3: dict[str, Any] = {
    "applicationID": "7",
    "applicationName": "rooms",
    "deviceName": "room-1",
    "deviceProfileName": "AM102",
    "devEUI": "cLPVe6AAFWs=",
    "rxInfo": [{"gatewayID": "an4RGhAAAAA=", "time": "2026-01-01T00:00:00.123456Z", "rssi": -35, "loRaSNR": 9.5}],
    "txInfo": {"frequency": 868300000, "loRaModulationInfo": {"bandwidth": 125, "spreadingFactor": 7}},
    "fCnt": 26,
    "fPort": 85,
    "data": b64encode(FRAME).decode(),
    "objectJSON": '{"temperature": 28, "humidity": 54.5}',
    "tags": {"floor": "2"},
}
LORIOT: dict[str, Any] = {
    "cmd": "rx",
    "EUI": "70-B3-D5-7B-A0-00-15-6B",
    "ts": 1767225600123,
    "fcnt": 26,
    "port": 85,
    "freq": 868300000,
    "rssi": -35,
    "snr": 9.5,
    "dr": "SF7 BW125 4/5",
    "bat": 94,
    "data": FRAME.hex(),
    "decoded": {"data": {"temperature": 28, "humidity": 54.5}, "errors": [], "warnings": []},
}
THINGPARK: dict[str, Any] = {
    "DevEUI_uplink": {
        "Time": "2026-01-01T07:00:00.123+07:00",
        "DevEUI": "70B3D57BA000156B",
        "FPort": "85",
        "FCntUp": "26",
        "payload_hex": FRAME.hex(),
        "LrrRSSI": "-35.000000",
        "LrrSNR": "9.500000",
        "SpFact": "7",
        "Frequency": 868.3,
        "Lrrid": "6A7E111A10000000",
        "Late": "0",
        "DriverCfg": {"mod": {"pId": "milesight", "mId": "am102", "ver": "1"}},
        "payload": {"temperature": 28, "humidity": 54.5},
    }
}
MESSAGES = {
    "ttn": TTN,
    "chirpstack": CHIRPSTACK,
    "loriot": LORIOT,
    "thingpark": THINGPARK,
}
EVERY = [*MESSAGES.items(), ("chirpstack", CHIRPSTACK_3)]


def changed(message: dict[str, Any], *keys: str, **fields: object) -> dict[str, Any]:
    """A copy with fields of the object at `keys` changed; None takes one away."""
    made = copy.deepcopy(message)
    inside = made
    for key in keys:
        inside = inside[key]
    inside |= fields
    for name in [name for name, value in fields.items() if value is None]:
        del inside[name]
    return made


def opened(route: str, message: object, topic: str | None = None) -> list[Packet | Notice]:
    """What a route's opener finds in a message."""
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return opener_of(ROUTES[route])(TOPIC[route] if topic is None else topic, payload)


def document(route: str, message: object) -> dict[str, Any]:
    """The document of the one uplink in a message."""
    (packet,) = opened(route, message)
    assert isinstance(packet, Packet)
    assert isinstance(packet.document, dict), packet
    assert packet.foreign_id == packet.document["eui"] == EUI
    return packet.document


def refusal(route: str, message: object) -> Rejected:
    """Why there is no uplink in a message."""
    (packet,) = opened(route, message)
    assert isinstance(packet, Packet)
    assert isinstance(packet.document, Rejected), packet
    return packet.document


def notice(route: str, message: object, topic: str | None = None) -> Notice:
    """The one notice that a message is."""
    (found,) = opened(route, message, topic)
    assert isinstance(found, Notice), found
    return found


@pytest.mark.parametrize(("route", "message"), EVERY)
def test_one_document_for_all_servers(route: str, message: dict[str, Any]) -> None:
    found = document(route, message)
    assert found == document("lorawan", message)
    assert (found["port"], found["count"], found["frame"]) == (85, 26, FRAME)
    assert found["decoded"] == {"temperature": 28, "humidity": 54.5}
    radio = {"rssi": -35, "snr": 9.5, "frequency_hz": 868300000, "spreading_factor": 7, "gateway": "6a7e111a10000000"}
    if message is LORIOT:
        del radio["gateway"]
    assert found["radio"] == radio
    (reading,) = ROOM.read(json.dumps(message).encode(), TOPIC[route])
    assert isinstance(reading, Reading)
    assert reading.time is not None
    assert abs(reading.time - 1767225600123456) < 1000
    assert reading.seq == 26
    assert reading.extra is not None
    assert reading.extra["radio"] == radio
    assert "eui" not in reading.extra


def test_what_people_entered_at_a_server_helps_to_tell_the_device_and_is_not_stored() -> None:
    names = [document(route, message).get("device_name") for route, message in EVERY]
    assert names == ["room-1", "room-1", None, None, "room-1"]
    assert document("chirpstack", CHIRPSTACK)["tags"] == {"a": "b"}
    (reading,) = ROOM.read(json.dumps(CHIRPSTACK).encode(), TOPIC["chirpstack"])
    assert isinstance(reading, Reading)
    assert reading.extra is not None
    assert reading.extra.keys() == {"port", "radio"}


def test_models_are_named_as_the_servers_do() -> None:
    models = [document(route, message).get("model") for route, message in EVERY]
    assert models == ["milesight-iot/am102", "Milesight AM102", None, "milesight/am102", "AM102"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_real_uplinks_open(system: str) -> None:
    files = sorted(path for path in (FOLDER / system).glob("*.json") if not path.name.endswith(".expected.json"))
    if not files:
        pytest.skip(f"no real payloads in {FOLDER}")
    for path in files:
        for route in (SYSTEMS[system], "lorawan"):
            (packet,) = opener_of(ROUTES[route])("", path.read_bytes())
            assert isinstance(packet, Packet)
            assert isinstance(packet.document, dict), (path.name, packet.document)
            assert packet.document["frame"]
            assert isinstance(packet.document["time"], str)
            assert packet.document["radio"]["spreading_factor"]
            assert normal_eui(packet.foreign_id) == packet.foreign_id


# --- The Things Stack


def test_what_the_things_stack_leaves_out_is_zero() -> None:
    found = document("ttn", changed(TTN, "uplink_message", f_port=None, f_cnt=None))
    assert (found["port"], found["count"]) == (0, 0)


def test_a_device_id_with_the_eui_serves() -> None:
    without_eui = changed(TTN, end_device_ids={"device_id": f"eui-{EUI}"})
    assert document("ttn", without_eui)["eui"] == EUI
    (packet,) = opened("ttn", changed(TTN, end_device_ids={"device_id": "room-1"}), "v3/a@t/devices/room-1/up")
    assert isinstance(packet, Packet)
    assert isinstance(packet.document, Rejected)
    assert "names no DevEUI" in packet.document.detail


@pytest.mark.parametrize("empty", [None, ""])
def test_an_uplink_without_payload_is_no_reading_and_no_fault(empty: object) -> None:
    gone = changed(TTN, "uplink_message", frm_payload=empty, decoded_payload=None)
    assert notice("ttn", gone).kind == "other"
    assert notice("chirpstack", changed(CHIRPSTACK, data=empty, object=None)).kind == "other"
    assert notice("chirpstack", changed(CHIRPSTACK_3, data=empty, objectJSON="")).kind == "other"
    assert notice("loriot", changed(LORIOT, data=empty, decoded=None)).kind == "other"
    assert notice("thingpark", changed(THINGPARK, "DevEUI_uplink", payload_hex=empty, payload=None)).kind == "other"


def test_decoded_without_a_frame_is_enough() -> None:
    found = document("ttn", changed(TTN, "uplink_message", frm_payload=None))
    assert "frame" not in found
    assert found["decoded"]["temperature"] == 28


def test_a_simulated_uplink_says_so() -> None:
    (reading,) = ROOM.read(json.dumps(changed(TTN, simulated=True)).encode(), TOPIC["ttn"])
    assert isinstance(reading, Reading)
    assert reading.extra is not None
    server = reading.extra["server"]
    assert isinstance(server, dict)
    assert server["simulated"] is True
    assert server["locations"]["user"]["latitude"] == 21.28


@pytest.mark.parametrize(
    "key",
    [
        *("join_accept", "location_solved", "service_data", "downlink_ack", "downlink_nack", "downlink_sent"),
        *("downlink_failed", "downlink_queued", "downlink_queue_invalidated", "uplink_normalized"),
    ],
)
def test_what_else_the_things_stack_publishes_is_a_notice(key: str) -> None:
    message = changed(TTN, uplink_message=None, **{key: {"session_key_id": "x"}})
    assert notice("ttn", message) == notice("lorawan", message)
    assert notice("ttn", message)[:2] == (EUI, "other")


def test_an_event_of_the_console_is_unwrapped() -> None:
    assert document("ttn", {"name": "as.up.data.forward", "identifiers": [], "data": TTN}) == document("ttn", TTN)


# --- ChirpStack


@pytest.mark.parametrize(
    ("event", "rest", "kind", "words"),
    [
        ("log", {"level": "ERROR", "code": "UPLINK_CODEC", "description": "JS error: x"}, "codec_error", "JS error: x"),
        ("log", {"level": "WARNING", "code": "UPLINK_F_CNT_RETRANSMISSION", "description": ""}, "other", "F_CNT"),
        ("status", {"margin": 9, "batteryLevel": 75.3}, "other", "battery 75.3, link margin 9.0 dB"),
        ("status", {"margin": 9, "externalPowerSource": True}, "other", "external power"),
        ("join", {"devAddr": "00bcb929"}, "other", "joined"),
        ("ack", {"acknowledged": True, "fCntDown": 3}, "other", "acknowledged"),
        ("txack", {"gatewayId": "6a7e111a10000000"}, "other", "sent"),
        ("location", {"location": {"latitude": 21.3}}, "other", "position"),
        ("integration", {"integrationName": "x", "eventType": "y"}, "other", "integration"),
    ],
)
def test_chirpstack_events_are_notices(event: str, rest: dict[str, object], kind: str, words: str) -> None:
    four = {"deduplicationId": "x", "time": "2026-01-01T00:00:00Z", "deviceInfo": CHIRPSTACK["deviceInfo"], **rest}
    topic = f"application/7/device/{EUI}/event/{event}"
    for message in (four, {"devEUI": EUI, "applicationID": "7", **rest}):
        found = notice("chirpstack", message, topic)
        assert found[:2] == (EUI, kind)
        assert words in found.detail
    assert notice("lorawan", four, "lorawan/gateway").kind == kind


def test_a_codec_error_of_version_3_is_one() -> None:
    message = {"devEUI": EUI, "type": "UPLINK_CODEC", "error": "js vm error", "fCnt": 3}
    found = notice("chirpstack", message, f"application/7/device/{EUI}/event/error")
    assert found == (EUI, "codec_error", "UPLINK_CODEC: js vm error")


@pytest.mark.parametrize(
    ("payload", "version"),
    [(b"\x0a\x24" + b"5" * 36 + b"\x12\x0c\x08", 4), (b"\x08\x07\x12\x05rooms\x22\x08\x70\xb3\xd5\x7b\xa0", 3)],
)
def test_protobuf_is_recognised(payload: bytes, version: int) -> None:
    (packet,) = opened("chirpstack", payload)
    assert isinstance(packet, Packet)
    assert isinstance(packet.document, Rejected)
    assert packet.foreign_id == EUI, "the topic names the device"
    assert packet.document.layer == "envelope"
    assert "Protocol Buffers" in packet.document.detail
    assert "json = true" in packet.document.detail


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("2020-0327T12:39:05.547336Z", "2020-03-27T12:39:05.547336Z"),
        ("27/03/2020 12:39", None),
        ("2020-03-27T12:39:05", None),
        ("", "2026-01-01T00:00:00.123456Z"),
    ],
)
def test_a_gateways_bad_time_is_repaired_or_left_to_receipt(said: str, time: str | None) -> None:
    silent = changed(CHIRPSTACK_3, time=said, rxInfo=[{}]) if said else changed(CHIRPSTACK_3, time=said)
    found = document("chirpstack", silent)
    assert found["time"] == time
    assert found.get("server", {}).get("time") == (said or None)
    (reading,) = ROOM.read(json.dumps(silent).encode(), TOPIC["chirpstack"])
    assert isinstance(reading, Reading)
    assert (reading.time is None) == (time is None)


# --- LORIOT


def test_an_uplink_told_twice_is_the_same_reading() -> None:
    gateways = [
        {"gweui": "1111111111111111", "rssi": -110, "snr": -4.2, "ts": 1767225600125},
        {"gweui": "6A7E111A10000000", "rssi": -34, "snr": 9.4, "ts": 1767225600123},
    ]
    again = changed(LORIOT, cmd="gw", gws=gateways, rssi=None, snr=None, bat=None)
    assert document("loriot", again)["radio"]["gateway"] == "6a7e111a10000000"
    first, second = (ROOM.read(json.dumps(message).encode(), TOPIC["loriot"])[0] for message in (LORIOT, again))
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert first[:2] == second[:2]
    assert first.values[:2] == second.values[:2]
    assert first.extra is not None
    assert second.extra is not None
    assert first.extra != second.extra
    assert {k: v for k, v in first.extra.items() if k not in WAY} == {
        k: v for k, v in second.extra.items() if k not in WAY
    }


@pytest.mark.parametrize("command", ["txd", "tx", "cq", "join", "mcq", "dl"])
def test_other_commands_are_notices(command: str) -> None:
    assert notice("loriot", {"cmd": command, "EUI": EUI}) == (
        EUI,
        "other",
        f"message {command} of the network, no uplink",
    )


def test_a_decoder_that_failed_is_a_codec_error_unless_there_is_the_frame() -> None:
    failed = {"errors": ["unknown port"], "warnings": []}
    assert "decoded" not in document("loriot", changed(LORIOT, decoded=failed))
    assert notice("loriot", changed(LORIOT, decoded=failed, data=None)).kind == "codec_error"


def test_seconds_for_milliseconds_are_told() -> None:
    (rejected,) = ROOM.read(json.dumps(changed(LORIOT, ts=1767225600)).encode(), TOPIC["loriot"])
    assert isinstance(rejected, Reading), "the time of receipt is not known here: ingest refuses it as time_unit"
    assert rejected.time is not None
    assert rejected.time < 366 * 86_400 * 10**6


# --- ThingPark


@pytest.mark.parametrize(
    "kind", ["DevEUI_location", "DevEUI_downlink_Sent", "DevEUI_downlink_Rejected", "DevEUI_notification", "DevEUI_new"]
)
def test_other_reports_are_notices(kind: str) -> None:
    assert notice("thingpark", {kind: {"DevEUI": "70B3D57BA000156B", "Type": "join"}})[:2] == (EUI, "other")


def test_a_list_of_reports_is_one_part_each() -> None:
    other = changed(THINGPARK, "DevEUI_uplink", DevEUI="70B3D57BA000156C", FCntUp=27)
    location = {"DevEUI_location": {"DevEUI": "70B3D57BA000156B"}}
    first, second, third, fourth = opened("thingpark", [THINGPARK, other, location, 5])
    assert isinstance(first, Packet)
    assert isinstance(second, Packet)
    assert json.loads(second.payload) == other
    assert (first.foreign_id, second.foreign_id) == (EUI, "70b3d57ba000156c")
    assert isinstance(third, Notice)
    assert isinstance(fourth, Packet)
    assert isinstance(fourth.document, Rejected)


def test_what_came_late_says_so() -> None:
    assert "server" not in document("thingpark", THINGPARK)
    assert document("thingpark", changed(THINGPARK, "DevEUI_uplink", Late="1"))["server"] == {"Late": "1"}


# --- what is refused


def test_messages_of_servers_that_are_not_read_are_named_too() -> None:
    old = {"app_id": "rooms", "dev_id": "room-1", "hardware_serial": EUI, "payload_raw": "AXVk"}
    for route in TOPIC:
        assert "this is a message of The Things Network v2, not of" in refusal(route, old).detail
        assert "The Things Stack v3, ChirpStack v4" in refusal(route, old).detail
    assert "no message of a LoRaWAN network server" in refusal("lorawan", {"temperature": 21}).detail
    assert "it has the fields temperature" in refusal("ttn", {"temperature": 21}).detail


@pytest.mark.parametrize(
    ("route", "message", "word"),
    [
        ("ttn", changed(TTN, "uplink_message", app_s_key={"kek_label": "x"}), "app_s_key"),
        ("chirpstack", changed(CHIRPSTACK, joinServerContext={"sessionKeyId": "x"}), "joinServerContext"),
        ("loriot", changed(LORIOT, data=None, encdata="0a0b0c"), "encdata"),
        ("thingpark", changed(THINGPARK, "DevEUI_uplink", PayloadEncryption=1), "PayloadEncryption"),
    ],
)
def test_an_encrypted_payload_says_what_to_do(route: str, message: dict[str, Any], word: str) -> None:
    rejected = refusal(route, message)
    assert (rejected.layer, rejected.field) == ("envelope", word)
    assert "encrypted" in rejected.detail
    assert "AppSKey" in rejected.detail or "decrypt" in rejected.detail


@pytest.mark.parametrize(("route", "message"), EVERY)
@pytest.mark.parametrize("wrong", sorted(MESSAGES))
def test_a_message_of_another_server_is_named(route: str, message: dict[str, Any], wrong: str) -> None:
    if wrong == route:
        return
    name = {
        **{"ttn": "The Things Stack v3", "chirpstack": "ChirpStack v4", "loriot": "LORIOT", "thingpark": "ThingPark"}
    }[route]
    name = "ChirpStack v3" if message is CHIRPSTACK_3 else name
    assert f"this is a message of {name}, not of" in refusal(wrong, message).detail


@pytest.mark.parametrize("route", TOPIC)
@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"5", b"null", b'"x"', b"[[]]", b"{", b"\xff", b"[" * 400])
def test_what_is_no_message_is_refused(route: str, payload: bytes) -> None:
    rejected = refusal(route, payload)
    assert rejected.layer == "envelope"
    assert rejected.detail


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (FRAME.hex(), "this is hexadecimal; expected base64"),
        (FRAME.hex().upper(), "this is hexadecimal; expected base64"),
        ("017564", "this is hexadecimal"),
        ("AXVkA2cYAQRob", "cut off"),
        ("AXVk A2cY", "cut off or in another encoding"),
        (17, "expected a text"),
    ],
)
def test_what_is_not_base64_says_why(said: object, words: str) -> None:
    for route, message in (
        ("ttn", changed(TTN, "uplink_message", frm_payload=said)),
        ("chirpstack", changed(CHIRPSTACK, data=said)),
    ):
        rejected = refusal(route, message)
        assert words in rejected.detail
        assert rejected.field in ("frm_payload", "data")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b64encode(FRAME).decode(), "this is base64"),
        ("017564036", "an odd number of digits"),
        ("01 75 64", "other letters"),
        ([1], "expected a text"),
    ],
)
def test_what_is_not_hex_says_why(said: object, words: str) -> None:
    assert words in refusal("loriot", changed(LORIOT, data=said)).detail
    assert words in refusal("thingpark", changed(THINGPARK, "DevEUI_uplink", payload_hex=said)).detail


@given(st.binary(min_size=6, max_size=60))
def test_hex_is_refused_as_base64(frame: bytes) -> None:
    assert from_hex(frame.hex(), "data") == frame
    if 2 * sum(map(str.isdigit, frame.hex())) >= 2 * len(frame):
        assert isinstance(from_base64(frame.hex(), "data"), Rejected)


@given(st.binary(min_size=1, max_size=51))
def test_base64_is_hardly_ever_taken_for_hex(frame: bytes) -> None:
    text = b64encode(frame).decode()
    bare = set(text.rstrip("="))
    if not bare <= set("0123456789abcdef") and not bare <= set("0123456789ABCDEF"):
        assert from_base64(text, "data") == frame
        assert from_base64(text.rstrip("="), "data") == frame


@pytest.mark.parametrize(
    ("said", "eui"),
    [
        ("70B3D57BA000156B", EUI),
        ("70-b3-d5-7b-a0-00-15-6b", EUI),
        ("70:B3:D5:7B:A0:00:15:6B", EUI),
        ("eui-70b3d57ba000156b", EUI),
        (" 70B3D57BA000156B ", EUI),
        ("cLPVe6AAFWs=", EUI),
        ("70B3D57BA000156", None),
        ("70B3D57BA000156BB", None),
        ("70B3D57BA000156G", None),
        ("٧0B3D57BA000156B", None),
        ("", None),
        (None, None),
        (7, None),
        ({}, None),
    ],
)
def test_an_eui_in_any_notation(said: object, eui: str | None) -> None:
    assert normal_eui(said) == eui


@pytest.mark.parametrize(("route", "message"), EVERY)
@pytest.mark.parametrize("said", ["zz", 5, None, [], "70B3D57BA000156"])
def test_a_message_that_names_no_device_is_refused(route: str, message: dict[str, Any], said: object) -> None:
    made = {
        "ttn": lambda: changed(TTN, "end_device_ids", dev_eui=said),
        "chirpstack": lambda: changed(
            message,
            *([] if message is CHIRPSTACK_3 else ["deviceInfo"]),
            **{"devEUI" if message is CHIRPSTACK_3 else "devEui": said},
        ),
        "loriot": lambda: changed(LORIOT, EUI=said),
        "thingpark": lambda: changed(THINGPARK, "DevEUI_uplink", DevEUI=said),
    }[route]()
    (packet,) = opened(route, made, "elsewhere")
    assert isinstance(packet, Packet)
    if message is CHIRPSTACK_3 and said is None:
        return  # without it, it is no message of ChirpStack at all
    assert isinstance(packet.document, Rejected), packet
    assert packet.foreign_id is None
    assert "DevEUI" in packet.document.detail


# --- whatever the bytes

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "0", EUI, "AAAA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(message: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place of a document."""
    items: list[tuple[object, object]] = []
    if isinstance(message, dict):
        items = list(message.items())
    elif isinstance(message, list):
        items = list(enumerate(message))
    return [at, *(place for key, inner in items for place in places(inner, (*at, key)))]


@given(st.sampled_from(EVERY), st.data())
def test_a_message_with_anything_anywhere_is_answered(which: tuple[str, dict[str, Any]], drawn: st.DataObject) -> None:
    route, message = which
    made: Any = copy.deepcopy(message)
    for _ in range(drawn.draw(st.integers(1, 3))):
        place = drawn.draw(st.sampled_from(places(made)[1:]))
        inside = made
        for key in place[:-1]:
            inside = inside[key]
        if isinstance(inside, dict) and drawn.draw(st.booleans()):
            del inside[place[-1]]
        else:
            inside[place[-1]] = drawn.draw(json_values)
        if not made:
            break
    payload = json.dumps(made).encode()
    for name in (route, "lorawan"):
        check_opened(opener_of(ROUTES[name])(TOPIC[name], payload))
        assert ROOM.read(payload, TOPIC[name])


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()), st.text(max_size=30))
def test_any_bytes_are_answered(payload: bytes, topic: str) -> None:
    for route in TOPIC:
        check_opened(opener_of(ROUTES[route])(topic, payload))


def check_opened(found: list[Packet | Notice]) -> None:
    """At least one entry, devices by their EUI, rejections with a sentence."""
    assert found
    for part in found:
        assert part.foreign_id is None or normal_eui(part.foreign_id) == part.foreign_id
        if isinstance(part, Notice):
            assert part.kind in ("online", "offline", "codec_error", "other")
            assert part.detail
        elif isinstance(part.document, Rejected):
            assert part.document.detail
            assert part.document.layer in ("envelope", "time")
        else:
            assert isinstance(part.document, dict)
            assert {"eui", "port", "count", "time"} <= part.document.keys()
            assert isinstance(part.document.get("frame", b""), bytes)


# --- enrolment and routes


@pytest.mark.parametrize("said", ["70B3D57BA000156B", "70-B3-D5-7B-A0-00-15-6B", EUI])
def test_enrolment_takes_an_eui_in_any_notation(said: str) -> None:
    kinds = {name: profile.route for name, profile in PROFILES.items()}
    text = f"device,profile,area,alias\nroom-1,lorawan-indoor,213,lorawan:{said}\n"
    ((row,), mistakes) = check_file(text.encode(), kinds, ["213"])
    assert not mistakes
    assert (row.route, row.foreign_id) == ("lorawan", EUI)


@pytest.mark.parametrize("said", ["room-1", "70B3D57BA000156", ""])
def test_enrolment_wants_an_eui(said: str) -> None:
    kinds = {name: profile.route for name, profile in PROFILES.items()}
    text = f"device,profile,area,alias\nroom-1,lorawan-indoor,213,lorawan:{said}\n"
    (mistake,) = check_file(text.encode(), kinds, ["213"]).mistakes
    assert "16 hex digits" in mistake.detail


def test_one_eui_for_two_devices_is_a_mistake() -> None:
    kinds = {name: profile.route for name, profile in PROFILES.items()}
    rows = f"room-1,lorawan-indoor,213,lorawan:{EUI}\nroom-2,lorawan-indoor,213,lorawan:{EUI.upper()}\n"
    (mistake,) = check_file(f"device,profile,area,alias\n{rows}".encode(), kinds, ["213"]).mistakes
    assert (mistake.line, mistake.column) == (3, "alias")
    assert "line 2" in mistake.detail


def test_the_most_exact_route_takes_a_topic() -> None:
    assert exactness("a/b") < exactness("a/+") < exactness("a/#") < exactness("+/b")
    shelly = rivals_of(ROUTES["shelly"], ROUTES.values())
    assert "lorawan/#" in shelly
    assert not rivals_of(ROUTES["lorawan"], ROUTES.values())
    found = route_of("lorawan/status/x")
    assert found is not None
    assert found.name == "lorawan"
    for one in ROUTES.values():
        for other in ROUTES.values():
            clash = any(overlap(a, b) for a in one.topics for b in other.topics)
            taken = bool({*rivals_of(one, [other]), *rivals_of(other, [one])} if one.name != other.name else {"itself"})
            assert not clash or taken, f"{one.name} and {other.name} would both read a topic"


def test_a_devices_own_count_is_not_the_frame_counter() -> None:
    table = ROOM.table
    assert table is not None
    counted = changed(CHIRPSTACK, object={"temperature": 1, "count": 700})
    (reading,) = ROOM.read(json.dumps(counted).encode(), TOPIC["chirpstack"])
    assert isinstance(reading, Reading)
    assert reading.seq == 26
    assert read_seq(replace(table, seq_paths=(("count",),)), document("chirpstack", CHIRPSTACK), ("data",), set()) == 26


def test_measurements_of_one_frame_have_a_number_each() -> None:
    counts = [
        result.seq
        for result in ROOM._map_frame(
            [{"count": 7, "time": "2026-01-01T00:00:00Z", "data": {"co2": n}} for n in (1, 2)], b"x"
        )
        if isinstance(result, Reading)
    ]
    assert counts == [7, 7 + (1 << 32)]
