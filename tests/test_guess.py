"""The vocabulary: what names of fields mean, and the family that a document of an unknown device speaks of."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.causes import CONFUSED
from devices.family import FAMILIES
from devices.fields import fields_of
from devices.guess import Guess, guess, matched
from devices.outcome import metrics_of
from devices.rejected import Rejected
from devices.units import UNITS, ucum
from devices.vocabulary import NOTHING, SUFFIXES, WORDS, fold, word_of

NOW_US = 1_795_000_000_000_000


def metric_of(name: str) -> tuple[str | None, str | None]:
    word = word_of(name)
    return (word.meanings[0].metric if word.meanings else None), word.unit


@pytest.mark.parametrize(
    ("name", "metric", "unit"),
    [
        ("temperature", "temperature", None),
        ("TempC_SHT", "temperature", "Cel"),
        ("tF", "temperature", "[degF]"),
        ("temperature_3", "temperature", None),
        ("Temperature1", "temperature", None),
        ("nhiệt độ", "temperature", None),
        ("soilTemperature", "soil_temperature", None),
        ("Hum_SHT", "relative_humidity", None),
        ("humidity_pct", "relative_humidity", "%"),
        ("Độ ẩm", "relative_humidity", None),
        ("PM2.5", "pm25", None),
        ("pm2_5", "pm25", None),
        ("PM2,5", "pm25", None),
        ("PM1.0", "pm1", None),
        ("PM10", "pm10", None),
        ("CO2", "co2", None),
        ("BatV", "battery_voltage", None),
        ("battery_mV", "battery_voltage", "mV"),
        ("vdd", "battery_voltage", None),
        ("wind_speed_ms", "wind_speed", "m/s"),
        ("windSpeedKmh", "wind_speed", "km/h"),
        ("rainfall_mm", "precipitation", "mm"),
        ("barometric_pressure_4", "atmospheric_pressure", None),
        ("pressure_Pa", "atmospheric_pressure", "Pa"),
        ("LAeq", "laeq", None),
        ("energy_kWh", "total_active_energy_import", "kW.h"),
        ("apower", "active_power", None),
        ("voltage_L1", "voltage", None),
        ("pH", "ph", None),
        ("lng", "longitude", None),
        ("temperature_max", None, None),
        ("min_temp", None, None),
        ("temperature_threshold", None, None),
        ("chip_temperature", None, None),
        ("rssi", None, None),
        ("", None, None),
        ("🌡", None, None),
    ],
)
def test_what_a_name_means(name: str, metric: str | None, unit: str | None) -> None:
    assert metric_of(name) == (metric, unit)


def test_every_word_means_a_metric_that_exists_in_units_and_states_that_exist() -> None:
    for word, meanings in WORDS.items():
        for meaning in meanings:
            families = [f for f in FAMILIES.values() if meaning.metric in f.index]
            assert families, (word, meaning)
            assert meaning.families <= FAMILIES.keys(), word
            assert meaning.hint is None or meaning.hint in FAMILIES, word
            assert meaning.unit is None or ucum(meaning.unit) in UNITS, word
            for family in families:
                states = family.metrics[family.index[meaning.metric]].states
                if states and (not meaning.families or family.name in meaning.families):
                    assert {meaning.yes, meaning.no} - {None} <= {*states}, (word, family.name)
    assert all(ucum(unit) for unit in SUFFIXES.values())
    assert all(ucum(unit) for unit in CONFUSED)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_explains_its_own_names_better_than_the_guess(family: str) -> None:
    """Every gauge by its own name, inside its range."""
    metrics = [metric for metric in FAMILIES[family].metrics if not metric.states and word_of(metric.name) != NOTHING]
    if len(metrics) < 4:
        pytest.skip("the vocabulary hardly knows this family")
    document = {metric.name: usual(metric.name, metric.low, metric.high) for metric in metrics}
    found = guess(document, b"", NOW_US)
    assert isinstance(found, Guess)
    assert len(found.fields) >= len(guess_of(family, document))


def guess_of(family: str, document: dict[str, float]) -> dict[str, object]:
    return {**matched(FAMILIES[family], [*fields_of(document)])}


def usual(name: str, low: float, high: float) -> float:
    return 0.5 if (low, high) == (0, 1) else max(low, min(high, 20.25 if low <= 20.25 <= high else low + 1))


DOCUMENTS: list[tuple[Any, str, dict[str, float | str]]] = [
    (
        {"temperature": 22.6, "humidity": 41, "light": 39, "pir": 6, "vdd": 3426},
        "classroom",
        {"temperature": 22.6, "relative_humidity": 0.41, "illuminance": 39, "battery_voltage": 3.426},
    ),
    (
        {"battery": 100, "temperature": 28.0, "humidity": 54.5},
        "classroom",
        {"battery_level": 1, "temperature": 28, "relative_humidity": 0.545},
    ),
    (
        {"soil_temperature": 22.5, "volumetric_water_content": 0.12, "battery_voltage": 3.168},
        "soil",
        {"soil_temperature": 22.5, "soil_moisture": 0.12, "battery_voltage": 3.168},
    ),
    (
        {"sensordatavalues": [{"value_type": "P1", "value": "11.43"}, {"value_type": "P2", "value": "7.1"}]},
        "air_quality",
        {"pm10": 11.43, "pm25": 7.1},
    ),
    ({"DS18B20-1": {"Id": "01", "Temperature": 13.3}}, "classroom", {"temperature": 13.3}),
    (
        {"wind_speed": 0.09, "wind_direction": 29.9, "maximum_wind_speed": 0.2, "air_temperature": 26.4},
        "weather",
        {"wind_speed": 0.09, "wind_direction": 29.9, "wind_gust": 0.2, "temperature": 26.4},
    ),
    (
        {"lat": 21.3, "lon": 106.2, "speed": 43, "course": 180},
        "vehicle",
        {"latitude": 21.3, "longitude": 106.2, "speed": 43, "heading": 180},
    ),
    (
        {"temperature": 21, "humidity": 60, "lat": 21.3, "lon": 106.2},
        "classroom",
        {"temperature": 21, "relative_humidity": 0.6},
    ),
    ({"parking_status": True, "temperature": 18}, "parking", {"status": "occupied", "temperature": 18}),
    ({"water_leak": False, "battery": 3.6}, "contact", {"leak": "none", "battery_voltage": 3.6}),
    (
        {"temperature": {"value": "22,5 °C"}, "pressure": 101325},
        "classroom",
        {"temperature": 22.5, "atmospheric_pressure": 1013.25},
    ),
    (
        {"temperature": {"value": 68, "unit": "F"}, "humidity": {"value": 0.5, "unit": "1"}},
        "classroom",
        {"temperature": 20, "relative_humidity": 0.5},
    ),
    (
        {"total_energy_kWh": 120.5, "power": 230, "voltage": 228.1, "pf": 0.97},
        "meter",
        {"total_active_energy_import": 120.5, "active_power": 230, "voltage": 228.1, "power_factor": 0.97},
    ),
    ({"pH": 7.2, "DO": 5.1, "salinity": 12.5}, "aquaculture", {"ph": 7.2, "dissolved_oxygen": 5.1, "salinity": 12.5}),
    ({"heart_rate": 71, "spo2": 98}, "wearable", {"heart_rate": 71, "blood_oxygen": 0.98}),
]


@pytest.mark.parametrize(("document", "family", "metrics"), DOCUMENTS, ids=[str(d[1]) for d in DOCUMENTS])
def test_an_unknown_device_still_shows_its_metrics(document: Any, family: str, metrics: dict[str, float | str]) -> None:
    found = guess(document, b"payload", NOW_US)
    assert isinstance(found, Guess)
    shown = metrics_of(found.family, found.reading)
    assert found.family.name == family
    assert shown.keys() == metrics.keys()
    for name, value in metrics.items():
        assert shown[name] == (value if isinstance(value, str) else pytest.approx(value))


def test_what_explains_nothing_is_kept_and_what_is_illegal_is_said() -> None:
    found = guess({"temperature": 650, "humidity": 54, "firmware": "1.2", "nest": {"a": [1]}}, b"", NOW_US)
    assert isinstance(found, Guess)
    assert found.reading.extra is not None
    assert found.reading.extra["firmware"] == "1.2"
    assert found.reading.extra["nest.a.0"] == 1
    assert found.reading.extra["reasons"] == {"temperature": "out_of_range"}
    assert found.fields == {"relative_humidity": "humidity"}


@pytest.mark.parametrize(
    ("time", "year_us"),
    [
        (1763700000, 1763700000_000000),
        (1763700000000, 1763700000_000000),
        ("2025-11-21T04:40:00Z", 1763700000_000000),
        ("2025-11-21T11:40:00", 1763700000_000000),
    ],
)
def test_a_time_in_any_unit(time: object, year_us: int) -> None:
    found = guess({"temperature": 20, "ts": time}, b"", NOW_US)
    assert isinstance(found, Guess)
    assert found.reading.time == year_us


@pytest.mark.parametrize("document", [{}, [], None, 5, "x", {"a": 1}, {"temperature": None}, {"temperature": "warm"}])
def test_nothing_to_guess(document: object) -> None:
    refused = guess(document, b"", NOW_US)
    assert isinstance(refused, Rejected)
    assert len(refused.detail) > 20


@given(
    st.dictionaries(
        st.sampled_from(sorted(WORDS)) | st.text(max_size=12),
        st.floats() | st.integers() | st.booleans() | st.text(max_size=12) | st.none(),
        max_size=12,
    )
)
def test_a_guess_is_always_legal(document: dict[str, object]) -> None:
    found = guess(document, b"", NOW_US)
    if isinstance(found, Guess):
        for metric, value in zip(found.family.metrics, found.reading.values, strict=True):
            assert math.isnan(value) or metric.low <= value <= metric.high


@given(st.text(max_size=100))
def test_any_name_is_folded(name: str) -> None:
    assert all(part == part.lower() for part in fold(name))
    word_of(name)
