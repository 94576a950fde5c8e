"""What each kind of happening does to readings and messages, told in the words of those who would see it."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.city import City, Message
from simulators.draw import Floats
from simulators.effects.event import away
from simulators.fleet import build, districts, zones_of
from simulators.messages import Kind
from simulators.scenario import QUIET, Scenario, Truth
from simulators.scenario_file import read
from simulators.schedule import Schedule, Shares
from simulators.truth import event_document

START, SECONDS, BOOT = 1_764_547_200.0, 3600.0, 1000
UNFAILING = Shares(late=0.0, duplicate=0.0, faulty=0.0)
FAMILIES = ("air_quality", "camera_event", "fire_watch", "rain", "traffic_flow", "water_level", "weather")
FLEET = build(districts(zones_of("bac-giang"), 3, people=8000), 1, families=FAMILIES)


class Played:
    """A run of one event, beside the same run without it."""

    def __init__(self, folder: Path, speed: float = 2.0, **event: Any) -> None:
        path = folder / "own.yaml"
        path.write_text(json.dumps({"events": [event]}))
        self.scenario: Scenario = read([str(path)], FLEET, START, SECONDS, speed)
        self.truth: Truth = self.scenario[0].truth(FLEET)
        self.loud, self.quiet = said(self.scenario, speed), undisturbed(speed)

    def of(self, device: int) -> list[Message]:
        """What a device sent, in order."""
        name = FLEET.ids(np.array([device]))[0]
        return [message for message in self.loud if message.device == name]

    def pairs(self, metric: str) -> tuple[Floats, Floats, Floats]:
        """Moments (0 to 1 of the event) and values of a metric without and with the event, of its devices."""
        names = set(FLEET.ids(self.truth.devices.astype(np.int64)))
        before = {(m.device, m.seq): m for m in self.quiet}
        both = [
            (
                (m.due - self.truth.start) / (self.truth.end - self.truth.start),
                values(before[m.device, m.seq]),
                values(m),
            )
            for m in self.loud
            if m.device in names and self.truth.start <= m.due < self.truth.end
        ]
        found = [(share, a[metric], b[metric]) for share, a, b in both if metric in a]
        columns = np.array(found, dtype=np.float64).T
        return columns[0], columns[1], columns[2]


def said(scenario: Scenario, speed: float) -> list[Message]:
    city = City(FLEET, start=START, boot=BOOT, speed=speed, shares=UNFAILING, scenario=scenario)
    return list(city.each(city.until(START + SECONDS)))


@cache
def undisturbed(speed: float) -> list[Message]:
    return said(QUIET, speed)


def values(message: Message) -> Mapping[str, Any]:
    metrics: Mapping[str, Any] = msgspec.json.decode(message.payload)["metrics"]
    return metrics


def test_rain_falls_hardest_in_the_middle_of_its_time(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="rain", where={"areas": ["220"]}, families=["weather"], mm_per_h=60)
    share, dry, wet = played.pairs("precipitation")
    more = wet - dry
    assert more.min() >= 0
    assert more[(share > 0.4) & (share < 0.6)].max() == pytest.approx(60, abs=1)  # a station tells mm/h
    assert more[share < 0.03].max(initial=0) < 1
    assert np.mean(played.pairs("relative_humidity")[2] - played.pairs("relative_humidity")[1]) > 0.02


def test_the_total_of_the_day_keeps_the_rain_that_fell(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="rain", where={"areas": ["220"]}, families=["rain"], mm_per_h=60, **{"for": "50 %"})
    for device in played.truth.devices.tolist():
        name = FLEET.ids(np.array([device]))[0]
        dry = [values(m) for m in played.quiet if m.device == name]
        wet = [values(m) for m in played.of(device)]
        fell = [b["rain_total"] - a["rain_total"] for a, b in zip(dry, wet, strict=True)]
        told = sum(b["precipitation"] - a["precipitation"] for a, b in zip(dry, wet, strict=True))
        assert fell == sorted(fell)
        assert fell[-1] == fell[-5] > 5
        assert told / fell[-1] == pytest.approx(2, abs=0.2)  # twice as many messages of 5 min each as there is time for


def test_a_river_reaches_its_peak_later_downstream_and_falls_again(tmp_path: Path) -> None:
    where = {"areas": ["219", "218", "221"]}
    played = Played(tmp_path, kind="river_rise", where=where, peak_m=6.6, travel="10 %")
    share, before, after = played.pairs("water_level")
    assert after.max() == pytest.approx(6.6, abs=0.01)
    assert np.all(after >= before - 0.011)
    assert np.all(after[share > 0.98] < 4.3)
    crossed = {(one["area"], one["level"]): one["first"] for one in played.truth.found["crossed"]}
    assert set(crossed) == {(area, level) for area in where["areas"] for level in ("I", "II", "III")}
    for area in where["areas"]:
        assert crossed[area, "I"] < crossed[area, "II"] < crossed[area, "III"]
    assert crossed["219", "III"] < crossed["218", "III"] < crossed["221", "III"]
    assert [(alarm.kind, alarm.severity) for alarm in played.truth.alarms] == [("river_level", "critical")]


def test_a_river_that_stays_below_level_one_is_no_alarm(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="river_rise", where={"areas": ["219"]}, peak_m=4.2)
    assert played.truth.alarms == ()
    assert played.truth.found == {"crossed": []}


def test_heat_is_told_where_it_is_extreme(tmp_path: Path) -> None:
    mild = Played(tmp_path, kind="heat_wave", hotter=1)
    hot = Played(tmp_path, kind="heat_wave", hotter=25)
    assert (mild.truth.alarms, [alarm.kind for alarm in hot.truth.alarms]) == ((), ["heat"])
    assert hot.truth.found["hottest_Cel"] - mild.truth.found["hottest_Cel"] == pytest.approx(24, abs=2)


def test_a_fire_is_seen_smelt_and_felt_in_that_order_down_the_wind(tmp_path: Path) -> None:
    where = {"lat": 21.33, "lon": 106.85, "radius_km": 40}
    played = Played(tmp_path, kind="fire_front", where=where, wind_from=0, front_km_h=20, growth="20 %", sight_km=40)
    truth = played.truth
    assert truth.since is not None
    distance, _ = away(FLEET, truth.devices, 21.33, 106.85)
    air = FLEET.family[truth.devices] == FLEET.families.index("air_quality")
    far = truth.devices[air & (distance > 1)]
    assert np.all(FLEET.lat[far] < 21.33)  # the wind comes from the north
    order = np.argsort(distance[~air])
    assert truth.since[~air][order[0]] < truth.since[~air][order[-1]]
    _, before, after = played.pairs("smoke_confidence")
    assert after.max() > 0.8
    assert np.all(after >= before - 0.011)
    assert played.pairs("co")[2].max() > 10_000
    for device, since in zip(truth.devices.tolist(), truth.since.tolist(), strict=True):
        name = FLEET.ids(np.array([device]))[0]
        quiet = {message.seq: message.payload for message in played.quiet if message.device == name}
        assert all(
            message.payload == quiet[message.seq] for message in played.of(device) if message.time / 1000 < since
        )


def test_without_a_point_a_fire_begins_upwind_of_a_device_that_will_see_it(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="fire_front", where={"areas": ["220"]}, wind_from=90)
    spot = played.truth.found["ignition"]
    distance, bearing = away(FLEET, played.truth.devices, spot["lat"], spot["lon"])
    assert distance.min() == pytest.approx(0.8, abs=0.05)
    assert np.degrees(bearing[np.argmin(distance)]) % 360 == pytest.approx(270, abs=5)


def test_an_incident_slows_the_counters_nearest_to_it_first(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="traffic_incident", where={"areas": ["213"]}, queue_km_h=20, blocked=1, start="5 %")
    truth = played.truth
    assert truth.since is not None
    distance, _ = away(FLEET, truth.devices, truth.where["lat"], truth.where["lon"])
    assert np.array_equal(np.argsort(distance), np.argsort(truth.since))
    share, before, after = played.pairs("average_vehicle_speed")
    assert np.mean(after[share > 0.8]) < 0.3 * np.mean(before[share > 0.8])
    assert played.pairs("occupancy")[2].max() >= 0.9


def test_a_rush_hour_brings_more_vehicles_that_are_slower(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="rush_hour", where={"areas": ["213"]}, families=["traffic_flow"], factor=2)
    share, before, after = played.pairs("intensity")
    middle = (share > 0.45) & (share < 0.55) & (before > 10)
    assert np.all(np.abs(after[middle] / before[middle] - 2) < 0.1)
    _, free, slow = played.pairs("average_vehicle_speed")
    assert np.all(slow <= free + 0.051)


@pytest.mark.parametrize(
    ("event", "metric", "law"),
    [
        ({"kind": "stuck"}, "pm25", lambda share, before, after: np.ptp(after) == 0),
        ({"kind": "bias", "by": 30}, "pm25", lambda share, before, after: np.allclose(after - before, 30)),
        (
            {"kind": "drift", "per_h": 90},
            "pm25",
            lambda share, before, after: np.allclose(after - before, 90 * share, atol=0.1),
        ),
        (
            {"kind": "wrong_unit", "factor": -1, "offset": -5},
            "pm10",
            lambda share, before, after: np.allclose(after, -before - 5),
        ),
    ],
    ids=["stuck", "bias", "drift", "wrong-unit"],
)
def test_a_faulty_sensor_is_wrong_as_said(event: dict[str, Any], metric: str, law: Any, tmp_path: Path) -> None:
    played = Played(tmp_path, metric=metric, families=["air_quality"], **event)
    assert len(played.truth.devices) == 1
    assert law(*played.pairs(metric))
    assert [alarm.one_per for alarm in played.truth.alarms] == ["device"]


def test_spikes_strike_once_a_period_and_every_device(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="spikes", metric="temperature", size=30, every="10 %", families=["weather"], count=3)
    share, before, after = played.pairs("temperature")
    struck = np.abs(after - before) > 20
    assert {int(one) for one in np.floor(share[struck] * 10)} == set(range(10))
    assert 30 <= struck.sum() <= 60  # ten periods, three devices, one reading or two
    assert np.array_equal(after[~struck], before[~struck])


def test_a_battery_runs_down_then_the_device_is_silent_until_it_gets_another(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="battery_death", families=["water_level"], start="10 %", **{"for": "80 %"})
    sent = [(m.due - START) / SECONDS for m in played.of(int(played.truth.devices[0]))]
    assert not [share for share in sent if 0.58 < share < 0.9]
    assert [share for share in sent if share > 0.9]
    share, before, after = played.pairs("battery_voltage")
    assert after[np.argmax(share)] < 0.65 * before[np.argmax(share)]


def test_a_wrong_clock_moves_times_and_nothing_else(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="clock_skew", by="-30 min", families=["weather"], start="50 %")
    for message in played.of(int(played.truth.devices[0])):
        skewed = message.due >= played.truth.start
        assert message.time == pytest.approx(message.due * 1000 - 1_800_000 * skewed, abs=1)
        assert message.kind == (Kind.SKEWED if skewed else Kind.FRESH)


def test_a_cut_gateway_sends_later_what_was_held_and_loses_the_rest(tmp_path: Path) -> None:
    played = Played(
        tmp_path,
        kind="gateway_cut",
        where={"areas": ["220"]},
        start="20 %",
        buffers=0.5,
        **{"for": "40 %"},
    )
    truth, held, lost = played.truth, 0, 0
    names = FLEET.ids(truth.devices.astype(np.int64))
    for name in names:
        was = [m for m in played.quiet if m.device == name and truth.start <= m.due < truth.end]
        now = {m.seq: m for m in played.loud if m.device == name}
        assert not [m for m in now.values() if truth.start <= m.due < truth.end]
        late = [now[m.seq] for m in was if m.seq in now]
        assert len(late) in (0, len(was))
        assert all((m.kind, m.time) == (Kind.LATE, old.time) for m, old in zip(late, was, strict=False))
        assert [m.seq for m in sorted(late, key=lambda m: m.due)] == [m.seq for m in late]
        held, lost = held + bool(late), lost + (not late and bool(was))
    assert held > 0
    assert lost > 0
    (outage,) = played.scenario[0].outages(FLEET)
    assert (outage.start, outage.end, outage.restart) == (truth.start, truth.end, False)


@pytest.mark.parametrize(
    ("families", "lasts", "told"), [(["air_quality"], 95, 0), (["air_quality"], 100, 1), (["rain"], 200, 0)]
)
def test_a_cut_that_is_over_before_anybody_was_due_is_no_alarm(
    tmp_path: Path, families: list[str], lasts: float, told: int
) -> None:
    """A station of air is due every minute, here twice as often, and may miss three; a rain gauge every five."""
    played = Played(tmp_path, kind="gateway_cut", families=families, start=10, **{"for": lasts})
    assert len(played.truth.alarms) == told
    assert (played.truth.found["missed"] > 2) == bool(told)


def test_after_a_power_cut_devices_count_from_one_in_another_boot(tmp_path: Path) -> None:
    played = Played(
        tmp_path,
        kind="power_cut",
        where={"areas": ["213", "215", "217"]},
        start="20 %",
        back="10 %",
        resets=0.5,
        **{"for": "30 %"},
    )
    truth = played.truth
    for device in truth.devices.tolist():
        sent = played.of(device)
        before, after = ([m for m in sent if m.boot == boot] for boot in (BOOT, BOOT + 1))
        assert all(m.due < truth.start for m in before)
        assert all(m.due >= truth.end for m in after)
        assert [m.seq for m in after] == list(range(1, len(after) + 1))
        assert after
    assert played.scenario[0].outages(FLEET)[0].restart


@pytest.mark.parametrize("order", [1, -1])
def test_a_device_may_be_without_power_twice(tmp_path: Path, order: int) -> None:
    """In whatever order the cuts are written."""
    where = {"where": {"areas": ["213"]}, "back": "5 %"}
    cuts = [
        {"id": f"dark-{n}", "kind": "power_cut", "start": f"{10 + 40 * n} %", "for": "20 %", **where} for n in (0, 1)
    ]
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps({"events": cuts[::order]}))
    scenario = read([str(path)], FLEET, START, SECONDS, 2.0)
    first, second = (one.truth(FLEET) for one in scenario[::order])
    sent = said(scenario, 2.0)
    for name in FLEET.ids(first.devices.astype(np.int64)):
        for boot, since in ((BOOT + 1, first.end), (BOOT + 2, second.end)):
            mine = [message for message in sent if message.device == name and message.boot == boot]
            assert all(message.due >= since for message in mine)
            assert [message.seq for message in mine] == list(range(1, len(mine) + 1))
            assert mine


@given(after=st.floats(-100, 4000), speed=st.floats(0.5, 8))
@settings(max_examples=50, deadline=None)
def test_how_much_was_said_before_a_moment_is_what_was_said(after: float, speed: float) -> None:
    members = np.arange(len(FLEET), dtype=np.uint32)
    moments = START + after + np.linspace(0, 100, len(FLEET))
    clocks = Schedule(FLEET, members, start=START, boot=1, speed=speed, shares=UNFAILING)
    counted = clocks.before(moments)
    said = clocks.until(float(moments.max()))
    early = said.device[said.due < moments[said.device]]
    assert np.array_equal(counted, np.bincount(early, minlength=len(FLEET)))


def test_some_counters_forget_when_the_power_was_cut(tmp_path: Path) -> None:
    meters = build(districts(zones_of("bac-giang"), 0.5, people=8000), 1, families=("meter",))
    (tmp_path / "own.yaml").write_text(json.dumps({"events": [{"kind": "power_cut", "for": "30 %", "resets": 0.5}]}))
    scenario = read([str(tmp_path / "own.yaml")], meters, START, 2 * 86_400.0, 1.0)
    city = City(meters, start=START, boot=BOOT, shares=UNFAILING, scenario=scenario)
    forgot = Counter[bool]()
    after: dict[str, list[float]] = defaultdict(list)
    for message in city.each(city.until(START + 2 * 86_400.0)):
        after[message.device].append(values(message)["total_active_energy_import"])
    for counted in after.values():
        assert counted == sorted(counted)
        forgot[counted[0] < 1] += 1
    assert min(forgot[True], forgot[False]) > 5


def test_duplicates_are_byte_for_byte_and_disorder_keeps_every_message(tmp_path: Path) -> None:
    twice = Played(tmp_path, kind="duplicates", share_of_messages=0.25)
    again = [m for m in twice.loud if m.again]
    assert len(again) == pytest.approx(0.25 * len(twice.quiet), rel=0.1)
    assert {(m.topic, m.payload) for m in again} <= {(m.topic, m.payload) for m in twice.quiet}
    mixed = Played(tmp_path, kind="out_of_order", within="10 %", **{"for": "85 %"})
    assert sorted(m[:5] for m in mixed.loud) == sorted(m[:5] for m in mixed.quiet)
    numbers = [[m.seq for m in mixed.of(device)] for device in range(len(FLEET))]
    assert any(one != sorted(one) for one in numbers)


def test_a_new_firmware_calls_the_first_metric_otherwise(tmp_path: Path) -> None:
    played = Played(tmp_path, kind="renamed_field", where={"areas": ["215"]}, families=["air_quality"], start="50 %")
    for message in played.of(int(played.truth.devices[0])):
        new = message.due >= played.truth.start
        assert ("pm25_value" in values(message), "pm25" in values(message)) == (new, not new)


@pytest.mark.parametrize(("kind", "per_s"), [("flood", 5), ("garbage", 0.7), ("spoof", 0.3)])
def test_a_compromised_device_sends_beside_its_clock(kind: str, per_s: float, tmp_path: Path) -> None:
    played = Played(tmp_path, kind=kind, per_s=per_s, start="10 %", families=["air_quality"], **{"for": "50 %"})
    usual = {(m.device, m.boot, m.seq) for m in played.quiet}
    more = [m for m in played.loud if (m.device, m.boot, m.seq) not in usual]
    assert len(played.loud) == len(played.quiet) + len(more)
    assert len(more) == pytest.approx(per_s * 1800, abs=1)
    assert {m.device for m in more} == set(FLEET.ids(played.truth.devices.astype(np.int64)))
    assert sorted(m.seq for m in more) == list(range(min(m.seq for m in more), max(m.seq for m in more) + 1))
    if kind == "spoof":
        assert played.truth.senders is not None
        assert not set(played.truth.senders.tolist()) & set(played.truth.devices.tolist())
    if kind == "garbage":
        assert all(m.payload.startswith(b"\xff") for m in more)


def test_the_truth_of_one_event_reads_as_it_is_written_up(tmp_path: Path) -> None:
    played = Played(
        tmp_path, kind="spoof", families=["air_quality"], where={"areas": ["215"]}, id="alias", cause="attack"
    )
    document = event_document(played.truth, FLEET, tmp_path / "truth.json")
    assert document["id"] == "own/alias"
    assert document["cause"] == "own/attack"
    assert document["start"] == "2025-12-01T00:00:00.000Z"
    assert document["devices"]["families"] == {"air_quality": 1}
    assert document["senders"] != document["devices"]["ids"]
    assert document["alarms"] == [{"kind": "spoof", "severity": "critical", "one_per": "cause"}]
