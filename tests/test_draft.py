"""`dothi devices new`: what is drafted from a message reads that message; every guess is marked."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from devices.documents import parse_yaml
from devices.draft import draft, quoted
from devices.envelopes import Packet
from devices.outcome import metrics_of
from devices.profile import profile_from
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import ROUTES
from devices.vocabulary import WORDS
from dothi.commands.new import new
from dothi.errors import Refused, WrongUsage

NOW_US = 1_795_000_000_000_000
app = typer.Typer()
app.command()(new)
UPLINK = {
    "deviceInfo": {"devEui": "70B3D57BA0003BB8", "deviceName": "yard 3"},
    "time": "2026-01-01T00:00:00Z",
    "fCnt": 20,
    "fPort": 1,
    "object": {"TempC_SHT": -2.5, "Hum_SHT": 88.2, "battery_mV": 3050, "door": True},
}


def run(*words: str) -> tuple[Any, BaseException | None]:
    """The command's JSON, and what it refused with."""
    result = CliRunner().invoke(app, [*words, "--json"])
    document = json.loads(result.stdout) if result.stdout.strip() else None
    return document, None if isinstance(result.exception, SystemExit) else result.exception


def test_a_draft_reads_the_message_it_was_made_from(tmp_path: Path) -> None:
    (tmp_path / "message.json").write_text(json.dumps(UPLINK))
    out = tmp_path / "yard-sensor.yaml"
    document, refused = run("--from-payload", str(tmp_path / "message.json"), "--out", str(out))
    assert refused is None
    assert document["profile"] == out.read_text("utf-8")
    assert document["checks"] >= 6
    profile = profile_from("yard-sensor", parse_yaml(out.read_text("utf-8")))
    (reading,) = profile.read(json.dumps(UPLINK).encode())
    assert isinstance(reading, Reading)
    stated = profile.examples[0]["metrics"]
    assert metrics_of(profile.family, reading) == pytest.approx(stated) or stated["contact"] == "open"
    assert stated["battery_voltage"] == 3.05
    assert stated["relative_humidity"] == 0.882
    _, refused = run("--from-payload", str(tmp_path / "message.json"), "--out", str(out))
    assert isinstance(refused, WrongUsage)


@given(
    st.dictionaries(
        st.sampled_from(sorted(word for word in WORDS if word.isascii())),
        st.integers(-50, 2000) | st.floats(-50, 2000, allow_nan=False) | st.booleans(),
        min_size=1,
        max_size=8,
    )
)
def test_a_draft_of_an_entity_agrees_with_itself(fields: dict[str, object]) -> None:
    entity = {"id": "a", "type": "Something", **{k: v for k, v in fields.items() if k not in ("id", "type")}}
    payload = json.dumps(entity).encode()
    text = draft("mine", ROUTES["ngsi"], "ngsi/x", Packet("a", entity, payload), NOW_US)
    if isinstance(text, Rejected):
        return
    profile = profile_from("mine", parse_yaml(text))
    (reading,) = profile.map(entity, payload)
    assert isinstance(reading, Reading), (text, reading)
    stated = profile.examples[0]["metrics"]
    found = metrics_of(profile.family, reading)
    assert found.keys() == stated.keys(), text
    for name, value in stated.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value)), text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"metrics": {"pm25": 4}}', "exist already"),
        (b"{}", "nothing to draft from"),
        (b"{", "nothing to draft from"),
        (b"[1, 2]", "nothing to draft from"),
        (json.dumps(UPLINK | {"object": None, "data": "AXVk"}).encode(), "nobody decoded"),
    ],
)
def test_nothing_to_draft_from(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(content)
    _, refused = run("--from-payload", str(tmp_path / "message"))
    assert isinstance(refused, Refused)
    assert words in str(refused)


def test_wrong_names(tmp_path: Path) -> None:
    (tmp_path / "message").write_text(json.dumps(UPLINK))
    for out in ("No Good.yaml", "x.yaml", "fine.txt"):
        _, refused = run("--from-payload", str(tmp_path / "message"), "--out", str(tmp_path / out))
        assert isinstance(refused, WrongUsage)
    _, refused = run("--from-payload", str(tmp_path / "message"), "--topic", "dothi/v1/213/aq-1/up")
    assert isinstance(refused, WrongUsage)
    result = CliRunner().invoke(app, ["--from-payload", str(tmp_path / "message")])
    assert result.stdout.startswith("# Drafted from one message of my-device")


@given(st.text(max_size=20))
def test_any_text_is_quoted_as_yaml_has_it(text: str) -> None:
    assert parse_yaml(f"{{key: {quoted(text)}}}") == {"key": text}
