"""Laws of the simulated fleet: seeded, sized as asked, divided as the mix says, standing where its districts are."""

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.area import ZONES, Zone, people_2030
from devices.area_outline import all_outlines
from devices.enroll import DEVICE_ID
from devices.enroll_columns import Columns
from devices.family import FAMILIES
from simulators import draw
from simulators.city import members_of
from simulators.districts import districts, division, people_of, zones_of
from simulators.facts import PlanError
from simulators.fleet import Fleet, build, native_families, native_profile, pieces
from simulators.ground import clearance
from simulators.mix import apportion, prefix, shown, usual_mix
from simulators.province import own_province, provinces
from simulators.shard import shard_of

ROOT = Path(__file__).parents[1]
STIRRED = [6515378097567897105, 3499946262820276026]
SMALL, TENTH = "bdac1ce96f1840f8", "1e7e6b02711d43cb"
"""Digests of fleets that must never change: whoever compares two runs of one seed, years apart, gets the same city."""
SHARES = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30).map(np.array)
MIX = usual_mix()
NATIVE = native_families()


@cache
def small_fleet(seed: int = 1, people: int = 2000, density: float = 50) -> Fleet:
    return build(districts(zones_of("bac-giang"), density, people=people), seed)


@pytest.fixture(scope="module")
def bac_kan() -> Fleet:
    return build(districts(zones_of("bac-kan"), 40), 1)


# The same seed


def test_same_seed_gives_the_same_fleet_byte_for_byte() -> None:
    again = build(districts(zones_of("bac-giang"), 50, people=2000), 7)
    assert small_fleet(7).tobytes() == again.tobytes()
    assert list(pieces(small_fleet(7))) == list(pieces(again))


def test_another_seed_gives_another_fleet_on_the_same_ground() -> None:
    one, other = small_fleet(7), small_fleet(8)
    assert one.tobytes() != other.tobytes()
    assert one.ids() == other.ids()


def test_a_fleet_of_known_seed_stays_what_it_is(bac_kan: Fleet) -> None:
    assert small_fleet(1).ids()[:2] == ["aq-213-000001", "ac-213-000001"]
    assert draw.stir(np.array([1, 2], dtype=np.uint64), draw.salt("device"), 4).tolist() == STIRRED
    assert digest(small_fleet(1)) == SMALL
    assert digest(bac_kan) == TENTH


DIGEST = """
from tests.test_simulators_fleet import digest, small_fleet
print(digest(small_fleet(1)))
"""


def test_a_simpler_processor_makes_the_same_fleet() -> None:
    """Wide vector instructions must not round otherwise."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    simple = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    said = subprocess.run(
        [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True, env=simple, cwd=ROOT
    )
    assert said.stdout.strip() == SMALL


def digest(fleet: Fleet) -> str:
    return hashlib.blake2b(fleet.tobytes(), digest_size=8).hexdigest()


# Names


def test_ids_are_unique_and_as_the_wire_asks() -> None:
    ids = small_fleet().ids()
    assert len(set(ids)) == len(ids) == 1000
    assert all(DEVICE_ID.fullmatch(device) for device in ids)


@given(at=st.lists(st.integers(0, 999), max_size=50))
def test_names_are_the_ids_of_the_devices_asked_for(at: list[int]) -> None:
    fleet = small_fleet()
    names = fleet.names(np.array(at, dtype=np.int64))
    assert [name.decode() for name in names.tolist()] == [fleet.ids()[place] for place in at]
    assert names.view(np.uint8).reshape(len(at), 13).shape == (len(at), 13)


def test_a_millionth_device_of_a_family_has_a_name_too() -> None:
    fleet = small_fleet()
    numbered = Fleet(**{name: getattr(fleet, name) for name in Fleet.__slots__} | {"number": fleet.number + 999_998})
    assert numbered.ids(np.array([0, 1]))[0] == "aq-213-999999"
    assert len(set(numbered.ids())) == 1000
    assert max(map(len, numbered.ids())) == 14


def test_pieces_name_what_the_registry_knows() -> None:
    told = list(pieces(small_fleet(), 300))
    assert [len(piece.device) for piece in told] == [300, 300, 300, 100]
    devices, profiles, areas, names, lats, lons = (
        [one for piece in told for one in piece[column]] for column in range(len(Columns._fields))
    )
    assert devices == small_fleet().ids()
    assert set(profiles) == {native_profile(family).name for family in NATIVE}
    assert areas == [device.split("-")[1] for device in devices]
    assert names[0] == "Chất lượng không khí 1, TP Bắc Giang"
    assert len(set(names)) == 1000
    assert lats == pytest.approx(small_fleet().lat.tolist(), abs=1e-5)
    assert all(repr(one) == repr(round(one, 5)) for one in (*lats, *lons))


# The ground


def test_every_device_stands_inside_the_outline_of_its_zone(bac_kan: Fleet) -> None:
    rng = np.random.default_rng(1)
    for fleet in (small_fleet(), bac_kan):
        for place in rng.choice(len(fleet), 1000, replace=False).tolist():
            outline = all_outlines()[fleet.areas[fleet.area[place]]]
            assert outline.holds(float(fleet.lat[place]), float(fleet.lon[place]))


@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.code)
def test_the_clearance_of_a_position_agrees_with_the_outline(zone: Zone) -> None:
    outline, rng = all_outlines()[zone.code], np.random.default_rng(1)
    lat, lon = rng.uniform(outline.south, outline.north, 300), rng.uniform(outline.west, outline.east, 300)
    for north, east, clear in zip(lat.tolist(), lon.tolist(), clearance(zone.code, lat, lon).tolist(), strict=True):
        assert outline.holds(north, east) == (clear > 0)
        edge = nearest_edge_km(zone.code, north, east)
        assert clear == 0 or clear == pytest.approx(edge, rel=0.02, abs=0.02)


def nearest_edge_km(code: str, lat: float, lon: float) -> float:
    """By walking along every side in small steps."""
    steps = np.linspace(0, 1, 200)
    sides = np.array(all_outlines()[code].edges)
    north = sides[:, :1] + np.outer(sides[:, 2] - sides[:, 0], steps) - lat
    east = (sides[:, 1:2] + np.outer(sides[:, 3] - sides[:, 1], steps) - lon) * np.cos(np.radians(lat))
    return float(np.sqrt((north**2 + east**2).min()) * 111.32)


def test_devices_crowd_in_villages_and_the_town_is_where_its_seat_is(bac_kan: Fleet) -> None:
    meters = np.flatnonzero((bac_kan.area == 0) & (bac_kan.family == NATIVE.index("meter")))
    cells = np.unique(
        np.round(bac_kan.lat[meters] * 50) * 10_000 + np.round(bac_kan.lon[meters] * 50), return_counts=True
    )
    assert cells[1].max() > 5 * np.median(cells[1])
    lat, lon = own_province("bac-kan").districts["058"].seat or (0.0, 0.0)
    near = np.hypot(bac_kan.lat[meters] - lat, bac_kan.lon[meters] - lon) < 0.06
    assert near.mean() > 0.7


# People, devices, families


@pytest.mark.parametrize("province", provinces())
@pytest.mark.parametrize("density", [75, 200, 588])
def test_every_district_is_within_one_percent_of_the_target(province: str, density: float) -> None:
    for district in districts(zones_of(province), density):
        target = people_of(district.zone, 2030) * density / 100
        assert district.devices == pytest.approx(target, rel=0.01)
        assert division(district, NATIVE, MIX).sum() == district.devices


@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.code)
def test_people_are_those_of_the_census_and_of_the_plan(zone: Zone) -> None:
    assert people_of(zone, 2019) == zone.people_2019
    assert people_of(zone, 2030) == people_2030(zone)
    assert people_of(zone, 2019) < people_of(zone, 2025) < people_of(zone, 2030)


@given(people=st.integers(1, 100_000), density=st.floats(0.1, 1000))
def test_people_and_devices_asked_for_are_people_and_devices_got(people: int, density: float) -> None:
    parts = districts(zones_of("bac-kan"), density, people=people)
    assert sum(part.people for part in parts) == people
    assert sum(part.devices for part in parts) == round(people * density / 100)
    for part in parts:
        counts = division(part, NATIVE, MIX)
        assert counts.sum() == part.devices
        assert counts.min() >= 0


@pytest.mark.parametrize("province", provinces())
def test_what_the_documents_count_is_there_whatever_the_density(province: str) -> None:
    home = own_province(province)
    only_counted = {"telecom_site", "public_address", "notice_board", "server", "security_event"}
    for density in (20, 200):
        parts = districts(home.zones, density, year=2030)
        sums = dict(zip(NATIVE, sum(division(part, NATIVE, MIX).sum(axis=1) for part in parts).tolist(), strict=True))
        for count in home.counts:
            exact = count.family in only_counted
            wanted = round(count.of.get(2030, max(count.of.values())))
            assert sums[count.family] == wanted if exact else sums[count.family] >= wanted


def test_the_cameras_of_the_province_are_its_cameras() -> None:
    counted = own_province("bac-giang").counted(2024)
    total = {family: sum(sum(one[family]) for one in counted.values()) for family in ("traffic_flow", "camera_event")}
    assert total == {"traffic_flow": 115, "camera_event": 1134 + 22}
    assert counted["213"]["camera_event"].urban > counted["223"]["camera_event"].urban
    assert sum(one["telecom_site"].urban + one["telecom_site"].rural for one in counted.values()) == 1596


@pytest.mark.parametrize(("family", "tag"), sorted(MIX.only.items()))
@pytest.mark.parametrize("people", [None, 20_000])
def test_forest_fires_are_watched_in_forests_and_levels_in_rivers(family: str, tag: str, people: int | None) -> None:
    for province in provinces():
        for part in districts(zones_of(province), 100, people=people):
            number = division(part, NATIVE, MIX)[NATIVE.index(family)].sum()
            assert (number > 0) == (tag in part.place.tags)


def test_a_small_city_shows_every_family_that_its_districts_have() -> None:
    fleet = small_fleet()
    shown_there = set(zip(fleet.area.tolist(), fleet.family.tolist(), strict=True))
    for place, area in enumerate(fleet.areas):
        tags = own_province("bac-giang").districts[area].tags
        assert [name for name in NATIVE if MIX.allows(name, tags)] == [
            name for number, name in enumerate(NATIVE) if (place, number) in shown_there
        ]


def test_towns_have_parking_and_the_country_has_fields() -> None:
    urban, rural = (
        dict(zip(NATIVE, MIX.weights(NATIVE, urban=urban).tolist(), strict=True)) for urban in (True, False)
    )
    assert urban["parking"] > 4 * rural["parking"]
    assert rural["soil"] > 4 * urban["soil"]


def test_a_fleet_of_one_family_has_that_family_where_it_may_be() -> None:
    forests = [
        zone for zone in zones_of("bac-giang") if "forest" in own_province("bac-giang").districts[zone.code].tags
    ]
    fleet = build(districts(forests, 50, people=2000), 1, families=["fire_watch"])
    assert fleet.count_by_family() == {"fire_watch": 1000}
    with pytest.raises(PlanError, match="district 213: of fire_watch the mix leaves it none"):
        build(districts(zones_of("bac-giang"), 50, people=2000), 1, families=["fire_watch"])


@given(total=st.integers(0, 100_000), shares=SHARES)
def test_apportioned_numbers_add_up_and_stay_near_their_share(total: int, shares: draw.Floats) -> None:
    counts = apportion(total, shares)
    assert counts.sum() == total
    assert np.all(np.abs(counts - shares / shares.sum() * total) < 1.0 + 1e-6)


@given(counts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30), data=st.data())
def test_showing_every_family_takes_nothing_away(counts: list[tuple[int, int]], data: st.DataObject) -> None:
    before = np.array(counts, dtype=np.int64)
    wanted = np.array(data.draw(st.lists(st.booleans(), min_size=len(counts), max_size=len(counts))))
    after = shown(before, wanted)
    assert after.sum() == before.sum()
    assert after.min() >= 0
    assert np.all((after.sum(axis=1) > 0) >= (before.sum(axis=1) > 0))


def test_the_mix_names_known_families_and_gives_an_unnamed_one_a_little() -> None:
    named = [family for sector in MIX.sectors.values() for family in sector.families]
    assert sorted(named) == sorted(FAMILIES)
    assert len({prefix(family) for family in FAMILIES}) == len(FAMILIES)
    shares = MIX.weights([*named, "brand_new"], urban=True)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[-1] > 0
    assert MIX.sector_of("brand_new") == "other"


# Size


def test_a_million_devices_are_columns_not_objects() -> None:
    fleet = build(districts(zones_of("bac-giang"), 54), 1)
    assert len(fleet) > 1_000_000
    assert len(fleet.tobytes()) / len(fleet) <= 24


BUILT = """
import resource
from simulators.fleet import build, districts, zones_of
fleet = build(districts(zones_of("bac-giang"), 200), 1)
print(len(fleet), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_city_of_2030_takes_less_than_a_gibibyte() -> None:
    said = subprocess.run([sys.executable, "-c", BUILT], capture_output=True, text=True, check=True).stdout
    devices, kilobytes = map(int, said.split())
    assert devices == 3_740_002
    assert kilobytes < 1024 * 1024


# Shards


@given(parts=st.integers(1, 40))
def test_shards_are_disjoint_and_together_the_whole(parts: int) -> None:
    fleet = small_fleet()
    found = np.concatenate([members_of(fleet, (part, parts)) for part in range(1, parts + 1)])
    assert np.array_equal(np.sort(found), np.arange(len(fleet)))


def test_shards_are_of_like_size(bac_kan: Fleet) -> None:
    sizes = [len(members_of(bac_kan, (part, 8))) for part in range(1, 9)]
    assert max(sizes) < 1.05 * min(sizes)


@given(part=st.integers(1, 1024), more=st.integers(0, 1000))
def test_a_shard_reads_back(part: int, more: int) -> None:
    parts = min(part + more, 1024)
    assert shard_of(f"{part}/{parts}") == (part, parts)


@pytest.mark.parametrize("text", ["0/8", "9/8", "2", "2/", "/8", "a/b", "-1/8", "1/1025", "1/8/2", "", "2 of 8", "٢/٨"])
def test_a_shard_that_is_none_is_named(text: str) -> None:
    with pytest.raises(PlanError, match=r"--shard .*allowed: .*2/8"):
        shard_of(text)
