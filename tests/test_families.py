"""Laws over every family, and the names and units that the outside relies on."""

import pytest

from devices.family import FAMILIES, family_from
from devices.family_laws import family_problems
from devices.profile import PROFILES

# (family, metric): unit, as stated to the outside
PROMISED = {
    "air_quality": {
        **dict.fromkeys(("pm25", "pm10", "no2", "so2", "o3", "co"), "ug/m3"),
        "temperature": "Cel",
        "relative_humidity": "1",
    },
    "weather": {
        "temperature": "Cel",
        "relative_humidity": "1",
        "wind_speed": "m/s",
        "wind_direction": "deg",
        "precipitation": "mm",
        "atmospheric_pressure": "hPa",
    },
    "water_level": {"water_level": "m"},
    "traffic_flow": {"intensity": "1", "period_s": "s", "occupancy": "1", "average_vehicle_speed": "km/h"},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_family_keeps_the_laws(name: str) -> None:
    assert list(family_problems(FAMILIES[name])) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_native_profile(name: str) -> None:
    profile = PROFILES[f"native-{name.replace('_', '-')}"]
    assert profile.family is FAMILIES[name]
    assert profile.route is None


@pytest.mark.parametrize(("family", "metrics"), PROMISED.items())
def test_promised_names_and_units(family: str, metrics: dict[str, str]) -> None:
    found = {metric.name: metric.unit for metric in FAMILIES[family].metrics}
    assert {name: found[name] for name in metrics} == metrics


def test_index_is_the_place() -> None:
    for family in FAMILIES.values():
        assert [family.metrics[place].name for place in family.index.values()] == list(family.index)


def test_one_name_has_one_unit_everywhere() -> None:
    units: dict[str, set[str]] = {}
    for family in FAMILIES.values():
        for metric in family.metrics:
            units.setdefault(metric.name, set()).add(metric.unit)
    assert {name: found for name, found in units.items() if len(found) > 1} == {}


def test_laws_find_what_is_wrong() -> None:
    label = {"vi": "a", "en": "a"}
    metrics = {
        "Temp": {"unit": "Celsius", "range": [5, 5], "label": {"vi": "a"}},
        "total": {"unit": "kW.h", "range": [-1, 5], "kind": "counter", "label": label},
        "door": {"states": ["open", "open", "Shut!"], "label": label},
    }
    problems = "\n".join(family_problems(family_from("bad", {"label": label, "metrics": metrics})))
    for words in ("name a column", "no UCUM code", "range 5 to 5", "labels", "counter", "states must differ"):
        assert words in problems
