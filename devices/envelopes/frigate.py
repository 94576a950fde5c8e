"""Frigate (docs.frigate.video, integrations/mqtt): `frigate/…`. Foreign ids follow the topics.

`<camera>` (events, reviews, motion), `<camera or zone>/<object>[/active]` (counts), `<camera>/health` (statistics).
"""

from typing import Any

from devices.codecs import CODECS, encode
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.envelopes.plain import packets
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

LARGEST_COUNT = 100_000
ON = {"ON": True, "OFF": False}
DOCUMENTS = frozenset(("events", "reviews", "tracked_object_update", "triggers"))
SILENT = frozenset(("restart", "onConnect", "camera_activity", "notifications", "profile", "model_state", "job_state"))
SWITCHES = frozenset(
    (
        *("detect", "recordings", "snapshots", "improve_contrast", "motion_threshold", "motion_contour_area", "ptz"),
        *("ptz_autotracker", "birdseye", "birdseye_mode", "review_alerts", "review_detections", "notifications"),
        *("enabled", "object_descriptions", "review_descriptions", "audio_transcription", "classification"),
    )
)
ENDINGS = frozenset(("set", "state", "suspend", "suspended", "status"))
STATUS = {"online": "online", "offline": "offline", "disabled": "maintenance"}


def open_frigate(route: Route) -> Opener:
    """The opener of a route; `route.device_paths` name the camera of an event."""

    def open_message(topic: str, payload: bytes) -> Opened:
        levels = [clean(level) for level in topic.split("/")[1:]]
        if len(levels) < 2:
            return whole_system(route, topic, levels[0] if levels else "", payload)
        return of_camera(levels, payload)

    return open_message


def whole_system(route: Route, topic: str, name: str, payload: bytes) -> Opened:
    """Messages of Frigate itself: events of all cameras, statistics, whether it runs."""
    if name == "available":
        word = payload.strip().lower()
        return [Notice(None, "offline" if word == b"offline" else "online", f"Frigate is {shown(text_of(word))}")]
    if name in SILENT:
        return [Notice(None, "other", f"{name}: carries no reading")]
    document = CODECS["json"](payload)
    if isinstance(document, Rejected):
        return [Packet(None, document, payload)]
    if name == "stats" or (name not in DOCUMENTS and isinstance(document, dict) and "detectors" in document):
        return statistics(document, payload)
    return [*packets(route, topic, document, payload)]


def statistics(document: object, payload: bytes) -> Opened:
    """How each camera is, from the statistics of all: under `cameras`, or at the top in versions before 0.13."""
    cameras = document.get("cameras", document) if isinstance(document, dict) else {}
    found: Opened = []
    for camera, entry in cameras.items() if isinstance(cameras, dict) else ():
        if isinstance(entry, dict) and "camera_fps" in entry:
            rate = entry["camera_fps"]
            told = {"camera": camera, **entry, "part": "health", "state": "offline" if rate == 0 else "online"}
            found.append(Packet(f"{clean(str(camera))}/health", told, encode({"cameras": {camera: entry}}, b"{}")))
    if found:
        return found
    detail = 'the statistics name no camera; expected {"cameras": {"<name>": {"camera_fps", …}}}'
    return [Packet(None, Rejected("envelope", Reason.WRONG_SHAPE, "cameras", None, detail), payload)]


def of_camera(levels: list[str], payload: bytes) -> Opened:
    """Messages under the name of a camera or a zone."""
    camera, subject, *rest = levels
    last = rest[-1] if rest else ""
    if last == "snapshot" or payload[:2] == b"\xff\xd8":
        return [Notice(camera, "other", "a picture; pictures belong in the recorder and are not stored")]
    if subject == "status":
        return status(camera, last, payload)
    if subject in SWITCHES or subject in ENDINGS or last in ENDINGS:
        return [Notice(camera, "other", f"{subject}: a setting of the camera")]
    if subject == "motion" and not rest:
        return switched(camera, {"camera": camera, "event_kind": "motion"}, payload)
    if subject == "review_status":
        return review(camera, payload)
    if subject == "audio" and rest:
        return sound(camera, last, payload)
    if not rest or last == "active":
        return count(camera, subject, last == "active", payload)
    detail = (
        f"no known message of Frigate ends in {'/'.join(levels[1:])[:80]}; expected <object>, <object>/active or motion"
    )
    return [Packet(camera, Rejected("envelope", Reason.WRONG_SHAPE, "topic", None, detail), payload)]


def status(camera: str, role: str, payload: bytes) -> Opened:
    """Whether a camera's stream runs; the one for detection stands for the camera."""
    word = text_of(payload).strip().lower()
    if role == "detect" and word in STATUS:
        return [Packet(f"{camera}/health", {"part": "health", "camera": camera, "state": STATUS[word]}, payload)]
    return [Notice(f"{camera}/health", "offline" if word == "offline" else "other", f"stream {role} is {word[:20]}")]


def switched(camera: str, told: dict[str, Any], payload: bytes) -> Opened:
    """Something that begins (ON) or ends (OFF)."""
    word = text_of(payload).strip().upper()
    if word in ON:
        return [Packet(camera, {**told, "type": "new" if ON[word] else "end"}, payload)]
    return [Packet(camera, unreadable(payload, "ON or OFF"), payload)]


def review(camera: str, payload: bytes) -> Opened:
    """The gravest thing under review at a camera now."""
    word = text_of(payload).strip().lower()
    if word in ("alert", "detection"):
        return [Packet(camera, {"camera": camera, "severity": word}, payload)]
    return [Notice(camera, "other", "nothing to review")]


def sound(camera: str, name: str, payload: bytes) -> Opened:
    """A sound that was recognised; levels are relative to full scale and no sound pressure, speech is private."""
    if text_of(payload).strip().upper() in ON and name != "all":
        told = {"camera": camera, "event_kind": "other", "label": name, "sound": True}
        return switched(camera, told, payload)
    return [Notice(camera, "other", f"audio/{name}: a level or a text, not stored")]


def count(camera: str, label: str, active: bool, payload: bytes) -> Opened:
    """How many objects of a kind are in view of a camera or in a zone; `active`: only those that move."""
    text = text_of(payload).strip()
    name = f"{camera}/{label}" + ("/active" if active else "")
    if text.isdecimal() and len(text) < 10 and int(text) <= LARGEST_COUNT:
        told: dict[str, Any] = {"part": "counter", "camera": camera, "event_kind": "count", "count": int(text)}
        told |= {} if label == "all" else {"label": label}
        return [Packet(name, {**told, **({"stationary": False} if active else {})}, payload)]
    return [Packet(name, unreadable(payload, f"a whole number from 0 to {LARGEST_COUNT} as text"), payload)]


def text_of(payload: bytes) -> str:
    """The first of a short text."""
    return payload[:100].decode("utf-8", "replace")


def unreadable(payload: bytes, expected: str) -> Rejected:
    """A text that is not what its topic carries."""
    value = shown(text_of(payload))
    detail = f"expected {expected}; is another program publishing under Frigate's prefix?"
    return Rejected("envelope", Reason.MALFORMED if payload else Reason.EMPTY_PAYLOAD, None, value, detail)
