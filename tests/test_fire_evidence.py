"""Evidence of forest fires: what each detector needs, what evidence amounts to, and fires in a simulated city."""

from functools import cache
from math import nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detectors import all_detectors
from analytics.detectors.detector import Detector
from analytics.detectors.fire_event import Gate, HotSpot, Sighting
from analytics.detectors.fire_frames import Camera, Flame, Heat
from analytics.detectors.fire_lasting import Lasting
from analytics.detectors.fire_rise import Smoke, Warmth
from analytics.detectors.rows import Floats
from analytics.indices.fire_evidence import KIND, RULE, Evidence, Kind, judged
from devices.family import FAMILIES
from simulators.fleet import Fleet
from simulators.scenario_file import read
from tests.detector_world import BEGIN_US, fleet_of, run, series, told
from tests.evaluation.city import START, of_family, only
from tests.evaluation.fire import events, first, forest, signs, turns

MINUTE_US = 60_000_000
WATCH, AIR, EVENT = (FAMILIES[name] for name in ("fire_watch", "air_quality", "camera_event"))
NEAR, FAR = (21.31, 106.85), (21.41, 106.85)  # 11 km apart


def sign(device: int, kind: Kind, minute: float = 0, score: float = 1.0, at: tuple[float, float] = NEAR) -> Evidence:
    return Evidence(device, kind, round(minute * MINUTE_US), score, *at)


def stages(*evidence: Evidence, danger: int | None = None) -> list[str]:
    return [verdict.stage for verdict in judged(evidence, danger)]


def test_one_source_is_a_suspicion_and_two_at_two_devices_are_a_fire() -> None:
    assert stages(sign(1, "smoke")) == ["suspected"]
    assert stages(sign(1, "smoke"), sign(2, "camera", 9)) == ["confirmed"]
    assert stages(sign(1, "smoke"), sign(2, "smoke")) == ["suspected"], "the same kind, as in a dust storm"
    assert stages(sign(1, "smoke"), sign(1, "camera")) == ["suspected"], "one device, which may be broken as a whole"
    assert stages(sign(1, "heat"), sign(2, "lasting", score=0.5)) == ["suspected"], "both are heat"
    assert stages(sign(1, "smoke"), sign(2, "camera", 11)) == ["suspected"], "too long after each other"
    assert stages(sign(1, "smoke"), sign(2, "camera", at=FAR)) == ["suspected", "suspected"], "two places"
    assert stages(sign(1, "smoke"), sign(2, "camera", at=(nan, nan))) == ["suspected", "suspected"], "place unknown"
    assert stages(sign(1, "lasting")) == ["confirmed"], "heat that something else bears out, for a minute"


def test_somebody_at_a_gate_is_no_fire_and_makes_one_likelier() -> None:
    assert stages(sign(1, "gate"), sign(2, "gate")) == []
    alone, watched = judged([sign(1, "smoke")])[0], judged([sign(1, "smoke"), sign(2, "gate")])[0]
    assert watched.likely > alone.likely
    assert (watched.stage, watched.kinds, watched.devices) == ("suspected", ("smoke",), (1,))
    assert judged([sign(1, "smoke"), sign(2, "gate", at=FAR)])[0].likely == alone.likely


def test_danger_raises_what_is_made_of_little_evidence() -> None:
    likely = [judged([sign(1, "smoke")], danger)[0].likely for danger in range(1, 6)]
    assert likely == sorted(set(likely))
    assert stages(sign(1, "smoke", score=0.5), danger=1) == ["quiet"]
    assert stages(sign(1, "smoke", score=0.5), danger=5) == ["suspected"]
    assert likely[0] < judged([sign(1, "smoke")])[0].likely < likely[4], "danger unknown lies between"


kinds = st.sampled_from(["smoke", "heat", "camera", "flame", "hotspot", "gate"])
places = st.sampled_from([NEAR, FAR, (21.33, 106.87)])
evidences = st.lists(
    st.builds(sign, st.integers(1, 5), kinds, st.floats(0, 30), st.floats(0, 1), at=places), min_size=1, max_size=8
)
FEW = settings(max_examples=60, deadline=None)


@FEW
@given(evidences, st.integers(1, 5))
def test_one_device_by_itself_never_confirms(evidence: list[Evidence], danger: int) -> None:
    assert "confirmed" not in stages(*[one._replace(device=1, score=1.0) for one in evidence], danger=danger)


@FEW
@given(evidences, evidences)
def test_more_evidence_never_makes_a_fire_less_likely(some: list[Evidence], more: list[Evidence]) -> None:
    before, after = judged(some), judged([*some, *more])
    if before:
        assert after[0].likely >= before[0].likely - 1e-12
        assert any(one.stage == "confirmed" for one in after) or before[0].stage != "confirmed"


@FEW
@given(evidences, st.randoms())
def test_the_order_of_evidence_makes_no_difference(evidence: list[Evidence], random: Any) -> None:
    turned = list(evidence)
    random.shuffle(turned)
    assert sorted(one[:5] for one in judged(turned)) == sorted(one[:5] for one in judged(evidence))


def rows(family: Any, n: int, **metrics: Any) -> Floats:
    """Readings with these metrics, states by name; NaN in all others."""
    values = np.full((n, len(family.metrics)), nan)
    for name, value in metrics.items():
        place = family.index[name]
        known = family.metrics[place].states
        values[:, place] = known.index(value) if isinstance(value, str) else value
    return values


def on(detector: Detector, values: Floats, interval_s: float = 60.0) -> dict[str, list[tuple[bool, int]]]:
    """By metric when it came on and went off, in readings."""
    detector.grow(fleet_of(1))
    changes = told(run(detector, [series(detector.family, values, interval_s)]))
    step = interval_s * 1e6
    return {
        detector.family.metrics[metric].name: [(turn, round((at - BEGIN_US) / step)) for turn, at, _ in said]
        for (_, metric), said in changes.items()
    }


def after_calm(n: int, **metrics: Any) -> dict[str, Floats]:
    """Metrics that are first calm for `n` readings at the first of their values."""
    return {name: np.r_[np.full(n, value[0]), value] for name, value in metrics.items()}


def test_a_camera_must_be_sure_three_times_of_five() -> None:
    told_by = [0.02, 0.9, 0.1, 0.8, 0.2, 0.1, 0.1, 0.9, 0.75, 0.1, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1]
    assert on(Camera(WATCH), rows(WATCH, len(told_by), smoke_confidence=told_by)) == {
        "smoke_confidence": [(True, 10), (False, 13)]
    }
    assert on(Camera(WATCH), rows(WATCH, 9, smoke_confidence=[0.1, 0.9, 0.9, nan, nan, 0.9, 0.1, 0.1, 0.9])) == {
        "smoke_confidence": [(True, 5)]
    }, "what is missing is no reading"


def test_a_gap_is_no_evidence_and_no_all_clear_by_itself() -> None:
    values = rows(WATCH, 4, heat_confidence=0.9)
    detector = Heat(WATCH)
    assert on(detector, values[:2]) == {}
    assert on(Heat(WATCH), values, interval_s=3600) == {}, "an hour apart they do not add up"
    detector = Heat(WATCH)
    assert on(detector, values) == {"heat_confidence": [(True, 2)]}
    newest = BEGIN_US + 3 * MINUTE_US
    assert not detector.tick(newest + 29 * MINUTE_US).size
    gone = detector.tick(newest + 31 * MINUTE_US)
    assert gone.on.tolist() == [False]
    assert detector.state["score"].max() == 0


def test_flames_and_panels_and_places() -> None:
    assert on(Flame(WATCH), rows(WATCH, 4, flame="flame")) == {"flame": [(True, 0)]}
    assert on(Flame(WATCH), rows(WATCH, 4, alarm_state="alarm")) == {"alarm_state": [(True, 0)]}
    assert on(Flame(WATCH), rows(WATCH, 4, alarm_state="pre_alarm")) == {"alarm_state": [(True, 2)]}
    assert on(Flame(WATCH), rows(WATCH, 9, flame="none", alarm_state="fault")) == {}
    placed = rows(WATCH, 1, fire_confidence=0.85, latitude=21.3, longitude=106.8)
    assert on(HotSpot(WATCH), placed) == {"fire_confidence": [(True, 0)]}
    assert on(HotSpot(WATCH), rows(WATCH, 1, fire_confidence=0.85)) == {}
    assert on(HotSpot(WATCH), rows(WATCH, 1, fire_confidence=0.79, latitude=21.3, longitude=106.8)) == {}


def test_smoke_must_stay_and_a_spike_is_none() -> None:
    calm = 20 + np.random.default_rng(1).normal(0, 3, 300)
    spikes, fire = calm.copy(), calm.copy()
    spikes[[150, 151, 152, 200, 250]] = 5000
    fire[200:] += 600
    assert on(Smoke(WATCH), rows(WATCH, 300, smoke=spikes)) == {}
    assert on(Smoke(WATCH), rows(WATCH, 300, smoke=fire)) == {"smoke": [(True, 203)]}
    over = np.r_[fire[:260], calm[:200]]
    assert [turn for turn, _ in on(Smoke(WATCH), rows(WATCH, 460, smoke=over))["smoke"]] == [True, False]


def test_an_hour_of_dusty_air_and_a_warm_morning_are_no_fire() -> None:
    minutes = np.arange(0, 2880, 5)
    wave = np.sin(2 * np.pi * (minutes - 540) / 1440)
    dusty = 60 + 50 * wave + np.random.default_rng(2).normal(0, 6, 576)
    assert on(Smoke(AIR), rows(AIR, 576, pm25=dusty, co=800 + 500 * wave), 300) == {}
    assert on(Warmth(WATCH), rows(WATCH, 576, temperature=24 + 9 * wave), 300) == {}
    hot = 24 + 9 * wave
    hot[300:] += np.minimum(45, np.arange(276) * 10)
    assert on(Warmth(WATCH), rows(WATCH, 576, temperature=hot), 300)["temperature"][0][1] <= 306


def test_lasting_heat_needs_a_minute_and_a_second_sign() -> None:
    heat = [0.03, 0.95, 0.96, 0.95, 0.5, 0.5]
    assert on(Lasting(WATCH), rows(WATCH, 6, heat_confidence=heat, smoke_confidence=0.6)) == {
        "heat_confidence": [(True, 2), (False, 4)]
    }
    assert on(Lasting(WATCH), rows(WATCH, 6, heat_confidence=heat, smoke_confidence=0.1)) == {}
    assert on(Lasting(WATCH), rows(WATCH, 6, heat_confidence=heat)) == {}
    assert on(Lasting(WATCH), rows(WATCH, 6, heat_confidence=heat, hot_spot_temperature=300.0)) != {}
    quick = rows(WATCH, 6, heat_confidence=heat, fire_confidence=0.9)
    assert on(Lasting(WATCH), quick, interval_s=20) == {}, "less than a minute"


def test_events_of_cameras() -> None:
    assert on(Sighting(EVENT), rows(EVENT, 1, event_kind="smoke", confidence=0.97)) == {"event_kind": [(True, 0)]}
    assert on(Sighting(EVENT), rows(EVENT, 1, event_kind="smoke", confidence=0.8)) == {}
    twice = rows(EVENT, 3, object_class="fire", event_kind="object", confidence=0.85)
    assert on(Sighting(EVENT), twice) == {"event_kind": [(True, 1)]}
    assert on(Sighting(EVENT), twice, interval_s=3600) == {}, "faded"
    assert on(Sighting(EVENT), rows(EVENT, 50, object_class="person", event_kind="object", confidence=0.99)) == {}
    assert on(Gate(EVENT), rows(EVENT, 1, event_kind="gate_vehicle", confidence=0.88)) == {"event_kind": [(True, 0)]}
    assert on(Gate(EVENT), rows(EVENT, 9, event_kind="zone_entry", confidence=0.88)) == {}


@cache
def small() -> Fleet:
    """A thin province: some dozens of fire watches over 3,000 km² of forest."""
    return forest(people=12_000)


@pytest.mark.parametrize("growth", [300, 600])
def test_a_fire_is_confirmed_within_ten_minutes_of_its_growth(growth: int) -> None:
    fire = {"kind": "fire_front", "start": 2700, "for": 2700, "where": {"areas": ["220"]}, "growth": growth}
    found = signs(small(), turns(small(), 5400.0, events(small(), 5400.0, fire)))
    begin = round((START + 2700) * 1e6)
    assert [sign.at for sign in found if sign.at < begin] == []
    suspected, confirmed = first(found, "suspected", "confirmed"), first(found, "confirmed")
    assert suspected is not None
    assert confirmed is not None
    assert (suspected - begin) / MINUTE_US <= 5 + growth / 60
    assert (confirmed - begin) / MINUTE_US <= 5 + growth / 60 + 3


def test_the_shipped_scenario_gate_first_then_the_fire() -> None:
    scenario = read(["forest-fire"], small(), START, 7200.0, 1.0)
    said = turns(small(), 7200.0, scenario)
    found = signs(small(), said)
    gate = next(turn.at for turn in said if turn.detector == "forest-gate")
    confirmed = first(found, "confirmed")
    truth = next(effect.truth(small()) for effect in scenario if effect.truth(small()).kind == "fire_front")
    assert confirmed is not None
    assert truth.start * 1e6 < confirmed < truth.end * 1e6
    assert gate < confirmed
    reached = set(truth.devices.tolist())
    assert {turn.device for turn in said if turn.detector != "forest-gate"} <= reached
    assert truth.since is not None
    assert (confirmed / 1e6 - truth.since.min()) / 60 <= 20  # it grows for half an hour


@pytest.mark.parametrize("hours", [3, pytest.param(48, marks=pytest.mark.full)])
def test_nothing_is_found_where_nothing_burns(hours: int) -> None:
    said = turns(small(), hours * 3600.0)
    assert [turn for turn in said if turn.detector != "forest-gate"] == []


FAULTS: dict[str, dict[str, Any]] = {
    "bias": {"by": 0.95},
    "drift": {"per_h": 0.95},
    "spikes": {"size": 0.95, "every": 300},
    "stuck": {},
}
FAULTY = [
    *((kind, metric) for kind in FAULTS for metric in ("smoke_confidence", "heat_confidence")),
    *(("bias", metric) for metric in ("fire_confidence", "smoke", "temperature")),
    ("drift", "smoke"),
]


@pytest.mark.parametrize(("kind", "metric"), FAULTY)
def test_a_faulty_sensor_alone_never_confirms(kind: str, metric: str) -> None:
    near, watch = around()
    times = {"smoke": 3000, "temperature": 60}.get(metric, 1)
    how = {name: value * times if name in ("by", "per_h", "size") else value for name, value in FAULTS[kind].items()}
    fault = {"kind": kind, "start": 3000, "for": 4200, "devices": [watch], "metric": metric}
    found = signs(near, turns(near, 7200.0, events(near, 7200.0, fault | how)))
    assert all(sign.verdict.stage != "confirmed" for sign in found)
    if kind == "bias" and metric in ("smoke_confidence", "heat_confidence", "smoke"):
        assert first(found, "suspected") is not None, "it is told, so that somebody looks"


@cache
def around() -> tuple[Fleet, str]:
    """The dozen devices about a fire watch, and its id."""
    fleet = small()
    watch = int(of_family(fleet, "fire_watch")[0])
    apart = (fleet.lat - fleet.lat[watch]) ** 2 + (fleet.lon - fleet.lon[watch]) ** 2
    return only(fleet, np.sort(np.argsort(apart)[:12])), fleet.ids(np.array([watch]))[0]


def test_every_kind_has_a_detector_and_every_detector_of_fire_a_kind() -> None:
    known = {detector.name for detector in all_detectors() if detector.name.startswith(("fire-", "forest-"))}
    assert known == set(KIND)
    assert len(RULE.prior) == 5
