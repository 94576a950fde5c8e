"""`dothi devices import-codec`: a vendor's codec and examples become the draft of a profile."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from devices.documents import parse_yaml
from devices.import_codec import flow
from devices.vendor_examples import alike, chirpstack_tests, ttn_codec
from dothi.commands.devices import app
from dothi.errors import Refused, WrongUsage

CODEC = """
// A sensor of our own making: temperature (0.1 Cel, signed), humidity (%), battery (V), door.
function decodeUplink(input) {
  var b = input.bytes;
  if (input.fPort !== 2) return { errors: ["unknown port"] };
  if (b.length < 2) return { errors: ["too short"] };
  var raw = b[0] << 8 | b[1], data = { temperature: (raw > 0x7fff ? raw - 0x10000 : raw) / 10 };
  if (b.length > 2) data.humidity = b[2] / 2;
  if (b.length > 3) data.batV = { value: b[3] / 50, unit: "V" };
  if (b.length > 4) data.direction = ["N", "off", "on"][b[4]];
  return { data: data };
}
"""
TTN = """
uplinkDecoder:
  fileName: room.js
  examples:
    - description: full
      input: {fPort: 2, bytes: [0, 215, 103, 180, 0]}
      output: {data: {temperature: 21.5, humidity: 51.5, batV: {value: 3.6, unit: V}, direction: N}}
    - description: cold
      input: {fPort: 2, bytes: [255, 206]}
      output: {data: {temperature: -5}}
    - description: a word that YAML 1.1 takes for a boolean
      input: {fPort: 2, bytes: [0, 0, 0, 0, 2]}
      output: {data: {temperature: 0, humidity: 0, batV: {value: 0, unit: V}, direction: on}}
    - description: another port
      input: {fPort: 3, bytes: [1]}
      output: {errors: [unknown port]}
"""
TESTS = """[
  // ChirpStack's own tests are read as JavaScript
  {name: "full", input: {bytes: [0x00, 0xd7, 0x67, 0xb4, 0], fPort: 2, recvTime: "2026-02-03T04:05:06.123456789Z"},
   expected: {data: {temperature: 21.5, humidity: 51.5, batV: {value: 3.6, unit: "V"}, direction: 'N'}}},
]"""


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "room.js").write_text(CODEC)
    (folder / "room-codec.yaml").write_text(TTN)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def imported(*arguments: object) -> dict[str, Any]:
    result = run("import-codec", *arguments, "--json")
    assert result.exception is None, result.exception
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_writes_profile_codec_and_examples(vendor: Path, tmp_path: Path) -> None:
    report = imported(vendor / "room-codec.yaml", "--out", tmp_path / "out", "--name", "our-room")
    sha256 = hashlib.sha256(CODEC.encode()).hexdigest()
    assert report["sha256"] == sha256
    assert report["examples"] == {"total": 4, "passed": 4, "failed": []}
    assert report["family_guessed"]
    assert not report["slow"]
    assert report["unmapped"] == ["direction"]
    assert (tmp_path / "out/our-room.js").read_text() == CODEC
    text = (tmp_path / "out/our-room.yaml").read_text()
    profile = parse_yaml(text)
    assert profile["codec"] == {"js": {"file": "our-room.js", "sha256": sha256}}
    assert {"metric": "temperature", "path": "temperature"} in profile["fields"]
    assert {"metric": "relative_humidity", "path": "humidity", "unit": "%"} in profile["fields"]
    assert {"metric": "battery_voltage", "path": "batV.value"} in profile["fields"]
    assert all("# CHECK" in line for line in text.splitlines() if line.startswith("  - {metric"))
    by_name = {example["name"]: example for example in profile["examples"]}
    assert by_name["full"]["frame"] == "00d767b400"
    assert by_name["full"]["metrics"] == {"temperature": 21.5, "relative_humidity": 0.515, "battery_voltage": 3.6}
    assert by_name["cold"]["metrics"] == {"temperature": -5}
    assert by_name["another port"]["reason"] == "codec_error"
    assert by_name["cut off"]["reason"] == "codec_error"


def test_the_draft_keeps_the_laws_and_decodes(vendor: Path, tmp_path: Path) -> None:
    imported(vendor / "room.js", "--out", tmp_path)  # the examples lie beside it
    checked = run("check", tmp_path / "room.yaml")
    assert checked.exception is None, checked.stdout
    (tmp_path / "frame").write_bytes(bytes.fromhex("ffce50"))
    uplink = {
        "end_device_ids": {"device_id": "r1", "dev_eui": "70B3D57BA000156B"},
        "received_at": "2026-02-03T04:05:06Z",
        "uplink_message": {"f_port": 2, "f_cnt": 7, "frm_payload": "/85Q"},
    }
    (tmp_path / "message.json").write_text(json.dumps(uplink))
    decoded = run("decode", tmp_path / "message.json", "--profile", tmp_path / "room.yaml", "--json")
    reading = json.loads(decoded.stdout)["readings"][0]
    assert reading["metrics"] == {"temperature": -5, "relative_humidity": 0.4}
    assert reading["device"] == "70b3d57ba000156b"


def test_a_codec_that_was_changed_later_is_refused_with_both_hashes(vendor: Path, tmp_path: Path) -> None:
    imported(vendor / "room.js", "--out", tmp_path)
    (tmp_path / "room.js").write_text(CODEC + "//")
    refused = run("check", tmp_path / "room.yaml").exception
    assert isinstance(refused, Refused)
    for source in (CODEC, CODEC + "//"):
        assert hashlib.sha256(source.encode()).hexdigest() in str(refused)


def test_examples_that_differ_are_shown_and_not_hidden(vendor: Path, tmp_path: Path) -> None:
    (vendor / "room-codec.yaml").write_text(TTN.replace("temperature: -5", "temperature: 6548.6"))
    result = run("import-codec", vendor / "room.js", "--out", tmp_path / "out", "--json")
    assert isinstance(result.exception, Refused)
    assert "1 of 4 examples differ" in str(result.exception)
    (failed,) = json.loads(result.stdout)["examples"]["failed"]
    assert failed == {"name": "cold", "frame": "ffce", "problem": "data.temperature is -5; expected 6548.6"}
    assert "cold" not in [
        example["name"] for example in parse_yaml((tmp_path / "out/room.yaml").read_text())["examples"]
    ]


def test_reads_the_tests_of_chirpstack(vendor: Path, tmp_path: Path) -> None:
    (vendor / "test_decode_room.json").write_text(TESTS)
    report = imported(vendor / "room.js", "--out", tmp_path, "--family", "weather")
    assert report["examples"]["passed"] == 1
    assert (report["family"], report["family_guessed"]) == ("weather", False)


def test_for_people(vendor: Path, tmp_path: Path) -> None:
    shown = run("import-codec", vendor / "room.js", "--out", tmp_path).stdout
    assert "4 of 4 examples of the vendor pass" in shown
    assert "kept in extra: direction" in shown


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["no-such.js"], WrongUsage, "--tests is missing"),
        (["no-such.yaml"], WrongUsage, "No such file"),
        (["room.js", "--family", "rooms"], WrongUsage, "--family is rooms; expected one of"),
        (["room.js", "--name", "Room 1"], WrongUsage, "--name is Room 1"),
        (["room.js", "--name", "taken"], WrongUsage, "--force"),
        (["room.js", "--tests", "gone.json"], WrongUsage, "gone.json"),
        (["room.js", "--tests", "broken.json"], Refused, "not JSON"),
        (["room.js", "--tests", "odd.json"], Refused, "example 1 cannot be read"),
        (["room.js", "--tests", "broken.yaml"], Refused, "not YAML"),
        (["room.js", "--tests", "other.yaml"], Refused, "uplinkDecoder"),
        (["room.js", "--tests", "empty.json"], Refused, "there are none"),
        (["outside.yaml"], Refused, "beside or below"),
        (["syntax.js", "--tests", "room-codec.yaml"], Refused, "cannot be loaded"),
        (["nothing.js", "--tests", "nothing.json"], Refused, "1 of 1 examples pass, but no field is known"),
        (["binary.js", "--tests", "room-codec.yaml"], Refused, "not UTF-8"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(vendor: Path, arguments: list[str], error: type, words: str) -> None:
    (vendor / "taken.yaml").write_text("mine")
    (vendor / "broken.json").write_text("[{")
    (vendor / "odd.json").write_text('[{"input": 3}]')
    (vendor / "empty.json").write_text("[]")
    (vendor / "broken.yaml").write_text("a: [")
    (vendor / "other.yaml").write_text("a: 1")
    (vendor / "outside.yaml").write_text("uplinkDecoder: {fileName: ../../room.js, examples: []}")
    (vendor / "syntax.js").write_text("function (")
    (vendor / "nothing.js").write_text("function decodeUplink() { return {data: {xyzzy: 1}} }")
    (vendor / "nothing.json").write_text('[{"input": {"bytes": [1]}, "expected": {"data": {"xyzzy": 1}}}]')
    (vendor / "binary.js").write_bytes(b"\xff\xff")
    told = [str(vendor / one) if one.endswith((".js", ".json", ".yaml")) else one for one in arguments]
    result = run("import-codec", *told, "--out", vendor)
    assert type(result.exception) is error
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert (vendor / "taken.yaml").read_text() == "mine"


def test_words_stay_words() -> None:
    assert ttn_codec(TTN)[1][2].output["data"]["direction"] == "on"
    (example,) = chirpstack_tests(TESTS)
    assert example.frame.payload == bytes.fromhex("00d767b400")
    assert example.frame.received_ms == pytest.approx(1770091506123.456)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_what_is_drafted_is_read_back_as_it_was(value: Any) -> None:
    assert alike(parse_yaml(flow(value)), value)
    assert parse_yaml(f"- {flow(value)}") == [value]
