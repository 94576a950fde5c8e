"""`dothi devices decode`: any file becomes readings, a reason, or a notice; guesses are marked as such."""

import base64
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from devices.frame_text import frame_in
from devices.laws import payload_of
from devices.profile import PROFILES
from devices.sniff import SNIFFERS, sniff
from devices.verdict import Judge
from dothi.commands.decode import decode, verdict_on
from dothi.errors import Refused, WrongUsage
from dothi.messages import messages_in, without_comments

NOW_US = 1_795_000_000_000_000
app = typer.Typer()
app.command()(decode)
UPLINK = {
    "deviceInfo": {"devEui": "70B3D57BA0003BB8", "deviceName": "yard 3", "deviceProfileName": "something new"},
    "time": "2026-01-01T00:00:00Z",
    "fCnt": 20,
    "fPort": 1,
    "data": "3q2+7w==",
    "object": {"TempC_SHT": -2.5, "Hum_SHT": 88.2, "BatV": 3.05, "Work_mode": "none"},
}


def run(*words: str, stdin: bytes | None = None) -> tuple[Any, BaseException | None]:
    """The command's JSON, and what it refused with."""
    result = CliRunner().invoke(app, [*words, "--json"], input=stdin)
    document = json.loads(result.stdout) if result.stdout.strip() else None
    return document, None if isinstance(result.exception, SystemExit) else result.exception


def write(folder: Path, content: bytes | object) -> str:
    """A file with the bytes, or with an object as JSON."""
    file = folder / "message"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(file)


@pytest.mark.parametrize("name", PROFILES)
def test_decode_shows_every_example(name: str, tmp_path: Path) -> None:
    for example in PROFILES[name].examples:
        topic = ["--topic", example["topic"]] if "topic" in example else []
        document, refused = run(write(tmp_path, payload_of(example)), "--profile", name, *topic)
        assert set(document) >= {"readings", "rejected"}
        if document["notices"] and not document["readings"]:
            assert "reason" in example
        elif "reason" in example:
            assert document["rejected"]["reason"] == example["reason"]
            assert set(document["rejected"]) == {"layer", "reason", "field", "value", "detail"}
            assert isinstance(refused, Refused)
        else:
            assert refused is None
            first = document["readings"][0]
            assert set(first) >= {"device", "family", "time", "metrics", "extra"}
            assert not first["guessed"]
            assert first["metrics"].keys() == example["metrics"].keys()
            assert "time" not in example or first["time"] == example["time"]


def test_decode_knows_device_and_profile_by_topic(tmp_path: Path) -> None:
    file = write(tmp_path, {"time": 1767225600000, "metrics": {"pm25": 4, "so2": 5}})
    document, _ = run(file, "--topic", "dothi/v1/213/aq-1/up")
    first = document["readings"][0]
    assert (first["device"], first["family"], first["guessed"]) == ("aq-1", "air_quality", False)
    file = write(tmp_path, {"type": "description", "id": "1", "description": "a red car"})
    document, _ = run(file, "--topic", "frigate/tracked_object_update")
    assert document["rejected"] is None or document["rejected"]["reason"] == "unknown_device"


def test_metrics_of_several_families_are_a_guess(tmp_path: Path) -> None:
    document, refused = run(write(tmp_path, {"metrics": {"temperature": 4}}), "--topic", "dothi/v1/213/aq-1/up")
    assert refused is None
    assert document["readings"][0]["guessed"]
    assert "native-weather" in " ".join(document["notes"])


def test_a_topic_that_nobody_takes_is_said_and_the_content_shown(tmp_path: Path) -> None:
    document, refused = run(write(tmp_path, UPLINK), "--topic", "elsewhere/1")
    assert document["rejected"]["reason"] == "unknown_route"
    assert document["readings"]
    assert refused is None
    document, refused = run(write(tmp_path, b"{"), "--topic", "elsewhere/1")
    assert document["rejected"]["reason"] == "unknown_route"
    assert isinstance(refused, Refused)


def test_decode_tells_a_wrong_unit_of_time_and_an_unset_clock(tmp_path: Path) -> None:
    for time_ms, reason in ((1767225600, "time_unit"), (5000, "clock_not_set"), (4 * 10**12, "in_future")):
        file = write(tmp_path, {"time": time_ms, "metrics": {"pm25": 4}})
        document, _ = run(file, "--profile", "native-air-quality")
        assert document["rejected"]["reason"] == reason


def test_what_the_server_decoded_is_read_by_vocabulary_where_no_profile_is(tmp_path: Path) -> None:
    document, refused = run(write(tmp_path, UPLINK))
    assert refused is None
    (reading,) = document["readings"]
    assert reading["device"] == "70b3d57ba0003bb8"
    assert reading["guessed"]
    assert reading["metrics"]["temperature"] == -2.5
    assert reading["metrics"]["relative_humidity"] == pytest.approx(0.882)
    assert reading["metrics"]["battery_voltage"] == 3.05
    assert document["guessed"]


def test_comments_are_taken_out_and_said(tmp_path: Path) -> None:
    text = b'{"metrics": {"pm25": 4 /* dust */, "so2": 5}, // a // comment\n "url": "http://x/*y*/"}'
    document, _ = run(write(tmp_path, text))
    assert document["readings"][0]["metrics"] == {"pm25": 4, "so2": 5}
    assert document["readings"][0]["extra"] == {"url": "http://x/*y*/"}
    assert "comments" in document["notes"][0]
    assert without_comments(b'{"a": 1}') is None
    assert without_comments(b"{ // only this") is None


@pytest.mark.parametrize(
    "content", [b"/*" * 200_000, b'"\\"' * 150_000, b"{//" * 150_000, b'{"a": "' + b"\\" * 300_001]
)
def test_open_quotes_and_comments_stall_nothing(content: bytes) -> None:
    """Squares of so many would take hours."""
    assert verdict_on(content, None, None)["rejected"]


def test_each_refused_value_says_why(tmp_path: Path) -> None:
    document, _ = run(write(tmp_path, {"metrics": {"pm25": 1, "so2": "2,5", "temperature": 6550.9}}))
    refused = document["readings"][0]["refused"]
    assert "decimal comma" in refused["so2"]
    assert "unsigned 16-bit" in refused["temperature"]
    entity = {"id": "a", "type": "WeatherObserved", "temperature": 21, "relativeHumidity": 54}
    document, _ = run(write(tmp_path, entity))
    assert "percentage" in document["readings"][0]["refused"]["relative_humidity"]


def test_a_swapped_position_is_said(tmp_path: Path) -> None:
    document, _ = run(write(tmp_path, {"metrics": {"latitude": 106.2, "longitude": 21.3, "speed": 5}}))
    assert "swapped" in " ".join(document["notes"])
    document, _ = run(write(tmp_path, {"metrics": {"latitude": 21.3, "longitude": 106.2, "speed": 5}}))
    assert "swapped" not in " ".join(document["notes"])


def test_records_of_watched_messages(tmp_path: Path) -> None:
    native = {"time": 1767225600000, "metrics": {"pm25": 4, "so2": 5}}
    records = [
        {"tst": "x", "topic": "dothi/v1/213/aq-1/up", "qos": 1, "retain": 0, "payload": json.dumps(native)},
        {"topic": "dothi/v1/213/aq-2/up", "payload": native},
    ]
    lines = b"\n".join(json.dumps(record).encode() for record in records)
    for content in (records, lines):
        document, _ = run(write(tmp_path, content))
        assert [reading["device"] for reading in document["readings"]] == ["aq-1", "aq-2"]
    document, _ = run(write(tmp_path, records[0]))
    assert document["readings"][0]["device"] == "aq-1"
    axis = {"topic": "axis:Device/Sensor", "timestamp": 1, "message": {"data": {}}}
    assert messages_in(json.dumps(axis).encode())[0][0].topic is None


def test_standard_input() -> None:
    document, refused = run("-", stdin=b'{"metrics": {"pm25": 4, "so2": 5}}')
    assert refused is None
    assert document["readings"][0]["metrics"] == {"pm25": 4, "so2": 5}


@pytest.mark.parametrize(
    "content", [b"", b" ", b"\0", b"{}", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b"{" * 5000, b"[" * 99999]
)
def test_nothing_useful_is_a_rejection(content: bytes, tmp_path: Path) -> None:
    document, refused = run(write(tmp_path, content))
    assert document["readings"] == []
    assert len(document["rejected"]["detail"]) > 20
    assert isinstance(refused, Refused)
    assert not isinstance(refused, WrongUsage)


def test_no_file(tmp_path: Path) -> None:
    for file in (tmp_path / "absent", tmp_path):
        _, refused = run(str(file), "--profile", "native-weather")
        assert isinstance(refused, WrongUsage)


def test_people_see_a_table(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [write(tmp_path, UPLINK)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for words in ("temperature", "-2.5", "Cel", "GUESSED", "note: read as"):
        assert words in result.stdout
    result = CliRunner().invoke(app, [write(tmp_path, {"TempC_SHT": 21, "door": "open"})], env={"COLUMNS": "200"})
    for words in ("TempC_SHT", "contact", "open", "by vocabulary"):
        assert words in result.stdout


def test_frames_as_bytes_hex_or_base64() -> None:
    frame = bytes.fromhex("0175640367180104686d")
    for content in (frame, frame.hex().encode(), frame.hex(" ").encode(), frame.hex("-").upper().encode() + b"\r\n"):
        assert frame_in(content) == frame
    assert frame_in(base64.b64encode(frame)) == frame
    assert frame_in(b"hello, world: what is this?") is None
    assert frame_in(bytes(300)) is None


SAMPLES: dict[str, tuple[object, ...]] = {
    "lorawan": (
        UPLINK,
        {"end_device_ids": {"device_id": "x"}, "uplink_message": {}},
        {"cmd": "rx", "EUI": "1000000000000001", "data": "0112"},
        {"DevEUI_uplink": {"DevEUI": "1000000000000001"}},
        {"devEUI": "24e1641092176759", "fCnt": 0, "data": "AXVk"},
    ),
    "native": ({"metrics": {"pm25": 1}}, [{"metrics": {}}], cbor2.dumps({"metrics": {"pm25": 1}})),
    "senml": (
        [{"bn": "urn:dev:ow:10e2073a01080063", "u": "Cel", "v": 23.1}],
        cbor2.dumps([{-2: "urn:dev:ow:10e2073a01080063", 0: "t", 2: 23.1}]),
    ),
    "ngsi": ({"id": "a", "type": "WeatherObserved"}, {"subscriptionId": "1", "data": [{"id": "a", "type": "B"}]}),
    "frigate": ({"type": "new", "before": {}, "after": {"id": "1"}}, {"cameras": {}, "detectors": {}}),
    "axis": ({"topic": "axis:Device/IO", "message": {"data": {"state": "1"}}},),
    "onvif": ({"UtcTime": "2026-01-01T00:00:00Z", "Source": {}, "Data": {"Count": 5}},),
    "opendatacam": ({"counterSummary": {}}, [{"areas": {}, "dateStart": "x"}]),
    "tasmota": ({"Time": "2026-01-01T00:00:00", "AM2301": {"Temperature": 20}}, {"StatusSNS": {}}),
    "zigbee": ({"temperature": 20, "linkquality": 90},),
    "shelly": ({"src": "shelly-1", "method": "NotifyStatus", "params": {}}, {"switch:0": {}}, {"id": 0, "apower": 8.9}),
    "homie": ({"homie": "5.0", "nodes": {}},),
    "sparkplug": (
        {"timestamp": 1, "metrics": [{"name": "a", "dataType": "Float", "value": 1.5}]},
        b"\x08\x01\x12\x0d\x10\x64\x20\x0a\x69" + bytes(8) + b"\x18\x01",
    ),
    "circular10": (
        b"PM2,5\t41.2\tug/m3\t20260101070000\t00\r\nTemp\t21\toC\t20260101070000\t00\r\n",
        b"COD;12,5;mg/L;20260101070000;00\n",
    ),
}


@pytest.mark.parametrize("system", SNIFFERS)
def test_a_system_is_known_by_its_words(system: str) -> None:
    for sample in SAMPLES[system]:
        payload = sample if isinstance(sample, bytes) else json.dumps(sample).encode()
        assert [found.system for found in sniff(payload)][:1] == [system], sample


@given(st.binary(max_size=400), st.none() | st.text(max_size=40))
@settings(max_examples=300)
def test_any_bytes_are_judged(content: bytes, topic: str | None) -> None:
    document = verdict_on(content, topic, None)
    assert document["readings"] or document["rejected"] or document["notices"]
    json.dumps(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6)
            | st.sampled_from(
                [
                    *(
                        "metrics",
                        "topic",
                        "payload",
                        "deviceInfo",
                        "devEui",
                        "end_device_ids",
                        "uplink_message",
                        "object",
                    ),
                    *(
                        "cmd",
                        "EUI",
                        "data",
                        "id",
                        "type",
                        "n",
                        "v",
                        "before",
                        "after",
                        "temperature",
                        "battery",
                        "value",
                    ),
                    *("Time", "linkquality", "homie", "nodes", "unit", "name", "location", "src", "params", "switch:0"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=300)
def test_any_document_is_judged(document: object) -> None:
    (verdict,) = [Judge(NOW_US).judge(json.dumps(document).encode(), None, None)]
    assert verdict.outcomes


def test_frames_of_several_models_alike_are_told_apart_by_a_name_or_not_at_all(tmp_path: Path) -> None:
    same_layout = [p for p in PROFILES.values() if p.route == "lorawan" and p.name.startswith("decentlab")]
    if len(same_layout) < 2:
        pytest.skip("needs two models of one vendor")
    uplink = UPLINK | {"data": base64.b64encode(bytes.fromhex("0252850003809980220bd3")).decode(), "object": None}
    document, _ = run(write(tmp_path, uplink))
    assert "several profiles fit and differ" in document["rejected"]["detail"]
    named = tmp_path / "DL-ALB" / "message.json"
    named.parent.mkdir()
    named.write_text(json.dumps(uplink))
    document, _ = run(str(named))
    assert document["readings"][0]["profile"] == "decentlab-dl-alb"
    assert document["readings"][0]["guessed"]
    uplink["deviceInfo"] = {"devEui": "70B3D57BA0003BB8", "deviceProfileName": "Decentlab DL-ALB (EU868)"}
    document, _ = run(write(tmp_path, uplink))
    assert document["readings"][0]["profile"] == "decentlab-dl-alb"
