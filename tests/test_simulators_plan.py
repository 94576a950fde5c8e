"""The plan of a province: its numbers add up, it counts the fleet that would be built, wrong files are named."""

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dothi.commands import simulate
from dothi.errors import WrongUsage
from dothi.storage_plan import PROVINCE_HIGH
from simulators.facts import own_file
from simulators.fleet import build, districts, zones_of
from simulators.mix import usual_mix
from simulators.plan import PlanError, plan
from simulators.province import own_province, province_at, provinces

HOME = """
province: home
title: {vi: Nhà, en: Home}
growth: {2019: 1, 2030: 2}
targets: {2030: {density: [100, 150], source: mine}, 2050: {devices: 6000, source: mine}}
districts:
  "213": {communes: 2, people: 1000, urban: 0.5, tags: [forest]}
  214x: {communes: 1}
counts: [{what: masts, family: telecom_site, of: {2020: 10, 2030: 20}, source: mine}]
""".replace("214x", '"215"')


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(simulate.app, ["plan", *map(str, arguments)])


def document(*arguments: object) -> dict[str, Any]:
    result = asked(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refused(*arguments: object) -> str:
    result = asked(*arguments)
    assert isinstance(result.exception, WrongUsage)
    text = str(result.exception)
    assert "\n" not in text
    return text


def home_file(folder: Path, old: str = "", new: str = "") -> Path:
    path = folder / "home.yaml"
    assert old in HOME
    path.write_text(HOME.replace(old, new, 1) if old else HOME, encoding="utf-8")
    return path


# Sums


def test_the_plan_of_2030() -> None:
    found = plan("bac-giang", 200).document()
    assert found["people"] == pytest.approx(1_870_000, abs=10)
    assert found["devices"] == pytest.approx(3_740_000, abs=20)
    assert 10_000 < found["messages_per_s"] < 20_000


def test_people_of_the_census_are_those_of_the_census() -> None:
    assert plan("bac-giang", 100, people_year=2019).people == 1_803_950
    assert plan("bac-kan", 100, people_year=2019).people == 313_905


@pytest.mark.parametrize("province", provinces())
@pytest.mark.parametrize("density", [0.5, 150, 1000])
def test_the_numbers_of_a_plan_add_up(province: str, density: float) -> None:
    found = plan(province, density).document()
    here = found["per_district"]
    for name in ("people", "devices"):
        assert sum(part[name] for part in here) == found[name]
    assert all(sum(part["families"].values()) == part["devices"] for part in here)
    for load in found["per_family"]:
        assert sum(part["families"][load["family"]] for part in here) == load["devices"]
    for parts in (found["per_family"], found["sectors"]):
        assert sum(part["devices"] for part in parts) == found["devices"]
        assert sum(part["bytes_per_day"] for part in parts) == found["bytes_per_day"]
    rate = sum(part["devices"] / part["interval_s"] for part in found["per_family"])
    for parts in (here, found["sectors"], [found]):
        assert sum(part["messages_per_s"] for part in parts) == pytest.approx(rate, rel=1e-3, abs=1e-2)
    assert sum(part["bytes_per_day"] for part in here) == pytest.approx(found["bytes_per_day"], rel=1e-3)


def test_a_plan_counts_the_fleet_that_would_be_built() -> None:
    fleet = build(districts(zones_of("bac-kan"), 20), 1)
    counted = plan("bac-kan", 20)
    assert fleet.count_by_family() == {load.family: load.devices for load in counted.families}
    there: dict[tuple[str, str], int] = defaultdict(int)
    for area, family in zip(fleet.area.tolist(), fleet.family.tolist(), strict=True):
        there[fleet.areas[area], fleet.families[family]] += 1
    for part in counted.document()["per_district"]:
        assert {name: n for name, n in part["families"].items() if n} == {
            name: n for (area, name), n in there.items() if area == part["area"]
        }


def test_districts_of_a_plan_are_what_they_are_in_the_whole() -> None:
    whole = {part["area"]: part for part in document()["per_district"]}
    parts = document("--area", "213", "--area", "220")["per_district"]
    assert parts == [whole["213"], whole["220"]]


# Presets


@pytest.mark.parametrize(
    ("preset", "devices"), [(2025, 1.8e6), (2030, 3.74e6), (2050, 11e6)], ids=lambda value: str(int(value))
)
def test_presets_are_the_targets_of_the_plan(preset: int, devices: float) -> None:
    found = document("--preset", preset)
    assert found["devices"] == pytest.approx(devices, rel=0.03 if preset == 2025 else 1e-5)
    target = next(one for one in found["targets"] if one["year"] == preset)
    assert found["devices"] == pytest.approx(target["devices_high"], rel=1e-5)
    assert (found["people_year"], found["density"]) == (preset, target["density_high"])


def test_the_target_of_2030_runs_from_2_8_to_3_7_million() -> None:
    target = next(one for one in document("--preset", 2030)["targets"] if one["year"] == 2030)
    assert target["devices_low"] == pytest.approx(2.8e6, rel=0.01)
    assert target["devices_high"] == pytest.approx(3.7e6, rel=0.02)


def test_every_sector_of_the_plan_has_devices() -> None:
    sectors = {one["sector"]: one["devices"] for one in document()["sectors"]}
    assert {"transport", "health", "education", "agriculture", "industry", "environment"} < set(sectors)
    assert min(sectors.values()) > 10_000


# Storage


def test_what_it_means_for_the_data_centre_agrees_with_the_plan_of_storage() -> None:
    stored = document("--density", 200)["storage"]
    from dothi.commands import storage

    said = CliRunner().invoke(storage.app, ["plan", "--density", "200", "--disk", "40TB", "--json"])
    whole = json.loads(said.stdout)
    assert stored["readings_bytes_per_day"] == whole["bytes_per_day"]["readings"]
    assert stored["at_rest_bytes"] == whole["at_rest_bytes"]
    assert stored["rows_per_day"] == sum(one["readings_per_day"] for one in whole["per_family"])
    assert stored["days_until_high"] == pytest.approx(PROVINCE_HIGH / stored["stored_bytes_per_day"], abs=0.1)


# What people read


def test_a_plan_as_tables_names_what_decides() -> None:
    said = asked("--province", "bac-kan", "--density", 100)
    assert said.exit_code == 0
    for words in ("messages/s", "TP Bắc Kạn", "agriculture", "408 TB", "public_address", "S3"):
        assert words in said.stdout


def test_a_plan_as_csv_has_every_district_and_family() -> None:
    rows = list(csv.DictReader(asked("--province", "bac-kan", "--csv").stdout.splitlines()))
    whole = document("--province", "bac-kan")
    assert sum(int(row["devices"]) for row in rows) == whole["devices"]
    assert sum(float(row["messages_per_s"]) for row in rows) == pytest.approx(whole["messages_per_s"], rel=1e-3)
    assert {row["area"] for row in rows} == {part["area"] for part in whole["per_district"]}


# Files of users


def test_a_province_of_ones_own(tmp_path: Path) -> None:
    found = document("--province", home_file(tmp_path), "--preset", 2030)
    assert [part["people"] for part in found["per_district"]] == [2000, 202_270]
    assert found["per_district"][0]["devices"] == 3000
    assert found["per_district"][0]["families"]["water_level"] == 0
    assert found["per_district"][0]["families"]["fire_watch"] > 0
    assert next(one for one in found["per_family"] if one["family"] == "telecom_site")["devices"] == 20
    assert province_at(str(tmp_path / "home.yaml")).counted(2025)["215"]["telecom_site"] != (0, 0)


def test_counts_of_years_between_lie_on_a_line(tmp_path: Path) -> None:
    home = province_at(str(home_file(tmp_path)))
    for year, wanted in ((2019, 10), (2020, 10), (2025, 15), (2030, 20), (2050, 20)):
        assert sum(sum(one["telecom_site"]) for one in home.counted(year).values()) == wanted


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"215"', "999", "unknown district 999; allowed: .*213"),
        ('"215"', "214", "unknown district 214"),
        ("communes: 2", "communes: 0", r">= 1 - at `districts.213.communes"),
        ("communes: 2", "comunes: 2", "comunes"),
        ("urban: 0.5", "urban: 1.5", "1"),
        ("people: 1000", "people: -5", "0|1"),
        ("people: 1000", "people: many", "int"),
        ("telecom_site", "telekom_site", "unknown family telekom_site; allowed: .*telecom_site"),
        ("source: mine}]", "source: mine, only: sea}]", "masts: no district has sea"),
        ("{2020: 10, 2030: 20}", "{}", "length|min"),
        ("{2020: 10, 2030: 20}", "{2020: -10}", "0"),
        ("density: [100, 150]", "density: [150, 100]", "target of 2030: .*low to high"),
        ("density: [100, 150], ", "", "target of 2030: .*one of density and devices"),
        ("density: [100, 150]", "density: [0, 150]", "0"),
        ("growth: {2019: 1, 2030: 2}", "growth: {}", "growth"),
        ("growth: {2019: 1, 2030: 2}", "growth: {2019: .nan}", "nan"),
        ("tags: [forest]", "seat: [10.8, 106.6]", "seat .*outside district 213"),
        ("province: home", "province: [", "not YAML"),
        ("province: home", "- 1", "not YAML"),
    ],
)
def test_a_wrong_province_file_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = home_file(tmp_path, old, new)
    text = refused("--province", path)
    assert text.startswith(f"--province {path}: ")
    with pytest.raises(PlanError, match=told):
        province_at(str(path))


MIX = """
sectors:
  homes: {share: {urban: 3, rural: 1}, families: {meter: 3, contact: 1}}
  health: {share: {urban: 1, rural: 3}, families: {wearable: {urban: 1, rural: 2}, fire_watch: 0}}
only: {fire_watch: forest}
"""


def test_a_mix_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text(MIX)
    found = document("--province", home_file(tmp_path), "--mix", path)
    assert {one["family"] for one in found["per_family"] if one["devices"]} == {
        "meter", "contact", "wearable", "telecom_site"
    }  # fmt: skip
    here = found["per_district"][0]["families"]  # 4,000 devices, half of them in towns
    assert here["wearable"] == pytest.approx(2000, abs=60)
    assert here["meter"] == pytest.approx(3 * here["contact"], rel=0.01)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("contact", "kontact", "unknown family kontact; allowed: .*contact"),
        ("meter: 3", "meter: -3", "sectors.homes.families"),
        ("meter: 3", "meter: .inf", "inf"),
        ("meter: 3", "meter: three", "meter|float|str"),
        ("{meter: 3, contact: 1}", "{meter: 0, contact: 0}", "weights of sector homes add up to 0"),
        ("{meter: 3, contact: 1}", "{}", "homes"),
        ("share: {urban: 3, rural: 1}", "share: {urban: 0, rural: 0}", None),
        ("{wearable: {urban: 1, rural: 2}", "{meter: 2", "meter is in several sectors"),
        ("only: {fire_watch: forest}", "only: {meter: sea, contact: sea, wearable: sea}", "districts without a tag"),
        ("only: {fire_watch: forest}", "only: {fire: forest}", "unknown family fire;"),
        ("only: {fire_watch: forest}", "others: 3", "others"),
        (MIX, "sectors: {}", "sectors"),
        (MIX, "nothing", "a mapping"),
        (MIX, "", "a mapping"),
    ],
)
def test_an_impossible_mix_is_named(tmp_path: Path, old: str, new: str, told: str | None) -> None:
    path = tmp_path / "mix.yaml"
    assert old in MIX
    path.write_text(MIX.replace(old, new))
    if told is None:
        document("--mix", path)
        return
    text = refused("--mix", path)
    assert text.startswith(f"--mix {path}: ")
    with pytest.raises(WrongUsage, match=told):
        raise WrongUsage(text)


def test_shares_that_are_nothing_anywhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text("sectors: {homes: {share: {urban: 0, rural: 1}, families: {meter: 1}}}")
    assert "the urban shares of all sectors add up to 0" in refused("--mix", path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for option in ("--mix", "--province"):
        path = tmp_path / "no.yaml"
        assert refused(option, path).startswith(f"{option} {path}: cannot be read (No such file")
    path.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refused("--mix", path)


@pytest.mark.parametrize("name", [*provinces(), "mix"])
def test_the_own_files_mark_what_they_assume(name: str) -> None:
    text = own_file(name)
    assert "assumption" in text.lower()
    if name == "mix":
        assert usual_mix().sector_of("meter") == "homes"
    else:
        known = {"S0", "S1", "S2", "S3", "assumption"}
        home = own_province(name)
        sources = [one.source for one in (*home.counts, *home.targets.values())]
        assert {word for source in sources for word in source.split(", ")} <= known


# Wrong usage


@pytest.mark.parametrize("density", [0, -5, 1000.5, 10_000, float("nan"), float("inf")])
def test_an_impossible_density_is_refused(density: float) -> None:
    with pytest.raises(PlanError, match=r"--density .*1000"):
        plan("bac-giang", density)
    assert "--density" in refused("--density", density)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--province", "atlantis"], "--province atlantis: .*bac-giang, bac-kan"),
        (["--people-year", "1999"], "--people-year 1999: .*2019"),
        (["--area", "999"], "--area 999: .*213 TP Bắc Giang"),
        (["--area", "058"], "--area 058: no district of bac-giang"),
        (["--preset", "2031"], "--preset 2031: .*2025, 2030, 2050"),
        (["--preset", "0"], "--preset 0: .*2025, 2030, 2050"),
        (["--preset", "2030", "--density", "150"], "--preset 2030 and --density 150: give one"),
        (["--json", "--csv"], "--csv and --json: give one"),
    ],
)
def test_wrong_usage_names_the_value_and_what_is_allowed(arguments: list[str], told: str) -> None:
    with pytest.raises(WrongUsage, match=told):
        raise WrongUsage(refused(*arguments))
