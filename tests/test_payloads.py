"""Real messages that nobody here wrote: those that fit a family become the right values, the others say why not.

They lie outside the repository, under their own licences; without them these tests are skipped.
"""

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from devices.envelopes import Packet, opener_of
from devices.laws import stated_metrics
from devices.profile import Profile, fitting
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES

FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")

# What each message that fits becomes, taken from the message by hand.
STORED: dict[str, dict[str, float | str]] = {
    "frigate/frigate-events-0.jsonc": {
        "object_class": "person",
        "event": "update",
        "motion": "moving",
        "confidence": 0.87890625,
        "top_confidence": 0.958984375,
        "object_speed": 0.77,
        "average_object_speed": 14.31,
        "velocity_angle": 180,
    },
    "frigate/frigate-reviews-6.jsonc": {"object_class": "person", "event": "update", "severity": "alert"},
    "frigate/frigate-tracked_object_update-2.jsonc": {"object_class": "person", "event": "update", "confidence": 0.95},
    "frigate/frigate-tracked_object_update-5.jsonc": {"event": "update", "confidence": 0.92},
    "shelly/shelly2pmg3-Shelly.GetStatus.json": {
        "total_active_energy_import": 0.314614,
        "active_power": 0,
        "voltage": 219.2,
        "current": 0,
        "frequency": 50,
        "power_factor": 0,
        "temperature": 52,
    },
    "ngsi/AirQualityObserved-ex-normalized_jsonld.json": {
        "co": 500_000,
        "no2": 69,
        "so2": 11,
        "temperature": 12.2,
        "relative_humidity": 0.54,
    },
    "ngsi/WeatherObserved-ex-normalized_json.json": {
        "temperature": 3.3,
        "relative_humidity": 0.15,
        "wind_speed": 2,
        "wind_direction": 135,
        "precipitation": 0.1,
        "atmospheric_pressure": 938.9,
    },
    "ngsi/TrafficFlowObserved-ex-normalized_jsonld.json": {
        "intensity": 197,
        "period_s": 300,
        "occupancy": 0.76,
        "average_vehicle_speed": 52.6,
        "average_headway_time": 0.5,
        "average_vehicle_length": 9.87,
    },
    "ngsi/WaterObserved-ex-normalized_jsonld.json": {"water_level": 3.52, "flow": 12},
}
for form in ("ex-normalized_jsonld", "ex_json"):
    STORED[f"ngsi/WeatherObserved-{form}.json"] = {
        "temperature": 3.3,
        "relative_humidity": 1,
        "wind_speed": 2,
        "wind_direction": 135,
        "precipitation": 0,
        "atmospheric_pressure": 938.9,
    }
TIMES = {
    "frigate/frigate-events-0.jsonc": 1607123962082975,
    "frigate/frigate-reviews-6.jsonc": 1718987129308396,
    "frigate/frigate-tracked_object_update-2.jsonc": 1607123958748393,
    "shelly/shelly2pmg3-Shelly.GetStatus.json": 1760364737000000,
    "ngsi/AirQualityObserved-ex-normalized_jsonld.json": 1458039600000000,
    "ngsi/WaterObserved-ex-normalized_jsonld.json": 1584434700209000,
}
TOPICS = {"frigate": "frigate/events", "shelly": "shelly-1/status/switch:0", "ngsi": "ngsi/x"}
PRIVATE = ("ABC12345", "John", "Bob", "red sedan")
COUNTS = {"frigate": (4, 1), "shelly": (1, 5), "ngsi": (6, 30)}


def message_files(system: str) -> list[str]:
    """The messages of a system, without what is expected of them."""
    names = [path.name for path in (FOLDER / system).glob("*.json*")] if FOLDER.is_dir() else []
    return sorted(f"{system}/{name}" for name in names if ".expected." not in name)


FILES = [name for system in TOPICS for name in message_files(system)]


@lru_cache(None)
def become(name: str) -> tuple[Profile | None, Reading | Rejected]:
    """What a message becomes on its way in: its device named, its profile found by its kind, mapped."""
    payload = (FOLDER / name).read_bytes()
    if name.endswith(".jsonc"):
        payload = without_comments(payload)
    system = name.split("/")[0]
    route = ROUTES[system]
    (packet,) = opener_of(route)(TOPICS[system], payload)
    assert isinstance(packet, Packet)
    device, part, raw = packet
    profile = fitting(route, part)
    if isinstance(profile, Rejected):
        return None, profile
    if device is None:
        return profile, Rejected("route", Reason.UNKNOWN_DEVICE, "device", None, "the message names no device")
    (result,) = profile.map(part, raw)
    return profile, result


def without_comments(payload: bytes) -> bytes:
    """The documentation's comments; a broker carries none."""
    return json.dumps(json.loads(re.sub(rb"//[^\n]*", b"", payload))).encode()


@pytest.mark.parametrize("name", FILES)
def test_message_becomes_its_values_or_says_why_not(name: str) -> None:
    profile, result = become(name)
    if name not in STORED:
        assert isinstance(result, Rejected), f"{name} is stored, but nobody said as what"
        assert len(result.detail) > 20
        assert result.reason in (Reason.WRONG_SHAPE, Reason.NO_METRIC, Reason.UNKNOWN_DEVICE)
        return
    assert isinstance(result, Reading), result
    assert profile is not None
    assert stated_metrics(profile, result) == pytest.approx(STORED[name])
    assert not result.partial
    assert name not in TIMES or result.time == TIMES[name]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("frigate")])
def test_no_plate_and_no_name_is_kept(name: str) -> None:
    assert not [word for word in PRIVATE if word in repr(become(name)[1])]


@pytest.mark.parametrize("system", TOPICS)
def test_counts(system: str, record_property: Any) -> None:
    results = [become(name)[1] for name in message_files(system)]
    stored = sum(isinstance(result, Reading) for result in results)
    record_property(system, f"{stored} stored, {len(results) - stored} rejected")
    assert (stored, len(results) - stored) == COUNTS[system]
