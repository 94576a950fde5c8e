"""NGSI: every representation of an entity gives the same reading; the published examples of the Smart Data Models."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs import CODECS
from devices.envelopes import Notice, Packet, opener_of
from devices.envelopes.ngsi import foreign_name
from devices.laws import stated_metrics
from devices.profile import PROFILES, Profile, fitting
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES
from devices.time import show

FOLDER = Path(os.environ.get("DOTHI_PAYLOADS", Path(__file__).parents[2] / "shared" / "payloads")) / "ngsi"
FILES = sorted(path.name for path in FOLDER.glob("*.json") if ".expected." not in path.name) if FOLDER.is_dir() else []
published = pytest.mark.skipif(
    not FILES, reason=f"no published entities in {FOLDER} (DOTHI_PAYLOADS names their place)"
)
quick = settings(database=None, deadline=None, max_examples=150)
OPEN = opener_of(ROUTES["ngsi"])

# What each published entity becomes, taken from it by hand.
STORED: dict[str, dict[str, float | str]] = {
    "AirQualityObserved-ex-normalized_jsonld.json": {
        "no2": 69,
        "so2": 11,
        "co": 500000,
        "temperature": 12.2,
        "relative_humidity": 0.54,
        "no": 45,
        "nox": 139,
    },
    "BikeHireDockingStation-ex-normalized_json.json": {
        "available_spot_number": 10,
        "occupied_spot_number": 20,
        "total_spot_number": 100,
        "out_of_service_spot_number": 21,
    },
    "BikeHireDockingStation-ex_json.json": {
        "available_spot_number": 10,
        "occupied_spot_number": 20,
        "total_spot_number": 100,
        "out_of_service_spot_number": 21,
    },
    "CrowdFlowObserved-ex_json.json": {
        "period_s": 300,
        "average_headway_time": 5,
        "congested": "no",
        "pedestrians": 100,
    },
    "Device-ex-normalized_jsonld.json": {"filling_level": 0.22, "temperature": 21.2, "battery_level": 0.75},
    "DeviceMeasurement-ex-normalized_jsonld.json": {"relative_humidity": 0.552},
    "DeviceMeasurement-ex_json.json": {"relative_humidity": 0.552},
    "EVChargingStation-ex-normalized_json.json": {"total_spot_number": 2},
    "EVChargingStation-ex_json.json": {"total_spot_number": 2},
    "IndoorEnvironmentObserved-ex-normalized_jsonld.json": {
        "temperature": 12.2,
        "relative_humidity": 0.54,
        "illuminance": 1000,
        "people": 10,
    },
    "ItemFlowObserved-ex-normalized_jsonld.json": {
        "intensity": 12,
        "period_s": 21600,
        "occupancy": 0.1562,
        "average_vehicle_speed": 5.0004,
        "average_headway_time": 156,
        "average_vehicle_length": 7.44,
        "congested": "no",
    },
    "ItemFlowObserved-ex_json.json": {
        "intensity": 12,
        "period_s": 21600,
        "occupancy": 0.1562,
        "average_vehicle_speed": 2.7,
        "average_headway_time": 156,
        "average_vehicle_length": 7.44,
        "congested": "no",
    },
    "NoiseLevelObserved-ex-normalized_jsonld.json": {"laeq": 67.8, "lamax": 94.5, "las": 91.6, "period_s": 3600},
    "NoiseLevelObserved-ex_json.json": {"laeq": 67.8, "lamax": 94.5, "las": 91.6, "period_s": 3600},
    "NoisePollution-ex-normalized_json.json": {"laeq": 85, "lamax": 75, "period_s": 7200},
    "OffStreetParking-ex-normalized_jsonld.json": {
        "available_spot_number": 132,
        "occupied_spot_number": 282,
        "total_spot_number": 414,
        "occupancy": 0.68,
        "arrivals": 28,
        "departures": 12,
    },
    "OnStreetParking-ex-normalized_jsonld.json": {
        "available_spot_number": 3,
        "occupied_spot_number": 3,
        "total_spot_number": 6,
    },
    "OnStreetParking-ex_json.json": {
        "available_spot_number": 3,
        "occupied_spot_number": 3,
        "total_spot_number": 6,
        "out_of_service_spot_number": 0,
    },
    "ParkingGroup-ex-normalized_jsonld.json": {"available_spot_number": 1, "total_spot_number": 2},
    "ParkingSpot-ex-normalized_jsonld.json": {"status": "free"},
    "Streetlight-ex-normalized_jsonld.json": {
        "power_state": "off",
        "status": "ok",
        "active_power": 10,
        "voltage": 50,
        "current": 250,
        "power_factor": 0.7,
    },
    "StreetlightControlCabinet-ex-normalized_json.json": {
        "total_active_energy_import": 162456,
        "reactive_power": 45000,
        "current": 20.1,
    },
    "StreetlightControlCabinet-ex_json.json": {
        "total_active_energy_import": 162456,
        "reactive_power": 45000,
        "current": 20.1,
    },
    "TrafficFlowObserved-ex-normalized_jsonld.json": {
        "intensity": 197,
        "period_s": 300,
        "occupancy": 0.76,
        "average_vehicle_speed": 52.6,
        "average_headway_time": 0.5,
        "average_vehicle_length": 9.87,
    },
    "Vehicle-ex-normalized_jsonld.json": {
        "latitude": 40.62785133667262,
        "longitude": -3.164485591715449,
        "altitude": 600,
        "speed": 50,
        "heading": 43,
        "service_status": "on_route",
        "ignition": "on",
        "battery_level": 0.81,
    },
    "Vehicle-ex_json.json": {
        "latitude": 40.62785133667262,
        "longitude": -3.164485591715449,
        "speed": 50,
        "heading": 43,
        "service_status": "on_route",
        "ignition": "on",
        "battery_level": 0.81,
    },
    "WaterObserved-ex-normalized_jsonld.json": {"water_level": 3.52, "flow": 12},
    "WeatherObserved-ex-normalized_json.json": {
        "temperature": 3.3,
        "relative_humidity": 0.15,
        "wind_speed": 2,
        "wind_direction": 135,
        "precipitation": 0.1,
        "atmospheric_pressure": 938.9,
        "illuminance": 1000,
        "uv_index": 1,
    },
    "WeatherObserved-ex-normalized_jsonld.json": {
        "temperature": 3.3,
        "relative_humidity": 1,
        "wind_speed": 2,
        "wind_direction": 135,
        "precipitation": 0,
        "atmospheric_pressure": 938.9,
        "illuminance": 1000,
        "uv_index": 1,
    },
    "WeatherObserved-ex_json.json": {
        "temperature": 3.3,
        "relative_humidity": 1,
        "wind_speed": 2,
        "wind_direction": 135,
        "precipitation": 0,
        "atmospheric_pressure": 938.9,
        "illuminance": 1000,
        "uv_index": 1,
    },
}

TIMES = {
    "AirQualityObserved-ex-normalized_jsonld.json": "2016-03-15T11:00:00Z",
    "WaterObserved-ex-normalized_jsonld.json": "2020-03-17T08:45:00.209000Z",
    "CrowdFlowObserved-ex_json.json": "2018-08-07T11:10:00Z",
    "BikeHireDockingStation-ex_json.json": "2021-03-11T10:21:02Z",
    "ParkingSpot-ex-normalized_jsonld.json": "2018-09-21T12:00:00Z",
    "WeatherObserved-ex-normalized_json.json": "2016-11-30T07:00:00Z",
}
# Units of ours that are not the source's: what a metric was before.
BEFORE = {
    ("AirQualityObserved", "co"): 500,
    ("ItemFlowObserved", "average_vehicle_speed"): 2.7,
    ("DeviceMeasurement", "relative_humidity"): 55.2,
    ("StreetlightControlCabinet", "reactive_power"): 45,
}
# Where the publisher's two files of one entity say different things.
OWN_ERRORS = {"AirQualityObserved": {"no2"}, "WeatherObserved": {"relative_humidity", "precipitation"}}
PLATES = ("KA052134", "3456ABC", "KA23F2345")
COUNTS = {"Reading": 30, "Notice": 5, "Rejected": 1}


def packet_of(document: object) -> Packet:
    (part,) = OPEN("ngsi/x", json.dumps(document).encode())
    assert isinstance(part, Packet)
    return part


def read(document: object) -> tuple[Profile, Reading]:
    part = packet_of(document)
    profile = fitting(ROUTES["ngsi"], part.document)
    assert isinstance(profile, Profile), profile
    (result,) = profile.map(part.document, part.payload)
    assert isinstance(result, Reading), result
    return profile, result


def metrics(document: object) -> dict[str, float | str]:
    return stated_metrics(*read(document))


def become(name: str) -> tuple[Profile | None, Reading | Rejected | Notice]:
    """What a published entity becomes."""
    (part,) = OPEN("ngsi/x", (FOLDER / name).read_bytes())
    if isinstance(part, Notice):
        return None, part
    assert part.foreign_id
    profile = fitting(ROUTES["ngsi"], part.document)
    if isinstance(profile, Rejected):
        return None, profile
    (result,) = profile.map(part.document, part.payload)
    return profile, result


@published
@pytest.mark.parametrize("name", FILES)
def test_published_entity_becomes_its_metrics_or_says_why_not(name: str) -> None:
    profile, result = become(name)
    if name not in STORED:
        if name.startswith("ElectroMagneticObserved"):  # a field strength: no family holds one
            assert isinstance(result, Rejected)
            assert result.reason == Reason.WRONG_SHAPE
        else:  # a radar picture's address, the make of a bin: nothing is observed
            assert name.startswith(("RainFallRadarObserved", "WasteContainer")), name
            assert isinstance(result, Notice)
        assert len(result.detail) > 20
        return
    assert isinstance(result, Reading), result
    assert profile is not None
    assert stated_metrics(profile, result) == pytest.approx(STORED[name])
    if name in TIMES:
        assert result.time is not None
        assert show(result.time) == TIMES[name]


@published
@pytest.mark.parametrize("name", FILES)
def test_metrics_are_numbers_of_the_publishers_key_values(name: str) -> None:
    expected = FOLDER / name.replace(".json", ".expected.json")
    profile, result = become(name)
    if not expected.is_file() or not isinstance(result, Reading) or profile is None:
        pytest.skip("the publisher states no values, or nothing is stored")
    kind = name.split("-")[0]
    stated = str(json.loads(expected.read_text())).replace("l%3D0.22%3Bt%3D21.2", "0.22, 21.2")
    for metric, value in stated_metrics(profile, result).items():
        said = BEFORE.get((kind, metric), value)
        if isinstance(said, float | int) and metric != "period_s" and metric not in OWN_ERRORS.get(kind, ()):
            assert f"{said:.12g}"[:7] in stated, metric


@published
def test_counts() -> None:
    assert Counter(type(become(name)[1]).__name__ for name in FILES) == COUNTS


@published
def test_no_plate_is_kept() -> None:
    for name in FILES:
        (part,) = OPEN("ngsi/x", (FOLDER / name).read_bytes())
        assert not [plate for plate in PLATES if plate in repr(part)], name


PLAIN: dict[str, Any] = {
    "id": "urn:ngsi-ld:WeatherObserved:1",
    "type": "WeatherObserved",
    "dateObserved": "2026-01-01T00:00:00Z",
    "temperature": 21.5,
    "windSpeed": 2.5,
    "location": {"type": "Point", "coordinates": [106.2, 21.28]},
    "refDevice": "urn:ngsi-ld:Device:1",
}
WANTED = {"temperature": 21.5, "wind_speed": 2.5}
VALUES = {key: value for key, value in PLAIN.items() if key not in ("id", "type")}
NAMED = {"id": PLAIN["id"], "type": PLAIN["type"]}
V2 = {**NAMED, **{key: {"type": "Thing", "value": value, "metadata": {}} for key, value in VALUES.items()}}
LD = {
    **NAMED,
    "dateObserved": {"type": "Property", "value": {"@type": "DateTime", "@value": PLAIN["dateObserved"]}},
    "temperature": {"type": "Property", "value": 21.5, "unitCode": "CEL", "observedAt": "2026-01-01T00:00:00Z"},
    "windSpeed": {"type": "Property", "value": 9, "unitCode": "KMH"},
    "location": {"type": "GeoProperty", "value": PLAIN["location"]},
    "refDevice": {"type": "Relationship", "object": PLAIN["refDevice"]},
    "@context": ["https://example.org/context.jsonld"],
}
CONCISE = {**NAMED, **{key: {"value": value} for key, value in VALUES.items()}, "temperature": 21.5}
CORE = "https://uri.etsi.org/ngsi-ld/"
EXPANDED = {
    "@id": PLAIN["id"],
    "@type": ["https://smartdatamodels.org/dataModel.Weather/WeatherObserved"],
    "https://smartdatamodels.org/dateObserved": [
        {
            "@type": [CORE + "Property"],
            CORE + "hasValue": [{"@type": CORE + "DateTime", "@value": "2026-01-01T00:00:00Z"}],
        }
    ],
    "https://smartdatamodels.org/dataModel.Weather/temperature": [
        {"@type": [CORE + "Property"], CORE + "hasValue": [{"@value": 70.7}], CORE + "unitCode": [{"@value": "FAH"}]}
    ],
    "https://smartdatamodels.org/dataModel.Weather/windSpeed": [
        {"@type": [CORE + "Property"], CORE + "hasValue": [{"@value": 2.5}]}
    ],
}
FEATURE = {
    "id": PLAIN["id"],
    "type": "Feature",
    "geometry": PLAIN["location"],
    "properties": {**LD, "type": "WeatherObserved"},
}
NOTIFIED = {
    "id": "urn:ngsi-ld:Notification:1",
    "type": "Notification",
    "notifiedAt": "2026-01-01T00:00:00Z",
    "data": [LD],
}
FORMS = {
    "key-values": PLAIN,
    "NGSI-v2": V2,
    "NGSI-LD": LD,
    "concise": CONCISE,
    "expanded JSON-LD": EXPANDED,
    "a list": [LD],
    "a feature": FEATURE,
    "a feature collection": {"type": "FeatureCollection", "features": [FEATURE]},
    "a notification": {"subscriptionId": "5f", "data": [V2]},
    "a notification of NGSI-LD": NOTIFIED,
    "a notification of one entity": {**NOTIFIED, "data": LD},
    "a notification of features": {**NOTIFIED, "data": {"type": "FeatureCollection", "features": [FEATURE]}},
    "the MQTT binding": {"metadata": {"Content-Type": "application/json"}, "body": NOTIFIED},
    "a batch": {"actionType": "append", "entities": [V2]},
    "several types": {**PLAIN, "type": ["Sensor", "WeatherObserved"]},
    "a full type": {**PLAIN, "type": "https://smartdatamodels.org/dataModel.Weather/WeatherObserved"},
    "numbers as declared texts": {**V2, "temperature": {"type": "Number", "value": "21.5"}},
    "an instance a dataset": {
        **LD,
        "temperature": [{"type": "Property", "value": 3, "datasetId": "urn:a"}, LD["temperature"]],
    },
    "a history": {
        **LD,
        "temperature": [{"type": "Property", "value": 3, "observedAt": "2025-12-31T23:00:00Z"}, LD["temperature"]],
    },
    "a short history": {
        **PLAIN,
        "temperature": {"type": "Property", "values": [[3, "2025-12-31T23:00:00Z"], [21.5, "2026-01-01T00:00:00Z"]]},
    },
    "measurands": {
        **NAMED,
        "dateObserved": PLAIN["dateObserved"],
        "measurand": ["temperature, 70.7, FAH, air", "windSpeed | 2.5"],
    },
    "its own time by attribute": {
        **NAMED,
        "temperature": LD["temperature"],
        "windSpeed": {"value": 2.5, "observedAt": "2025-12-31T23:00:00Z"},
    },
    "a time of NGSI-v2": {
        **NAMED,
        "TimeInstant": {"type": "DateTime", "value": "20260101T000000Z"},
        "temperature": 21.5,
        "windSpeed": 2.5,
    },
    "a short time": {**PLAIN, "dateObserved": "2026-01-01T07:00+07"},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    profile, reading = read(FORMS[form])
    assert stated_metrics(profile, reading) == pytest.approx(WANTED)
    assert reading.time is not None
    assert show(reading.time) == "2026-01-01T00:00:00Z"
    assert packet_of(FORMS[form]).foreign_id == PLAIN["id"]


@quick
@given(st.floats(-40, 60), st.sampled_from(["CEL", "°C", "FAH", "KEL", "Cel"]))
def test_a_unit_is_that_of_its_value(celsius: float, unit: str) -> None:
    value = {"FAH": celsius * 1.8 + 32, "KEL": celsius + 273.15}.get(unit, celsius)
    assert metrics({**NAMED, "temperature": {"value": value, "unitCode": unit}})["temperature"] == pytest.approx(
        celsius, abs=1e-9
    )


def test_the_unit_of_another_attribute_does_not_count() -> None:
    entity = {
        "id": "w",
        "type": "WaterObserved",
        "waterLevel": {"value": 2},
        "height": {"value": 352, "unitCode": "CMT"},
    }
    assert metrics(entity) == {"water_level": 2}
    assert metrics({**entity, "waterLevel": None}) == {"water_level": 3.52}


def test_an_interval_in_one_text_gives_the_period() -> None:
    entity = {
        "id": "t",
        "type": "TrafficFlowObserved",
        "intensity": 4,
        "dateObserved": "2026-01-01T00:00:00/2026-01-01T00:05:00",
    }
    assert metrics(entity) == {"intensity": 4, "period_s": 300}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("urn:ngsi-ld:WeatherObserved:Bac-Giang-2016-11-30T07:00:00.00Z", "urn:ngsi-ld:WeatherObserved:Bac-Giang"),
        ("Vitoria-NoiseLevelObserved-2016-12-28T11:00:00_2016-12-28T12:00:00", "Vitoria-NoiseLevelObserved"),
        ("Valladolid.2016-11-30T07-00-00.00Z", "Valladolid"),
        ("urn:ngsi-ld:Device:2016-11", "urn:ngsi-ld:Device:2016-11"),
        ("2016-11-30T07:00:00Z", "2016-11-30T07:00:00Z"),
    ],
)
def test_an_id_that_holds_the_time_names_one_device(said: str, name: str) -> None:
    assert foreign_name(said) == name


def test_plates_go_wherever_they_stand() -> None:
    entity = {
        "id": "v",
        "type": "Vehicle",
        "speed": 50,
        "vehiclePlateIdentifier": {"type": "Text", "value": "98A-12345"},
        "owner": {"license_plate": "98A-12345"},
    }
    profile, reading = read(entity)
    assert stated_metrics(profile, reading) == {"speed": 50}
    assert "98A" not in repr(packet_of(entity)) + repr(reading)
    (broken,) = OPEN("ngsi/x", b'{"license_plate": "98A-12345"')
    assert isinstance(broken, Packet)
    assert broken.payload == b""
    (broken,) = OPEN("ngsi/x", b'{"id": "a", ')
    assert isinstance(broken, Packet)
    assert broken.payload != b""


@pytest.mark.parametrize(
    "name",
    ["licensePlate", "license_plate", "licenceplate", "vehiclePlateIdentifier", "plate", "plate_number", "numberPlate"],
)
def test_a_plate_is_known_by_its_name(name: str) -> None:
    entity = {"id": "v", "type": "Vehicle", "speed": 50, "trip": [{name: {"identifier": "98A-12345"}}], "template": "t"}
    assert "98A" not in repr(packet_of(entity))
    assert "template" in repr(packet_of(entity))
    escaped = json.dumps(entity).replace(name, "".join(f"\\u{ord(letter):04x}" for letter in name)).encode()
    assert "98A" not in repr(OPEN("ngsi/x", escaped))


def test_a_null_of_ngsi_ld_is_nothing() -> None:
    assert metrics({**PLAIN, "windSpeed": {"type": "Property", "value": "urn:ngsi-ld:null"}}) == {"temperature": 21.5}


def test_a_text_that_is_not_declared_a_number_is_refused() -> None:
    profile, reading = read({**PLAIN, "windSpeed": {"type": "Text", "value": "2.5"}})
    assert stated_metrics(profile, reading) == {"temperature": 21.5}
    assert reading.extra is not None
    assert reading.extra["reasons"] == {"wind_speed": "wrong_type"}


def test_a_notification_of_nothing_is_a_notice() -> None:
    assert isinstance(OPEN("ngsi/x", b'{"subscriptionId": "5f", "data": []}')[0], Notice)


def test_what_is_no_entity_is_refused() -> None:
    for document in (3, "x", None, {}, {"data": [[1, 2]]}, {"data": {"a": 1}}, {"id": "a"}, [1]):
        (part,) = OPEN("ngsi/x", json.dumps(document).encode())
        assert isinstance(part, Packet)
        assert isinstance(fitting(ROUTES["ngsi"], part.document), Rejected)
    nested = b'{"a":' * 100_000
    assert isinstance(OPEN("ngsi/x", nested)[0], Packet)


NAMES = st.sampled_from(
    [
        *PLAIN,
        "value",
        "object",
        "@value",
        "@id",
        "unitCode",
        "observedAt",
        "metadata",
        "data",
        "body",
        "features",
        "properties",
    ]
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.just("2026-01-01T00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=6), inner, max_size=6),
    max_leaves=30,
)


@quick
@given(DOCUMENTS)
def test_any_document_is_opened_and_read(document: object) -> None:
    payload = json.dumps(document).encode()
    for part in OPEN("ngsi/x", payload):
        if isinstance(part, Packet):
            assert part.foreign_id is None or part.foreign_id
            for profile in (PROFILES["ngsi-weather-observed"], PROFILES["ngsi-device"]):
                assert profile.map(part.document, part.payload)


@quick
@given(DOCUMENTS)
def test_what_is_plain_stays_as_it_is(document: object) -> None:
    once = CODECS["ngsi"](json.dumps({**PLAIN, "extra": document}).encode())
    assert isinstance(once, dict)
    assert {key: once[key] for key in ("id", "type", "temperature", "windSpeed")} == {
        key: PLAIN[key] for key in ("id", "type", "temperature", "windSpeed")
    }
