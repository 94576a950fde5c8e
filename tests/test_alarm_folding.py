"""Folding, outages and fires, without a database: one cause is one alarm, in whatever order it is told."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.alarms.engine import Engine
from analytics.alarms.matching import Sign
from analytics.alarms.outage import There, most_covered
from analytics.alarms.record import Rehearsed
from analytics.alarms.silences import Known
from tests.ringing_world import HEARD, at, by_kind, engine_of, sign, told

MINUTE = 60.0
CUT = 1000.0  # s after the beginning
DEVICES = 40


def play(engine: Engine, record: Rehearsed, changes: list[tuple[float, Sign]], until: float) -> None:
    """Let time go on in steps of ten seconds."""
    left = sorted(changes, key=lambda change: change[0])
    for now in np.arange(0.0, until, 10.0):
        engine.take(one for moment, one in left if now - 10.0 < moment <= now)
        engine.settle(record, at(float(now)), HEARD)


def cut(
    devices: list[int], area: int = 213, minutes: float = 60.0, spread_km: float = 0.5, seed: int = 1
) -> list[tuple[float, Sign]]:
    """Devices of one place that are cut off at one moment, and come back."""
    chance = random.Random(seed)  # noqa: S311 - a story, no secret
    changes = []
    for device in devices:
        interval = chance.choice([60.0, 60.0, 300.0, 900.0])
        since = CUT - chance.random() * interval
        found, back = since + 3.25 * interval, CUT + minutes * MINUTE + chance.random() * interval
        where = {
            "lat": 21.3 + chance.uniform(-1, 1) * spread_km / 111,
            "lon": 106.2 + chance.uniform(-1, 1) * spread_km / 104,
        }
        given = {"area": area, "interval_s": interval, "silent_s": 3.25 * interval, "metric": "", **where}
        if found < back:
            one = sign(device, device, "silent", since=since, found=found, **given)
            changes += [(found, one), (back, one._replace(until=at(back), began=False))]
    return changes


def fleet(others: int, spread_km: float = 10.0) -> There:
    """Active devices of a district, all over it."""
    chance = np.random.default_rng(1)
    lat, lon = (
        21.3 + chance.uniform(-1, 1, others) * spread_km / 111,
        106.2 + chance.uniform(-1, 1, others) * spread_km / 104,
    )
    return There(lat, lon, 3.25 * chance.choice([60.0, 60.0, 300.0, 900.0], others))


def test_the_moment_of_a_cut_lies_in_most_spans() -> None:
    heard = np.array([0, 3, 9, 100, 200])
    assert most_covered(heard, np.full(5, 10)) == 9


def test_a_gateway_that_is_cut_is_one_alarm_with_its_devices() -> None:
    engine, record = engine_of(fleet=lambda _area: fleet(800)), Rehearsed()
    play(engine, record, cut(list(range(DEVICES))), 3 * 3600.0)
    assert by_kind([one for one in record.alarms if one.severity != "info"]) == {"gateway_cut": 1}
    outage = next(one for one in record.alarms if one.call.kind == "gateway_cut")
    assert outage.severity == "major"
    assert len(outage.devices) >= 0.8 * DEVICES
    assert outage.cleared is not None
    assert at(CUT + 60 * MINUTE) < outage.cleared < at(CUT + 80 * MINUTE)


def test_a_gateway_of_three_is_one_alarm() -> None:
    """More than half of its devices are silent: it is told whatever the place's size."""
    engine, record = engine_of(fleet=lambda _area: fleet(800)), Rehearsed()
    some = [
        (found, sign(n, n, "silent", since=CUT - 10 * n, found=found, metric="", lat=21.3 + n / 9999))
        for n in range(1, 4)
        for found in (CUT - 10 * n + 195,)
    ]
    play(engine, record, some, 3600.0)
    loud = [one for one in record.alarms if one.severity != "info"]
    assert [(one.call.kind, one.severity, len(one.devices)) for one in loud] == [("gateway_cut", "major", 3)]


def test_slow_devices_of_a_gateway_are_not_taken_for_their_district() -> None:
    """They are noticed one after the other, those first that were heard a while before the cut; of the others in the
    district that speak as seldom nobody is due then."""
    slow = There(*(np.tile(one, 5) for one in fleet(100)[:2]), np.repeat([195.0, 2925.0], (60, 440)))
    engine, record = engine_of(fleet=lambda _area: slow), Rehearsed()
    changes = []
    for n in range(60):
        interval, since = (60.0, CUT - 5.0 * n) if n < 4 else (900.0, CUT - 15.0 * n)
        given = {"metric": "", "interval_s": interval, "silent_s": 3.25 * interval}
        found, place = since + 3.25 * interval, {"lat": 21.3 + n % 7 / 9999, "lon": 106.2 + n % 5 / 9999}
        changes.append((found, sign(n, n, "silent", since=since, found=found, **given, **place)))
    play(engine, record, changes, 2 * 3600.0)
    loud = [one for one in record.alarms if one.severity != "info"]
    assert [(one.call.kind, one.severity, len(one.devices)) for one in loud] == [("gateway_cut", "major", 60)]


def test_a_district_that_is_dark_is_one_critical_alarm() -> None:
    engine, record = engine_of(fleet=lambda _area: fleet(60)), Rehearsed()
    play(engine, record, cut(list(range(DEVICES)), spread_km=10.0), 3 * 3600.0)
    loud = [one for one in record.alarms if one.severity != "info"]
    assert [(one.call.kind, one.severity, len(one.devices)) for one in loud] == [("power_cut", "critical", DEVICES)]
    assert loud[0].cleared is not None


def test_devices_here_and_there_are_no_outage() -> None:
    engine, record = engine_of(fleet=lambda _area: fleet(2000)), Rehearsed()
    changes = [
        (
            found,
            sign(
                n, n, "silent", since=found - 195, found=found, metric="", lat=21.2 + n % 7 / 50, lon=106.1 + n % 5 / 40
            ),
        )
        for n, found in enumerate(np.linspace(100, 7000, 12).tolist())
    ]
    play(engine, record, changes, 3 * 3600.0)
    assert by_kind(record.alarms) == {"silent": 1}


def test_what_we_did_not_hear_is_not_their_silence() -> None:
    """While the inbox of a district is away, and for as long as a silence takes after that, nobody of it is judged."""
    engine, record = engine_of(fleet=lambda _area: fleet(60)), Rehearsed()
    engine.take(one for _, one in cut(list(range(DEVICES))) if one.until is None)
    later = at(CUT + 3600.0)
    for known in (None, Known({}, frozenset({213})), Known({213: later - 60_000_000}, frozenset())):
        engine.settle(record, later, known)
        assert "power_cut" not in by_kind(record.alarms)
    engine.settle(record, later, HEARD)
    assert by_kind(record.alarms)["power_cut"] == 1


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999))
def test_the_order_of_devices_makes_no_difference(seed: int) -> None:
    changes = cut(list(range(DEVICES)), seed=seed) + [
        (float(n), sign(1000 + n, n % 7, chosen, found=float(n)))
        for n, chosen in enumerate(["stuck", "drift", "incident"] * 9)
    ]
    results = []
    for order in (1, 2):
        shuffled = random.Random(order).sample(changes, len(changes))  # noqa: S311 - an order, no secret
        engine, record = engine_of(fleet=lambda _area: fleet(800)), Rehearsed()
        play(engine, record, shuffled, 2 * 3600.0)
        results.append(told(record))
    assert results[0] == results[1]


def test_a_storm_of_findings_is_a_few_alarms() -> None:
    engine, record = engine_of(population=100_000), Rehearsed()
    kinds = ("stuck", "drift", "clock", "battery", "spike")
    for first in range(0, 100_000, 5000):
        engine.take(sign(n, n, kinds[n % 5], area=213 + n % 5) for n in range(first, first + 5000))
        engine.settle(record, at(first / 1000), HEARD)
    engine.settle(record, at(400.0), HEARD)
    assert sum(by_kind(record.alarms).values()) == 5
    assert sum(len(one.devices) for one in record.alarms) == 100_000
    assert engine.folding.held == 100_000


def fire(finding: int, device: int, detector: str, found: float, **said: object) -> Sign:
    """Evidence of fire by a fire watch."""
    return sign(finding, device, detector, found=found, family="fire_watch", metric="smoke", area=220, **said)


def test_a_fire_is_one_alarm_that_grows_and_ends() -> None:
    engine, record = engine_of(), Rehearsed()
    camera = fire(1, 1, "fire-camera", 60.0)
    smoke = fire(2, 2, "fire-smoke", 300.0, lat=21.31)
    engine.take([camera])
    engine.settle(record, at(61), HEARD)
    assert told(record) == [("forest_fire:1", "major", 1, False)]
    engine.take([smoke])
    engine.settle(record, at(301), HEARD)
    assert told(record) == [("forest_fire:1", "critical", 2, False)]
    assert "Xác nhận" in record.alarms[0].call.message
    assert [(e["kind"], e["after_s"], round(e["distance_m"] / 100)) for e in record.alarms[0].evidence] == [
        ("camera", 0.0, 0),
        ("smoke", 240.0, 11),
    ]
    engine.take([one._replace(until=at(600), began=False) for one in (camera, smoke)])
    for now in (700, 1400, 1501):
        engine.settle(record, at(now), HEARD)
        assert (record.alarms[0].cleared is not None) is (now > 1500)


def test_two_fires_far_apart_are_two() -> None:
    engine, record = engine_of(), Rehearsed()
    engine.take([fire(1, 1, "fire-camera", 60.0), fire(2, 2, "fire-smoke", 70.0, lat=21.9)])
    engine.settle(record, at(80), HEARD)
    assert [one[1] for one in told(record)] == ["major", "major"]


CHANNELS = ["fire-camera", "fire-smoke", "fire-heat", "fire-flame", "fire-warmth", "fire-hotspot"]


@settings(max_examples=60, deadline=None)
@given(found=st.lists(st.tuples(st.sampled_from(CHANNELS), st.floats(0, 3000)), min_size=1, max_size=12))
def test_a_single_sensor_never_confirms(found: list[tuple[str, float]]) -> None:
    """However often and in however many ways one device says fire, unless its heat lasts and another channel agrees."""
    engine, record = engine_of(), Rehearsed()
    for number, (detector, seconds) in enumerate(sorted(found, key=lambda one: one[1]), 1):
        engine.take([fire(number, 1, detector, seconds)])
        engine.settle(record, at(seconds), HEARD)
    assert {one.severity for one in record.alarms} == {"major"}


SECOND = [
    ("fire-smoke", 500, "critical"),
    ("fire-smoke", 700, "major"),
    ("fire-camera", 500, "major"),
    ("forest-gate", 500, "major"),
]


@pytest.mark.parametrize(("detector", "seconds", "severity"), SECOND)
def test_two_kinds_within_ten_minutes_confirm(detector: str, seconds: float, severity: str) -> None:
    engine, record = engine_of(), Rehearsed()
    engine.take([fire(1, 1, "fire-camera", 0.0), fire(2, 2, detector, seconds)])
    engine.settle(record, at(seconds), HEARD)
    assert record.alarms[0].severity == severity


def test_lasting_heat_confirms_by_itself() -> None:
    engine, record = engine_of(), Rehearsed()
    engine.take([fire(1, 1, "fire-lasting", 60.0)])
    engine.settle(record, at(61), HEARD)
    assert record.alarms[0].severity == "critical"


def test_the_air_of_a_town_is_not_yet_a_forest_fire() -> None:
    engine, record = engine_of(), Rehearsed()
    engine.take([sign(1, 1, "fire-smoke", found=60.0)])
    engine.settle(record, at(61), HEARD)
    assert record.alarms[0].severity == "minor"
