"""Laws over every profile and route, what a native message becomes, and what is never kept."""

import json
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from devices.codecs import CODECS
from devices.envelopes import Packet, opener_of
from devices.envelopes.plain import foreign_name, packets
from devices.laws import LAWS
from devices.profile import PROFILES, BadProfile, fitting, profile_from
from devices.reading import Reading, hash_seq
from devices.rejected import Reason, Rejected
from devices.route import ROUTES, matches, native_topic, route_of
from dothi.commands import catalogue
from dothi.commands.decode import decode
from dothi.errors import Refused, WrongUsage

AIR, FIRE = PROFILES["native-air-quality"], PROFILES["native-fire-watch"]
FRIGATE = PROFILES["frigate-event"]


@pytest.mark.parametrize("law", LAWS, ids=[name for name, _ in LAWS])
@pytest.mark.parametrize("name", PROFILES)
def test_profile_keeps_the_laws(name: str, law: Any) -> None:
    assert list(law[1](PROFILES[name])) == []


@pytest.mark.parametrize("name", ROUTES)
def test_route_has_profiles_topics_and_a_way_to_the_device(name: str) -> None:
    route = ROUTES[name]
    assert any(profile.route == route.kind for profile in PROFILES.values())
    assert opener_of(route)(route.topics[0], b"")
    assert route.topics
    assert all(route_of(topic.replace("#", "a/b").replace("+", "dev")) == route for topic in route.topics)
    assert route.envelope != "plain" or (route.device_level is None) == bool(route.device_paths)
    assert route.envelope != "plain" or route.codec in CODECS
    assert not any(topic.startswith("dothi/") for topic in route.topics)


def message(metrics: dict[str, object], **rest: object) -> bytes:
    return json.dumps({"metrics": metrics, **rest}).encode()


def read_one(payload: bytes) -> Reading:
    (result,) = AIR.read(payload)
    assert isinstance(result, Reading), result
    return result


def refuse_one(payload: bytes) -> Rejected:
    (result,) = AIR.read(payload)
    assert isinstance(result, Rejected), result
    return result


def test_a_plain_message_becomes_a_plain_reading() -> None:
    payload = message({"pm25": 41.2, "pm10": 63}, time=1767225600000, seq=7, boot=2)
    reading = read_one(payload)
    assert reading[:3] == (1767225600000000, 7, 2)
    assert reading.values[:2] == [41.2, 63.0]
    assert all(map(isnan, reading.values[2:]))
    assert all(type(value) is float for value in reading.values)
    assert reading.extra is None
    assert reading.payload == payload
    assert not reading.partial


def test_only_metrics_is_required() -> None:
    payload = message({"pm25": 1})
    reading = read_one(payload)
    assert (reading.time, reading.boot) == (None, None)
    assert reading.seq == hash_seq(payload) == read_one(payload).seq
    assert -(2**63) <= reading.seq < 0
    assert reading.seq != read_one(payload + b" ").seq


def test_null_is_absent_and_not_refused() -> None:
    reading = read_one(message({"pm25": 1, "pm10": None}, time=None, seq=None, boot=None))
    assert isnan(reading.values[1])
    assert reading.extra is None
    assert refuse_one(message({"pm25": None})).reason == Reason.NO_METRIC


@pytest.mark.parametrize(
    ("raw", "kept", "reason"),
    [
        ("-1", -1, "out_of_range"),
        ("5001", 5001, "out_of_range"),
        ("1" + "0" * 30, str(10**30), "out_of_range"),
        ("1" + "0" * 400, str(10**400), "not_finite"),
        ("NaN", "NaN", "not_finite"),
        ("-Infinity", "-Infinity", "not_finite"),
        ("1e400", "1e400", "not_finite"),
        ("true", True, "wrong_type"),
        ('"41.2"', "41.2", "wrong_type"),
        ('"a\\u0000b"', "a␀b", "nul_character"),
        ("[41.2]", [41.2], "wrong_type"),
        ('{"value": 41.2}', {"value": 41.2}, "wrong_type"),
    ],
)
def test_one_bad_value_does_not_cost_the_others(raw: str, kept: object, reason: str) -> None:
    reading = read_one(f'{{"metrics": {{"pm25": {raw}, "pm10": 63}}}}'.encode())
    assert isnan(reading.values[0])
    assert reading.values[1] == 63
    assert reading.extra == {"rejected": {"pm25": kept}, "reasons": {"pm25": reason}}
    assert reading.partial
    alone = refuse_one(f'{{"metrics": {{"pm25": {raw}}}}}'.encode())
    assert (alone.layer, alone.reason, alone.field) == ("values", reason, "pm25")
    assert "0 to 5000 ug/m3" in alone.detail or reason == "nul_character"


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("temperature", 6550.9, "unsigned 16-bit read of a negative number (-2.7)"),
        ("temperature", 100.4, "degrees Fahrenheit (38.0 Cel)"),
        ("temperature", 299.15, "kelvin (26.0 Cel)"),
        ("relative_humidity", 54, "send a share from 0 to 1 (0.54)"),
        ("pm25", 41200, "a factor of 10"),
        ("pm25", "41,2", "decimal comma"),
        ("pm25", "41.2", "without quotes"),
    ],
)
def test_a_refusal_names_the_likely_cause(name: str, raw: object, words: str) -> None:
    assert words in refuse_one(message({name: raw})).detail


def test_latitude_as_text_is_refused_alone() -> None:
    (reading,) = FIRE.read(message({"smoke_confidence": 0.4, "latitude": "21.33"}))
    assert isinstance(reading, Reading)
    assert reading.extra == {"rejected": {"latitude": "21.33"}, "reasons": {"latitude": "wrong_type"}}


def test_what_is_unknown_is_kept() -> None:
    deep = {"a": [1, {"b": None}]}
    reading = read_one(
        message({"pm25": 1, "toluene": 2, "n\0": "a\0b", "rejected": 5}, firmware="1.4", toluene=3, nest=deep)
    )
    expected = {"toluene": 2, "n␀": "a␀b", "metrics.rejected": 5, "firmware": "1.4", "message.toluene": 3, "nest": deep}
    assert reading.extra == expected
    assert not reading.partial


@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        (b"[]", Reason.WRONG_SHAPE, "empty list"),
        (b"5", Reason.WRONG_SHAPE, "expected an object"),
        (b'{"pm25": 41.2}', Reason.WRONG_SHAPE, "put pm25 inside metrics"),
        (b'{"metrics": [1]}', Reason.WRONG_SHAPE, "names and values"),
        (b'{"metrics": {}}', Reason.NO_METRIC, "expected at least one of pm25"),
        (b'{"metrics": {"PM2.5": 4}}', Reason.NO_METRIC, "did you mean PM2.5 → pm25?"),
        (message({"pm25": 1}, seq="7"), Reason.BAD_SEQ, "without quotes"),
        (message({"pm25": 1}, seq=-1), Reason.BAD_SEQ, "0 to 2^63-1"),
        (message({"pm25": 1}, seq=2**63), Reason.BAD_SEQ, "0 to 2^63-1"),
        (message({"pm25": 1}, seq=True), Reason.BAD_SEQ, "0 to 2^63-1"),
        (message({"pm25": 1}, boot=1.5), Reason.BAD_BOOT, "whole number"),
        (message({"pm25": 1}, time="2026-01-01T00:00:00"), Reason.BAD_TIME, "zone"),
        (message({"pm25": 1}, time=1767225600 * 10**9), Reason.TIME_UNIT, "nanoseconds"),
        (b'{"metrics": {"pm25": 1, "x": ' + b"[" * 33 + b"]" * 33 + b"}}", Reason.TOO_DEEP, "32 levels"),
    ],
)
def test_messages_that_become_nothing(payload: bytes, reason: Reason, words: str) -> None:
    rejected = refuse_one(payload)
    assert rejected.reason == reason
    assert words in rejected.detail


def test_nesting_up_to_the_limit_is_kept() -> None:
    assert read_one(b'{"metrics": {"pm25": 1, "x": ' + b"[" * 32 + b"]" * 32 + b"}}").extra


def test_a_list_is_one_entry_per_element() -> None:
    first, second, third = AIR.read(
        b'[{"metrics":{"pm25":1},"seq":4},{"metrics":{"pm25":-1}},{"metrics":{"pm25":NaN,"pm10":3}}]'
    )
    assert isinstance(first, Reading)
    assert (first.seq, first.payload) == (4, b'{"metrics":{"pm25":1},"seq":4}')
    assert isinstance(second, Rejected)
    assert second.detail.startswith("element 2 of 3: pm25")
    assert isinstance(third, Reading)
    assert AIR.read(third.payload) == [third] or third.payload == b'{"metrics":{"pm25":NaN,"pm10":3}}'
    assert third.seq == hash_seq(third.payload)


def test_private_fields_leave_no_trace() -> None:
    secrets = ("98A-123.45", "Nguyễn Văn A", "a red sedan")
    event = {
        "type": "new",
        "recognized_license_plate": secrets[0],
        "after": {
            "camera": "c1",
            "label": "car",
            "sub_label": [secrets[1], 0.9],
            "data": {"attributes": [{"recognized_license_plate": secrets[0], "description": secrets[2]}]},
        },
    }
    payload = json.dumps(event, ensure_ascii=False).encode()
    (reading,) = FRIGATE.read(payload)
    assert isinstance(reading, Reading)
    kept = FRIGATE.redact(FRIGATE.decode(payload), payload)
    assert reading.payload == kept
    for secret in secrets:
        assert secret not in repr(reading)
        assert secret.encode() not in kept
    assert json.loads(kept)["after"]["camera"] == "c1"
    assert reading.seq == hash_seq(kept)


@pytest.mark.parametrize("tail", [b"", b"\xff", b"//", b'"', b"}" * 3])
def test_what_cannot_be_decoded_of_a_private_profile_is_not_kept(tail: bytes) -> None:
    payload = b'{"type": "new", "plate": "98A-123.45' + tail
    rejected = FRIGATE.decode(payload)
    assert isinstance(rejected, Rejected)
    assert FRIGATE.redact(rejected, payload) == b""
    assert "98A" not in repr(rejected)


def test_other_profiles_keep_what_cannot_be_decoded() -> None:
    assert AIR.redact(AIR.decode(b"{"), b"{") == b"{"


@pytest.mark.parametrize(
    ("pattern", "topic", "taken"),
    [
        ("ngsi/#", "ngsi/a/b", True),
        ("ngsi/#", "ngsi", True),
        ("ngsi/#", "ngsix/a", False),
        ("+/status/+", "shelly-1/status/switch:0", True),
        ("+/status/+", "shelly-1/status", False),
        ("frigate/events", "frigate/events", True),
        ("frigate/events", "frigate/events/x", False),
    ],
)
def test_topic_filters(pattern: str, topic: str, taken: bool) -> None:
    assert matches(pattern, topic) is taken


def test_devices_are_named_by_topic_or_document() -> None:
    assert native_topic("dothi/v1/213/aq-1/up") == ("213", "aq-1")
    assert native_topic("dothi/v1/213/aq-1/status") is None
    assert foreign_name(ROUTES["shelly"], "shelly-1/status/switch:0", {}) == "shelly-1"
    assert foreign_name(ROUTES["frigate"], "frigate/events", {"after": {"camera": "c1"}}) == "c1"
    assert foreign_name(ROUTES["frigate"], "frigate/events", {"after": {"camera": 5}}) is None
    assert foreign_name(ROUTES["frigate"], "frigate/events", [1]) is None


def test_a_notification_speaks_of_several_devices() -> None:
    entities = [
        {"id": name, "type": "WeatherObserved", "temperature": degrees} for name, degrees in (("a", 1), ("b", 2))
    ]
    payload = json.dumps({"subscriptionId": "s", "data": entities}).encode()
    document = CODECS["ngsi"](payload)
    found = [(name, json.loads(raw)["temperature"]) for name, _, raw in packets(ROUTES["ngsi"], "", document, payload)]
    assert found == [("a", 1), ("b", 2)]
    assert foreign_name(ROUTES["ngsi"], "ngsi/x", document) is None
    assert all(isinstance(part, Packet) for part in opener_of(ROUTES["ngsi"])("ngsi/x", payload))
    one = fitting(ROUTES["ngsi"], entities[0])
    assert not isinstance(one, Rejected)
    assert one.name == "ngsi-weather-observed"
    other = fitting(ROUTES["ngsi"], {"type": "FlightNotification"})
    assert isinstance(other, Rejected)
    assert "WeatherObserved" in other.detail


GOOD: dict[str, Any] = {
    "family": "air_quality",
    "title": {"vi": "a", "en": "a"},
    "codec": "json",
    "route": "zigbee",
    "interval_s": 60,
    "fields": [{"metric": "pm25", "path": "pm"}],
    "examples": [],
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"family": "moon"}, "unknown family moon"),
        ({"codec": "xml"}, "unknown codec xml"),
        ({"codec": "native"}, "without fields"),
        ({"interval_s": 0}, "interval_s is 0"),
        ({"intervall": 60}, "unknown key intervall"),
        ({"title": {"en": "a"}}, "vi is missing"),
        ({"fields": [{"metric": "pm3", "path": "pm"}]}, "pm3 is missing or unknown"),
        ({"fields": [{"metric": "pm25", "path": "pm", "unit": "furlong"}]}, "unknown unit"),
        ({"fields": [{"metric": "pm25", "path": "pm", "unit": "hPa"}]}, "mass concentration"),
        ({"fields": [{"metric": "pm25", "pfad": "pm"}]}, "unknown key pfad"),
    ],
)
def test_a_faulty_profile_file_says_what_is_wrong(change: dict[str, Any], words: str) -> None:
    profile_from("mine", GOOD)
    with pytest.raises(BadProfile, match=words):
        profile_from("mine", GOOD | change)


def test_the_laws_find_a_wrong_example() -> None:
    examples = [
        {"name": "one", "payload": '{"pm": 4, "plate": "98A"}', "metrics": {"pm25": 5}, "absent": ["98A"]},
        {"name": "two", "payload": "{", "reason": "no_metric"},
    ]
    profile = profile_from("mine", GOOD | {"examples": examples})
    problems = "\n".join(problem for _, law in LAWS for problem in law(profile))
    for words in ("pm25 is 4.0; expected 5", "'98A' must not be kept", "malformed; expected no_metric", "2 examples"):
        assert words in problems


app = typer.Typer()
for command in (catalogue.families, catalogue.profiles, catalogue.check, decode):
    app.command()(command)


def run(*words: str) -> tuple[Any, BaseException | None]:
    """A command's JSON, and what it refused with."""
    result = CliRunner().invoke(app, [*words, "--json"])
    document = json.loads(result.stdout) if result.stdout.strip() else None
    return document, None if isinstance(result.exception, SystemExit) else result.exception


def test_catalogue_as_json() -> None:
    families, _ = run("families")
    assert [family["name"] for family in families][:2] == ["air_quality", "aquaculture"]
    profiles, _ = run("profiles")
    assert {profile["name"] for profile in profiles} == set(PROFILES)
    assert CliRunner().invoke(app, ["families"]).exit_code == 0


def test_wrong_usage_says_what_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_text("{}")
    for words in (["decode", str(file), "--profile", "none"], ["check", "none"]):
        _, refused = run(*words)
        assert isinstance(refused, WrongUsage)
        assert "native-air-quality" in str(refused)
    _, refused = run("decode", str(tmp_path / "absent"), "--profile", "native-weather")
    assert isinstance(refused, WrongUsage)


def test_check_judges_a_file(tmp_path: Path) -> None:
    verdicts, refused = run("check")
    assert refused is None
    assert len(verdicts) == len(PROFILES) * (len(LAWS) + 1) + 2
    file = tmp_path / "my-sensor.yaml"
    file.write_text(json.dumps(GOOD))  # JSON is YAML
    verdicts, refused = run("check", str(file))
    assert isinstance(refused, Refused)
    assert "examples" in str([verdict["law"] for verdict in verdicts if not verdict["ok"]])
    odd = {"route": "none", "behaviour": {"pm25": {"curve": "day"}}, "examples": [{"name": "x"}, {"payload": 5}]}
    file.write_text(json.dumps(GOOD | odd))
    verdicts, refused = run("check", str(file))
    assert isinstance(refused, Refused)
    assert "cannot be tried" in str(verdicts)
    for text, words in (("a: [", "not YAML"), ("a: 1", "unknown key a"), ("- 1", "my-sensor")):
        file.write_text(text)
        _, refused = run("check", str(file))
        assert isinstance(refused, Refused)
        assert words in str(refused)
