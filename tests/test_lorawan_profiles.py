"""Real uplinks of LoRaWAN devices, through the envelope of their server and the profile of their model.

Every number that their source states is found again, in a metric (in whatever unit the source has it) or beside them.

They lie outside the repository, under their own licences; without them these tests are skipped.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from math import isclose, isnan
from pathlib import Path
from typing import Any

import pytest

from devices.envelopes import Notice, Packet, noticed, opener_of
from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES
from devices.units import UNITS

FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real payloads in {FOLDER} (DOTHI_PAYLOADS names them)")

SYSTEMS = {
    "ttn-v3": ("ttn", "v3/app@tenant/devices/device/up"),
    "tti-v3": ("ttn", "v3/app@tenant/devices/device/up"),
    "chirpstack-v4": ("chirpstack", "application/1/device/1000000000000001/event/up"),
    "lorawan-http": ("chirpstack", "application/1/device/24e1641092176759/event/up"),
    "loriot": ("loriot", "loriot/app"),
    "thingpark": ("thingpark", "thingpark/app"),
    "thingpark-enterprise": ("thingpark", "thingpark/app"),
}
MODELS = {
    "Bosch--Parking_Lot_Sensor": "bosch-parking-lot-sensor",
    "Elsys--ERS2_CO2_Lite": "elsys-ers2-lite",
    "Nwave--G4_NCC_FM": "nwave-g4-ncc",
    "Nwave--G4_NPS_FM": "nwave-g4-nps",
    "SensiEDGE--SensiLora2_0": "sensiedge-sensilora2",
}
# Files whose messages hold no measurement, by what they are.
NO_MEASUREMENT = {
    "chirpstack-v4/Netvox--R311A--payload_1.json": "the answer to a question for the settings, on port 7",
    "chirpstack-v4/Netvox--R716S--payload.json": "the answer to a change of the settings for joining, on port 20",
    "chirpstack-v4/Netvox--R716S--payload_1.json": "the answer to a question for the settings for joining, on port 20",
    "ttn-v3/Yobiiq--SD1001--payload.json": "what the device says of itself when it joins, on port 50",
}
# Numbers of the source that are not what the frame says.
WRONG = {
    # Its history is big-endian in a little-endian format; read as the format says, temperature is i16 and -793.6.
    "lorawan-http/Milesight--AM319--payload.json": {"temperature": 5760.0},
}
# The server's words: kept where the envelope keeps them, not the device's.
OF_THE_SERVER = {"lora_frame_counter", "fCnt", "dr", "confirmed"}
FILES = sorted(
    f"{system}/{path.name}"
    for system in SYSTEMS
    for path in ((FOLDER / system).glob("*.json") if FOLDER.is_dir() else ())
    if ".expected." not in path.name
)


def profile_of(name: str) -> Profile | None:
    """The profile of the model that a file is named after."""
    stem = "--".join(name.split("/")[1].split("--")[:2])
    return PROFILES.get(MODELS.get(stem, stem.lower().replace("--", "-").replace("_", "-")))


def results_of(name: str, profile: Profile) -> list[Reading | Rejected]:
    """What the message becomes."""
    route, topic = SYSTEMS[name.split("/")[0]]
    parts = opener_of(ROUTES[route])(topic, (FOLDER / name).read_bytes())
    assert all(isinstance(part, Packet) for part in parts), parts
    return [result for part in parts if isinstance(part, Packet) for result in profile.map(part.document, part.payload)]


def stated(name: str) -> Iterator[tuple[str, float]]:
    """The device's numbers that the source states."""
    found = json.loads((FOLDER / name.replace(".json", ".expected.json")).read_text())
    groups = found if isinstance(found, list) else [found]
    groups = [one for one in groups if "lora gateway" not in str(one.get("deviceType", "")).lower()]
    for group in groups:
        entries = group.get("telemetry", group)
        for entry in entries if isinstance(entries, list) else [entries]:
            for key, value in entry.get("values", entry).items():
                if isinstance(value, int | float) and not isinstance(value, bool) and key not in OF_THE_SERVER:
                    yield key, float(value)


def found_in(profile: Profile, results: list[Reading | Rejected]) -> Iterator[float]:
    """Every number of the readings: metrics in all units of their quantity, and what stands beside them."""
    for result in results:
        if isinstance(result, Reading):
            for metric, value in zip(profile.family.metrics, result.values, strict=True):
                if not isnan(value):
                    quantity, factor, offset = UNITS[metric.unit]
                    for other, other_factor, other_offset in UNITS.values():
                        if other == quantity:
                            yield (value * factor + offset - other_offset) / other_factor
            yield from numbers(result.extra)


def numbers(value: object) -> Iterator[float]:
    """The numbers inside a value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


@pytest.mark.parametrize("name", FILES)
def test_every_stated_number_is_found(name: str) -> None:
    profile = profile_of(name)
    if name in NO_MEASUREMENT:
        (result,) = results_of(name, profile or PROFILES["netvox-r311a"])
        assert isinstance(result, Rejected), NO_MEASUREMENT[name]
        assert result.reason is Reason.NO_READING
        assert isinstance(noticed(result, "1000000000000001"), Notice)
        return
    assert profile is not None, f"no profile for {name}"
    results = results_of(name, profile)
    assert isinstance(results[0], Reading), results[0]
    found = list(found_in(profile, results))
    wrong = WRONG.get(name, {})
    missing = [
        (key, value)
        for key, value in stated(name)
        if wrong.get(key) != value and not any(isclose(value, one, rel_tol=1e-6, abs_tol=1e-9) for one in found)
    ]
    assert not missing, (missing, results)


def test_counts(record_property: Any) -> None:
    stored, silent = Counter(n.split("/")[0] for n in FILES), Counter(n.split("/")[0] for n in NO_MEASUREMENT)
    for system in SYSTEMS:
        record_property(system, f"{stored[system] - silent[system]} stored, {silent[system]} without a measurement")
    assert len(FILES) == 52


def test_a_history_has_times_of_its_own() -> None:
    profile = PROFILES["milesight-am102"]
    now, before = results_of("chirpstack-v4/Milesight--AM102--payload_1.json", profile)
    assert isinstance(now, Reading)
    assert isinstance(before, Reading)
    assert (now.time, before.time) == (1684741625404859, 1698765432000000)
    assert now.seq != before.seq
