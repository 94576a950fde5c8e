"""Cameras: ONVIF's events in both shapes, Axis and its applications, Frigate; what is private is never kept."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.envelopes import Notice, Opener, Packet, opener_of
from devices.envelopes.camera_topics import TOPICS, about, plain_topic
from devices.family import FAMILIES
from devices.laws import stated_metrics
from devices.profile import PROFILES, fitting
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES, route_of
from tests.test_payloads import without_comments

quick = settings(database=None, deadline=None, max_examples=100)
FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads"))
ONVIF, AXIS, FRIGATE = (opener_of(ROUTES[name]) for name in ("onvif", "axis", "frigate"))
OPENERS = {"onvif": ONVIF, "axis": AXIS, "frigate": FRIGATE}


def become(topic: str, payload: bytes) -> list[tuple[str | None, Any]]:
    """Who speaks and the metrics that the fitting profile finds; a Rejected or a Notice where there are none."""
    route = route_of(topic)
    assert route is not None
    return [(part.foreign_id, told(route.name, part)) for part in OPENERS[route.name](topic, payload)]


def told(route: str, part: Packet | Notice) -> Any:
    if isinstance(part, Notice):
        return part
    profile = part.document if isinstance(part.document, Rejected) else fitting(ROUTES[route], part.document)
    if isinstance(profile, Rejected):
        return profile
    (result,) = profile.map(part.document, part.payload)
    return {"profile": profile.name, **stated_metrics(profile, result)} if isinstance(result, Reading) else result


def event(local: str, data: dict[str, Any], **source: Any) -> list[tuple[str | None, Any]]:
    payload = {"UtcTime": "2026-01-01T00:00:00Z", "Source": source, "Data": data}
    return become(f"cam-1/onvif-ej/{local}", json.dumps(payload).encode())


# --- topics


@pytest.mark.parametrize(
    ("topic", "plain"),
    [
        ("tns1:Device/tnsaxis:Sensor/PIR", "Device/Sensor/PIR"),
        ("onvif:Device/axis:Sensor/PIR", "Device/Sensor/PIR"),
        ("tns:onvif/Device/tns:axis/Sensor/PIR/$source/sensor/0", "Device/Sensor/PIR"),
        ("RuleEngine/CountAggregation/Counter/&1/Vao", "RuleEngine/CountAggregation/Counter"),
        (
            "axis:CameraApplicationPlatform/ObjectAnalytics/Device1Scenario1",
            "CameraApplicationPlatform/ObjectAnalytics/Device1Scenario1",
        ),
    ],
)
def test_topics_lose_their_namespaces(topic: str, plain: str) -> None:
    assert plain_topic(topic) == plain


def test_every_kind_is_a_state_of_its_family() -> None:
    event_kinds = FAMILIES["camera_event"].metrics[FAMILIES["camera_event"].index["event_kind"]].states
    health = {metric.name: metric.states for metric in FAMILIES["camera_health"].metrics}
    for _, found in TOPICS:
        if found.part == "health":
            assert found.kind == "usage" or {found.active, found.quiet} <= {*health[found.kind]}
        else:
            assert found.kind in event_kinds


@pytest.mark.parametrize(
    ("topic", "part", "kind"),
    [
        ("RuleEngine/CountAggregation/Counter", "counter", "count"),
        ("RuleEngine/CountAggregation/OccupancyCounter", "occupancy", "count"),
        ("RuleEngine/LineDetector/Crossed", "event", "line_crossing"),
        ("RuleEngine/FieldDetector/ObjectsInside", "event", "zone_entry"),
        ("RuleEngine/LoiteringDetector/ObjectIsLoitering", "event", "loitering"),
        ("RuleEngine/CellMotionDetector/Motion", "event", "motion"),
        ("RuleEngine/Recognition/LicensePlate", "event", "plate_read"),
        ("RuleEngine/TamperDetector/Tamper", "health", "picture"),
        ("VideoSource/GlobalSceneChange/ImagingService", "health", "picture"),
        ("VideoSource/ImageTooDark/AnalyticsService", "health", "picture"),
        ("VideoSource/SignalLoss", "health", "picture"),
        ("Device/HardwareFailure/StorageFailure", "health", "recording"),
        ("Device/HardwareFailure/FanFailure", "health", "state"),
        ("Monitoring/ProcessorUsage", "health", "usage"),
        ("Media/ProfileChanged", "none", "other"),
        ("RecordingConfig/JobState", "none", "other"),
    ],
)
def test_what_a_topic_is_about(topic: str, part: str, kind: str) -> None:
    assert about(topic)[:2] == (part, kind)


# --- ONVIF


def test_a_counter_has_a_name_of_its_own() -> None:
    ((name, metrics),) = event(
        "RuleEngine/CountAggregation/Counter/&1/Vao", {"Count": "1205"}, VideoSource="1", Rule="Vao"
    )
    assert name == "cam-1/Vao"
    assert metrics == {"profile": "onvif-counter", "event_kind": "count", "total_count": 1205}


@pytest.mark.parametrize(("raw", "word"), [("true", "new"), (True, "new"), ("1", "new"), ("0", "end"), (False, "end")])
def test_states_come_as_texts_too(raw: object, word: str) -> None:
    ((name, metrics),) = event("VideoSource/MotionAlarm", {"State": raw}, Source="1")
    assert name == "cam-1"
    assert metrics == {"profile": "onvif-event", "event_kind": "motion", "event": word}


def test_simple_items_and_plain_names_say_the_same() -> None:
    items = {
        "UtcTime": "2026-01-01T00:00:00Z",
        "Source": {"SimpleItem": [{"Name": "VideoSource", "Value": "1"}, {"Name": "Rule", "Value": "Vao"}]},
        "Data": {"SimpleItem": {"Name": "Count", "Value": "1205"}},
    }
    topic = "cam-1/onvif-ej/RuleEngine/CountAggregation/Counter"
    plain = event("RuleEngine/CountAggregation/Counter", {"Count": "1205"}, VideoSource="1", Rule="Vao")
    assert become(topic, json.dumps(items).encode()) == plain
    assert become(topic, json.dumps({"Message": items}).encode()) == plain
    marked = {"tt:Message": {"@UtcTime": items["UtcTime"], "tt:Source": items["Source"], "tt:Data": items["Data"]}}
    assert become(topic, json.dumps(marked).encode()) == plain


def test_the_class_of_an_object_within() -> None:
    inner = {"Appearance": {"Class": {"Type": {"Value": "Human", "Likelihood": 0.8}}}}
    ((_, metrics),) = event("RuleEngine/LineDetector/Crossed", {"ObjectId": "7", "Object": inner}, Rule="Line 1")
    assert metrics == {"profile": "onvif-event", "event_kind": "line_crossing", "object_class": "person"}


def test_the_prefix_may_have_levels_and_names_the_camera() -> None:
    payload = b'{"UtcTime": "2026-01-01T00:00:00Z", "Source": {}, "Data": {"State": true}}'
    assert become("site/cam-2/onvif-ej/VideoSource/MotionAlarm", payload)[0][0] == "site/cam-2"


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        ("cam/onvif-ej/x", b"<tt:Message/>", "payload to JSON"),
        ("cam/onvif-ej/x", b"", "no content"),
        ("cam/onvif-ej/x", b"[1]", "UtcTime"),
        ("cam/onvif-ej/x", b'{"a": 1}', "UtcTime"),
    ],
)
def test_what_is_no_event_is_refused(topic: str, payload: bytes, words: str) -> None:
    ((name, rejected),) = become(topic, payload)
    assert name == "cam"
    assert rejected.layer == "envelope"
    assert words in rejected.detail


def test_whatever_may_be_a_plate_is_not_kept() -> None:
    for data in (
        {"Kennzeichen": "98A-12345", "Likelihood": 0.9},
        {"nummer": "9812345"},
        {"Vehicle": {"no": "98A-12345"}},
    ):
        (packet,) = ONVIF(
            "cam/onvif-ej/RuleEngine/Recognition/LicensePlate",
            json.dumps({"UtcTime": "2026-01-01T00:00:00Z", "Data": data}).encode(),
        )
        assert isinstance(packet, Packet)
        (reading,) = PROFILES["onvif-event"].map(packet.document, packet.payload)
        assert isinstance(reading, Reading)
        assert "12345" not in repr(reading) + repr(PROFILES["onvif-event"].redact(packet.document, packet.payload))
    data = {"plate": "98A-12345", "active": True, "serial": "B8", "timestamp": 1772276400318}
    (packet,) = AXIS("dataq/event/B8/acap/LPR/plate", json.dumps(data).encode())
    assert isinstance(packet, Packet)
    assert "12345" not in repr(packet.document)


def test_the_action_tells_where_the_topic_does_not() -> None:
    data = {"State": "true", "Action": "Intrusion", "ClassTypes": "Person,Vehicle"}
    ((_, metrics),) = event("OpenApp/WiseAI/IvaArea", data)
    assert metrics == {"profile": "onvif-event", "event": "new", "event_kind": "zone_entry", "object_class": "person"}
    ((name, counted),) = event("OpenApp/Other", {"Count": "5"}, Rule="In")
    assert (name, counted) == ("cam-1/In", {"profile": "onvif-counter", "event_kind": "count", "total_count": 5})


def test_what_no_family_takes_is_a_notice() -> None:
    ((_, notice),) = event("Media/ProfileChanged", {"Token": "1"})
    assert isinstance(notice, Notice)
    (frames,) = ONVIF("cam/onvif-mj/VideoAnalytics", b"{")
    assert isinstance(frames, Notice)


# --- Axis


def test_counts_by_class_are_kept_as_numbers() -> None:
    data = {"startTime": "2022-12-06T22:01:25Z", "reason": "car", "total": "20960", "totalMotorcycle/bicycle": "12"}
    payload = {"topic": "axis:CameraApplicationPlatform/ObjectAnalytics/Device1Scenario2", "timestamp": 1670518346712,
               "serial": "0123456789AB", "message": {"source": {}, "key": {}, "data": data}}  # fmt: skip
    (packet,) = AXIS("axis/x/event/y", json.dumps(payload).encode())
    assert packet.foreign_id == "0123456789AB/Device1Scenario2"
    assert isinstance(packet, Packet)
    (reading,) = PROFILES["axis-object-analytics"].map(packet.document, packet.payload)
    assert isinstance(reading, Reading)
    assert reading.extra is not None
    assert reading.extra["message.data.totalMotorcycle/bicycle"] == 12
    assert not reading.partial


@pytest.mark.parametrize(
    ("topic", "name"),
    [("axis/0123456789AB/event/tns:onvif/Device/tns:axis/Sensor/PIR", "0123456789AB"), ("axis/events", None)],
)
def test_the_serial_may_stand_in_the_topic_alone(topic: str, name: str | None) -> None:
    payload = (
        b'{"timestamp": 1590045190230, "topic": "onvif:Device/axis:Sensor/PIR", "message": {"data": {"state": "1"}}}'
    )
    assert become(topic, payload) == [(name, {"profile": "axis-event", "event_kind": "motion", "event": "new"})]


@pytest.mark.parametrize(
    ("topic", "document", "kind"),
    [
        ("dataq/connect/B8", {"connected": True, "serial": "B8"}, "online"),
        ("dataq/connect/B8", {"connected": False, "serial": "B8"}, "offline"),
        ("dataq/image/B8", {"image": "AAAA", "serial": "B8"}, "other"),
        ("dataq/detections/B8", {"list": [{"id": "a"}], "serial": "B8"}, "other"),
    ],
)
def test_what_the_application_sends_besides(topic: str, document: Any, kind: str) -> None:
    ((name, notice),) = become(topic, json.dumps(document).encode())
    assert isinstance(notice, Notice)
    assert (name, notice.kind) == ("B8", kind)


def test_nobody_in_view_is_a_count_of_nought() -> None:
    ((name, metrics),) = become("dataq/occupancy/B8", b'{"occupancy": {}, "serial": "B8", "timestamp": 1772276400318}')
    assert name == "B8/occupancy"
    assert metrics == {"profile": "axis-object-analytics", "event_kind": "count", "count": 0}


def test_a_message_of_another_kind_is_refused() -> None:
    ((_, rejected),) = become("axis/x", b'{"hello": 1}')
    assert (rejected.layer, rejected.reason) == ("envelope", Reason.WRONG_SHAPE)


# --- Frigate


@pytest.mark.parametrize(
    ("topic", "payload", "name", "metrics"),
    [
        ("frigate/front/person", b"2", "front/person", {"object_class": "person", "event_kind": "count", "count": 2}),
        ("frigate/front/all", b"0", "front/all", {"event_kind": "count", "count": 0}),
        (
            "frigate/yard/car/active",
            b"1",
            "yard/car/active",
            {"object_class": "car", "event_kind": "count", "count": 1, "motion": "moving"},
        ),
        ("frigate/front/status/detect", b"offline", "front/health", {"state": "offline"}),
        ("frigate/front/status/detect", b"disabled", "front/health", {"state": "maintenance"}),
        ("frigate/front/motion", b"ON", "front", {"event": "new", "event_kind": "motion"}),
        ("frigate/front/motion", b"OFF", "front", {"event": "end", "event_kind": "motion"}),
        ("frigate/front/audio/bark", b"ON", "front", {"event": "new", "event_kind": "other", "object_class": "other"}),
        ("frigate/front/review_status", b"ALERT", "front", {"severity": "alert"}),
    ],
)
def test_messages_of_frigate(topic: str, payload: bytes, name: str, metrics: dict[str, Any]) -> None:
    ((found, stated),) = become(topic, payload)
    assert found == name
    assert stated.pop("profile") in ("frigate-event", "frigate-count", "frigate-camera")
    assert stated == metrics


@pytest.mark.parametrize(
    ("topic", "payload", "kind"),
    [
        ("frigate/available", b"online", "online"),
        ("frigate/available", b"offline", "offline"),
        ("frigate/front/person/snapshot", b"\xff\xd8\xff\xe0", "other"),
        ("frigate/front/detect/state", b"ON", "other"),
        ("frigate/front/detect/set", b"ON", "other"),
        ("frigate/front/motion/state", b"ON", "other"),
        ("frigate/front/motion_threshold/state", b"30", "other"),
        ("frigate/front/ptz_autotracker/active", b"ON", "other"),
        ("frigate/front/audio/dBFS", b"-31.5", "other"),
        ("frigate/front/audio/transcription", b"hello", "other"),
        ("frigate/front/review_status", b"NONE", "other"),
        ("frigate/front/status/record", b"offline", "offline"),
        ("frigate/camera_activity", b"{}", "other"),
        ("frigate/notifications/state", b"ON", "other"),
    ],
)
def test_what_carries_no_reading_is_a_notice(topic: str, payload: bytes, kind: str) -> None:
    ((_, notice),) = become(topic, payload)
    assert isinstance(notice, Notice), notice
    assert notice.kind == kind


def test_statistics_tell_of_every_camera() -> None:
    now = {"cameras": {"a": {"camera_fps": 5.1}, "b": {"camera_fps": 0}}, "detectors": {}}
    for document in (now, {**now["cameras"], "detectors": {}, "service": {}}):
        assert become("frigate/stats", json.dumps(document).encode()) == [
            ("a/health", {"profile": "frigate-camera", "state": "online", "frame_rate": 5.1}),
            ("b/health", {"profile": "frigate-camera", "state": "offline", "frame_rate": 0}),
        ]


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        ("frigate/front/person", b"many", "whole number"),
        ("frigate/front/person", b"-1", "whole number"),
        ("frigate/front/motion", b"yes", "ON or OFF"),
        ("frigate/front/a/b", b"1", "no known message"),
        ("frigate/stats", b"{}", "name no camera"),
        ("frigate/events", b"{", "not JSON"),
    ],
)
def test_what_frigate_does_not_send_is_refused(topic: str, payload: bytes, words: str) -> None:
    ((_, rejected),) = become(topic, payload)
    assert isinstance(rejected, Rejected)
    assert words in rejected.detail


# --- any bytes


LEVELS = "axis dataq frigate cam onvif-ej onvif-mj event tracker stats events &1 RuleEngine Counter person active B8"
WORDS = st.sampled_from([*LEVELS.split(), "", "ObjectAnalytics", "tns1:VideoSource", "$source"])
KEYS = (
    "timestamp topic serial message data source SimpleItem Name Value UtcTime Data Source occupancy class total after"
)
NAMES = st.sampled_from([*KEYS.split(), "totalCar", "cameras", "camera_fps", "state", "Object", "path"])
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just("RuleEngine/Counter")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=10,
)


@given(
    st.sampled_from([*OPENERS.items()]),
    st.lists(WORDS, max_size=6).map("/".join),
    st.one_of(st.binary(max_size=30), DOCUMENTS.map(lambda d: json.dumps(d).encode())),
)
@settings(database=None, deadline=None, max_examples=300)
def test_any_topic_and_any_bytes_are_answered(system: tuple[str, Opener], topic: str, payload: bytes) -> None:
    name, opener = system
    opened = opener(topic, payload)
    assert opened
    for part in opened:
        if isinstance(part, Packet):
            for profile in (profile for profile in PROFILES.values() if profile.route == name):
                assert profile.map(part.document, part.payload)


# --- messages that nobody here wrote


DATAQ = {
    "tracker-serial-4": "tracker/{}",
    "occupancy-serial-6": "occupancy/{}",
    "event-serial-eventTopic-7": "event/{}/acap/DataQ/anomaly",
    "image-serial-9": "image/{}",
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")
def test_published_messages_of_axis_cameras() -> None:
    folder = FOLDER / "onvif-axis-mqtt"
    counts: dict[str, Any] = {}
    for path in sorted(folder.glob("*.json*")):
        name = path.name.split(".")[0].removeprefix("dataq-")
        if ".expected." in path.name:
            continue
        topic = "dataq/" + DATAQ[name].format("B8A44F7ADD87") if name in DATAQ else "axis/0123456789AB/event/x"
        payload = without_comments(path.read_bytes()) if path.suffix == ".jsonc" else path.read_bytes()
        ((device, result),) = become(topic, payload)
        counts[name] = result
        if name.startswith("aoa"):
            expected = json.loads((folder / f"{name}.expected.json").read_text())
            assert device == f"{expected['serial']}/Device1Scenario1"
            (packet,) = AXIS(topic, payload)
            assert isinstance(packet, Packet)
            assert isinstance(packet.document, dict)
            assert packet.document["message"]["data"].items() >= expected["counts_as_integers"].items()
            (reading,) = PROFILES["axis-object-analytics"].map(packet.document, packet.payload)
            assert isinstance(reading, Reading)
            assert reading.time == expected["timestamp_ms"] * 1000
    car = {"profile": "axis-object-analytics", "object_class": "car", "event_kind": "count"}
    assert counts["aoa-crossline-0"] == {**car, "total_count": 20960}
    assert counts["aoa-crossline-1"] == {**car, "total_count": 21093}
    assert counts["axis-lib-0"] == {"profile": "axis-event", "event_kind": "motion", "event": "end"}
    assert counts["axis-lib-1"] == {
        "profile": "axis-event",
        "event_kind": "object",
        "event": "end",
        "object_class": "person",
    }
    assert counts["occupancy-serial-6"] == {"profile": "axis-object-analytics", "event_kind": "count", "count": 4}
    assert counts["event-serial-eventTopic-7"] == {"profile": "axis-event", "event_kind": "other", "event": "new"}
    assert isinstance(counts["image-serial-9"], Notice)
    tracked = {
        "object_class": "person",
        "event": "update",
        "event_kind": "object",
        "confidence": 0.87,
        "dwell_time": 3.2,
    }
    assert counts["tracker-serial-4"] == {"profile": "axis-event", **tracked}
