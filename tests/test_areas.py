"""Zones of the plan, administrative units by date, targets."""

from datetime import date

from devices.area import PLAN, UNITS, ZONES, outlines, people_2030, unit_on

BAC_GIANG = ["213", *(str(code) for code in range(215, 224))]
BAC_KAN = ["058", *(f"{code:03}" for code in range(60, 67))]


def test_the_zones_are_the_districts_of_the_plan() -> None:
    by_province = {p: [z.code for z in ZONES if z.province == p] for p in ("bac-giang", "bac-kan")}
    assert by_province == {"bac-giang": BAC_GIANG, "bac-kan": BAC_KAN}
    assert [zone.id for zone in ZONES] == [int(zone.code) for zone in ZONES]


def test_people_are_those_of_the_census_and_of_the_plan() -> None:
    assert sum(z.people_2019 for z in ZONES if z.province == "bac-giang") == 1_803_950
    assert sum(z.people_2019 for z in ZONES if z.province == "bac-kan") == 313_905
    assert abs(sum(people_2030(z) for z in ZONES if z.province == "bac-giang") - 1_870_000) <= 5


def test_zones_lie_where_the_provinces_are() -> None:
    for zone in ZONES:
        assert 21.0 < zone.lat < 22.9, zone
        assert 105.3 < zone.lon < 107.2, zone
        assert zone.area_km2 > 50
        assert zone.name_vi
        assert zone.name_en.isascii()


def test_a_code_means_nothing_without_its_date() -> None:
    before, after = (unit_on("province", "24", date(2025, *day)) for day in ((6, 30), (7, 1)))
    assert before is not None
    assert after is not None
    assert (before.name, after.name) == ("Tỉnh Bắc Giang", "Tỉnh Bắc Ninh")
    assert unit_on("district", "221", date(2024, 12, 31)) is not None
    assert unit_on("district", "221", date(2025, 1, 1)) is None
    assert unit_on("district", "213", date(2025, 7, 1)) is None


def test_units_hold_together() -> None:
    zones = {zone.id for zone in ZONES}
    keys = [(unit.level, unit.code, unit.valid_from) for unit in UNITS]
    assert len(set(keys)) == len(keys)
    for unit in UNITS:
        assert unit.valid_to is None or unit.valid_from <= unit.valid_to
        assert (unit.zone is None) == (unit.level == "province")
        assert unit.zone is None or unit.zone in zones
        following = unit.valid_to and date.fromordinal(unit.valid_to.toordinal() + 1)
        for code in (unit.successor or "").split():
            assert following is not None
            assert unit_on(unit.level, code, following), (unit, code)


def test_no_two_units_share_a_code_at_one_time() -> None:
    for day in (date(2023, 1, 1), date(2024, 6, 1), date(2025, 3, 1), date(2025, 8, 1)):
        there = [(u.level, u.code) for u in UNITS if u.valid_from <= day and (u.valid_to is None or day <= u.valid_to)]
        assert len(set(there)) == len(there)


def test_communes_of_the_plan() -> None:
    before = date(2024, 1, 31)
    communes = [
        u for u in UNITS if u.level == "commune" and u.valid_from <= before and u.valid_to and u.valid_to >= before
    ]
    by_zone = {zone.id: sum(unit.zone == zone.id for unit in communes) for zone in ZONES}
    assert sum(by_zone[z.id] for z in ZONES if z.province == "bac-giang") == 209
    assert sum(by_zone[z.id] for z in ZONES if z.province == "bac-kan") == 108


def test_targets_and_outlines() -> None:
    assert [(t.year, t.low, t.high) for t in PLAN] == [(2025, 75, 100), (2030, 150, 200)]
    assert sorted(f["properties"]["code"] for f in outlines()["features"]) == [zone.code for zone in ZONES]
