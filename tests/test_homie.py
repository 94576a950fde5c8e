"""Homie 4 and 5: types and units from descriptions, guesses without; and any topic and bytes whatever."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.envelopes import Notice, Packet
from devices.envelopes.homie import Homie
from devices.envelopes.homie_memory import MAX_PROPERTIES, Memory
from devices.laws import stated_metrics
from devices.profile import PROFILES
from devices.reading import Reading
from devices.rejected import Reason, Rejected

quick = settings(database=None, deadline=None, max_examples=100)
FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads"))
LAMP, ROOM = PROFILES["homie-lamp"], PROFILES["homie-room"]

DESCRIPTION = {
    "homie": "5.0",
    "version": 7,
    "nodes": {
        "air": {
            "properties": {
                "temperature": {"datatype": "float", "unit": "°F"},
                "pressure": {"datatype": "float", "unit": "Pa"},
                "label": {"datatype": "string"},
                "set-point": {"datatype": "json"},
            }
        },
        "room": {"properties": {"occupied": {"datatype": "boolean"}, "people": {"datatype": "integer", "unit": "#"}}},
    },
}


def described(description: Any = DESCRIPTION) -> Homie:
    read = Homie()
    (notice,) = read("homie/5/dev/$description", json.dumps(description).encode())
    assert isinstance(notice, Notice), notice
    return read


def only(read: Homie, topic: str, payload: bytes) -> Any:
    (part,) = read(topic, payload)
    return part.document if isinstance(part, Packet) else part


def metrics(profile: Any, packet: Packet | Notice) -> Any:
    assert isinstance(packet, Packet)
    (reading,) = profile.map(packet.document, packet.payload)
    return stated_metrics(profile, reading) if isinstance(reading, Reading) else reading


@pytest.mark.parametrize("as_list", [False, True], ids=["objects by id", "lists, as in drafts"])
def test_units_come_from_the_description(as_list: bool) -> None:
    description: dict[str, Any] = DESCRIPTION
    if as_list:
        nodes = [
            {"id": node, "properties": [{"id": name, **said} for name, said in entry["properties"].items()]}
            for node, entry in DESCRIPTION["nodes"].items()  # type: ignore[attr-defined]  # it is a dict
        ]
        description = {**DESCRIPTION, "nodes": nodes}
    read = described(description)
    (packet,) = read("homie/5/dev/air/temperature", b"14")
    assert packet.foreign_id == "dev"
    assert isinstance(packet, Packet)
    assert packet.document == {
        "temperature": 14,
        "$nodes": {"air": {"temperature": 14}},
        "$unit": {"temperature": "°F"},
    }
    assert metrics(ROOM, packet) == {"temperature": pytest.approx(-10)}
    assert metrics(ROOM, read("homie/5/dev/air/pressure", b"100950")[0]) == {"atmospheric_pressure": 1009.5}
    assert metrics(ROOM, read("homie/5/dev/room/occupied", b"true")[0]) == {"occupied": "yes"}
    assert only(read, "homie/5/dev/room/people", b"3")["$unit"] == {"people": "1"}
    assert only(read, "homie/5/dev/air/label", b"12")["label"] == "12"
    assert only(read, "homie/5/dev/air/set-point", b'{"a": 1}')["set-point"] == {"a": 1}


def test_units_of_homie_4_come_property_by_property() -> None:
    read = Homie()
    for attribute, text in (
        ("$name", b"T"),
        ("$datatype", b"float"),
        ("$unit", "°F".encode()),
        ("$settable", b"false"),
    ):
        assert isinstance(only(read, f"homie/dev/air/temperature/{attribute}", text), Notice)
    assert only(read, "homie/dev/air/temperature", b"14")["$unit"] == {"temperature": "°F"}
    assert only(read, "homie/dev/air/temperature", b"hot").reason == Reason.WRONG_TYPE


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"true", True),
        (b"false", False),
        (b"40", 40),
        (b"-3.5", -3.5),
        (b"1e3", 1000.0),
        (b"TRUE", "TRUE"),
        (b"21 C", "21 C"),
    ],
)
def test_without_a_description_the_text_tells(payload: bytes, value: object) -> None:
    found = only(Homie(), "homie/5/dev/node/x", payload)["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        ("air/temperature", b"21,5", "decimal comma"),
        ("air/temperature", b" 21.5", "spaces"),
        ("air/temperature", b"NaN", "-3.5 (float)"),
        ("room/occupied", b"TRUE", "small letters"),
        ("air/label", b"\xff", "UTF-8"),
        ("air/label", b"x" * 70_000, "65536"),
        ("air/set-point", b"{", "JSON"),
    ],
)
def test_a_value_of_another_type_is_refused(topic: str, payload: bytes, words: str) -> None:
    rejected = only(described(), f"homie/5/dev/{topic}", payload)
    assert isinstance(rejected, Rejected)
    assert words in rejected.detail
    assert rejected.field == topic


@pytest.mark.parametrize(
    ("topic", "payload", "kind"),
    [
        ("homie/5/dev/$state", b"ready", "online"),
        ("homie/5/dev/$state", b"alert", "online"),
        ("homie/5/dev/$state", b"init", "other"),
        ("homie/5/dev/$state", b"lost", "offline"),
        ("homie/dev/$state", b"disconnected", "offline"),
        ("homie/5/dev/$log/warn", b"low battery", "other"),
        ("homie/5/dev/$alert/battery", b"low", "other"),
        ("homie/dev/$stats/uptime", b"120", "other"),
        ("homie/dev/$homie", b"4.0.0", "other"),
        ("homie/dev/air/$name", b"Air", "other"),
        ("homie/5/dev/light/brightness/$target", b"100", "other"),
        ("homie/5/dev/light/brightness/set", b"100", "other"),
        ("homie/5/dev/light/brightness", b"", "other"),
        ("homie/5/$broadcast/security", b"alert", "other"),
    ],
)
def test_what_carries_no_reading_is_a_notice(topic: str, payload: bytes, kind: str) -> None:
    notice = only(Homie(), topic, payload)
    assert isinstance(notice, Notice)
    assert notice.kind == kind


@pytest.mark.parametrize("topic", ["homie/5/dev", "homie/dev/node", "homie/5/dev/a/b/c"])
def test_a_topic_of_another_form_is_refused(topic: str) -> None:
    rejected = only(Homie(), topic, b"1")
    assert isinstance(rejected, Rejected)
    assert rejected.field == "topic"


def test_a_description_that_is_none_is_refused_with_its_place() -> None:
    rejected = only(Homie(), "homie/5/dev/$description", b'{\n"nodes": }')
    assert (rejected.layer, rejected.reason, rejected.field) == ("envelope", Reason.MALFORMED, "$description")
    assert "line 2" in rejected.detail
    assert only(Homie(), "homie/5/dev/$description", b"[]").reason == Reason.WRONG_SHAPE
    assert isinstance(only(Homie(), "homie/5/dev/$description", b""), Notice)


def test_two_values_of_one_moment_are_two_readings() -> None:
    read = Homie()
    first, second = read("homie/5/dev/lamp/power", b"true")[0], read("homie/5/dev/motor/on", b"true")[0]
    assert isinstance(first, Packet)
    assert isinstance(second, Packet)
    assert first.payload != second.payload
    assert read("homie/5/dev/lamp/power", first.payload) == [first]


def test_memory_is_bounded() -> None:
    memory = Memory(max_devices=10, max_in_all=1000)
    read = Homie(memory)
    many = {"nodes": {"n": {"properties": {f"p{number}": {"datatype": "float"} for number in range(2000)}}}}
    for number in range(30):
        read(f"homie/5/dev{number}/$description", json.dumps(many).encode())
        read(f"homie/old{number}/n/p/$unit", b"m")
    assert len(memory) <= 10
    assert memory.in_all <= 1000
    assert len(many["nodes"]["n"]["properties"]) > MAX_PROPERTIES


levels = st.sampled_from(["homie", "5", "dev", "$state", "$description", "a", "b", "set", "$target", "$unit", "", "5x"])


@given(
    st.lists(levels, max_size=7).map("/".join),
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                b'{"homie": {}}',
                b'{"homie": {"a": 1}}',
                b'{"homie": {"a/b": "1"}}',
                b'{"nodes": [1, {"id": 1, "properties": 3}]}',
            ]
        ),
    ),
)
@quick
def test_any_topic_and_any_bytes_are_answered(topic: str, payload: bytes) -> None:
    read = described()
    for part in read(topic, payload):
        if isinstance(part, Packet):
            assert LAMP.map(part.document, part.payload)


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")
def test_messages_of_the_convention() -> None:
    read = Homie()

    def of(name: str, topic: str) -> Any:
        (part,) = read(f"homie/5/kitchen-light/light/{topic}", (FOLDER / "homie" / name).read_bytes().strip())
        return part if isinstance(part, Notice) else metrics(LAMP, part)

    assert of("topic-4-kitchen-light-light-power.txt", "power") == {"power_state": "on"}
    assert of("topic-5-kitchen-light-light-brightness-target.txt", "brightness/$target").kind == "other"
    shares = [of(f"topic-{number}-kitchen-light-light-brightness.txt", "brightness") for number in (7, 8, 9)]
    assert shares == [{"dimming_level": share} for share in (0.4, 0.6, 0.8)]
    # The convention shows a part of a description with dots in it: no JSON, and said so.
    rejected = only(read, "homie/5/super-car/$description", (FOLDER / "homie/doc-1.json").read_bytes())
    assert rejected.reason == Reason.MALFORMED
