"""Laws of how a city moves: legal, plausible, and a function of device, moment and place alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from devices.behaviour import CURVES, DRIVERS, misspelt
from devices.behaviour import RHYTHMS as WORDS_OF_RHYTHM
from devices.family import FAMILIES, Metric
from devices.laws import behaves
from devices.profile import PROFILES, BadProfile, Profile, profile_from
from simulators import draw
from simulators.behaviour import BehaviourError, default_section, values, voices
from simulators.behaviour_around import DRIVERS as AROUND
from simulators.behaviour_noise import noise, odds, wander
from simulators.behaviour_rhythm import RHYTHMS
from simulators.behaviour_state import Lot
from simulators.fleet import native_families, native_profile
from simulators.proof import speaks_true

START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
DAY_S, YEAR_S = 86_400.0, 365 * 86_400.0
ROOT = Path(__file__).parent.parent
DRIVER, AMOUNT = st.sampled_from(sorted(DRIVERS)), st.floats(-1e3, 1e3)
NATIVE = [native_profile(family) for family in native_families()]


def names(profile: Profile) -> str:
    return profile.name


def keys_of(count: int, purpose: int = 1) -> draw.Keys:
    return draw.stir(np.arange(count, dtype=np.uint64), purpose)


def somewhere(keys: draw.Keys) -> tuple[draw.Floats, draw.Floats]:
    """Latitudes and longitudes all over the province."""
    return 21.1 + 0.5 * draw.uniform(keys, 2), 105.9 + 1.1 * draw.uniform(keys, 3)


def one_metric(metric: str, family: str, section: dict[str, Any]) -> Profile:
    return replace(native_profile(family), behaviour={metric: section})


def column(profile: Profile, keys: draw.Keys, seconds: draw.Floats) -> Any:
    (values_,) = values(voices(profile), keys, seconds).values()
    return values_


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_every_value_of_a_year_is_legal(profile: Profile) -> None:
    keys = keys_of(20_000)
    seconds, lat, lon = START + YEAR_S * draw.uniform(keys, 1), *somewhere(keys)
    for name, said in values(voices(profile), keys, seconds, lat, lon).items():
        assert illegal(profile.family.metrics[profile.family.index[name]], said) == []


def illegal(metric: Metric, said: Any) -> list[object]:
    """Values outside the range, or not in the form that is written: whole places of states, numbers without -0.0."""
    legal = (said >= metric.low) & (said <= metric.high) & ~((said == 0) & np.signbit(said.astype(float)))
    assert said.dtype.kind == ("i" if metric.states else "f")
    return [*said[~legal]][:3]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_profile_without_behaviour_moves_inside_its_ranges(family: str) -> None:
    silent = replace(native_profile(family), behaviour={})
    said = values(voices(silent), keys_of(30), START + 3600.0 * np.arange(30))
    assert list(said) == list(silent.family.index)
    for metric in silent.family.metrics:
        assert default_section(metric)["curve"] in {"day", "count", "choice"}
        assert illegal(metric, said[metric.name]) == []


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_counters_never_fall(profile: Profile) -> None:
    keys, steps = keys_of(20, 2), 24 * 6 * 3
    counters = tuple(v for v in voices(profile) if v.metric.kind == "counter" and v.metric.name != "rain_total")
    moments = np.repeat(START + 600.0 * np.arange(steps), len(keys))
    for name, said in values(counters, np.tile(keys, steps), moments).items():
        over_time = said.reshape(-1, len(keys))
        steps_up = np.diff(over_time, axis=0)
        begun_again = over_time[1:] < 0.01 * over_time.max()  # where the profile lets it be reset, which is rare
        assert np.all((steps_up >= 0) | (begun_again if "resets" in profile.behaviour[name] else False))
        assert (over_time[-1] > over_time[0]).mean() > 0.9


def test_a_counter_that_is_reset_falls_to_nothing_and_begins_again() -> None:
    section = {"curve": "count", "rate": 10.0, "follows": {"work": 1}, "resets": 30, "decimals": 0}
    profile = one_metric("total_active_energy_import", "meter", section)
    keys = np.repeat(keys_of(50), 24 * 100)
    steps = np.diff(column(profile, keys, START + 3600.0 * np.tile(np.arange(2400), 50)).reshape(50, -1), axis=1)
    falls = steps < 0
    assert 3 <= falls.sum(axis=1).mean() <= 4
    assert steps[~falls].min() >= 0


def test_rain_is_counted_from_midnight_as_it_falls() -> None:
    spoken = voices(native_profile("rain"))
    keys, days = keys_of(15), np.arange(200)
    lat, lon = somewhere(keys)
    for day in days[::20]:
        midnight = START + 17 * 3600 + DAY_S * float(day)
        moments = midnight + 300.0 * np.arange(288)
        shape = (len(keys), 288)
        many = [np.repeat(column, 288) for column in (keys, lat, lon)]
        said = values(spoken, many[0], np.tile(moments, len(keys)), many[1], many[2])
        total = said["rain_total"].reshape(shape)
        assert np.all(np.diff(total, axis=1) >= 0)
        assert total[:, 0].max() == 0
        fallen = said["precipitation"].reshape(shape).sum(axis=1)
        assert np.abs(fallen - total[:, -1]).max() < 0.05 * 288 * (fallen > 0).max() + 0.2


def test_a_counter_counts_at_its_rate() -> None:
    section = {"curve": "count", "rate": 2.0, "swing": 0.6, "peak": 19, "decimals": 2}
    profile = one_metric("total_active_energy_import", "meter", section)
    now, later = (column(profile, keys_of(2000, 3), np.full(2000, START + wait)) for wait in (0.0, 86_400.0))
    assert (later - now).mean() == pytest.approx(48.0, rel=0.05)


def test_noise_has_its_deviation_and_remembers() -> None:
    keys, odd = keys_of(20_000, 4), odds(["x", "y"], "noise")
    now, soon, later = (noise(wander(keys, np.full(20_000, START + wait)), odd) for wait in (0.0, 300.0, 36_000.0))
    assert now.std(axis=1) == pytest.approx([1.0, 1.0], abs=0.05)
    assert np.corrcoef(now[0], soon[0])[0, 1] > 0.5
    assert abs(np.corrcoef(now[0], later[0])[0, 1]) < 0.05
    assert abs(np.corrcoef(now[0], now[1])[0, 1]) < 0.05


def test_a_lot_falls_by_weight_even_where_it_is_rare() -> None:
    weights = np.array([5.0, 3.0, 1e-4, 2.0])
    drawn = np.bincount(Lot(weights).drawn(keys_of(2_000_000)), minlength=4)
    assert drawn / drawn.sum() == pytest.approx(weights / weights.sum(), rel=0.01, abs=1e-5)
    assert drawn[2] > 0


@pytest.mark.parametrize("profile", NATIVE, ids=names)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_values_depend_on_device_time_and_place_alone(profile: Profile, size: int) -> None:
    """In whatever slices and order they are asked."""
    keys = keys_of(128, 5)
    seconds, lat, lon = START + YEAR_S * draw.uniform(keys, 4), *somewhere(keys)
    together, spoken = values(voices(profile), keys, seconds, lat, lon), voices(profile)
    order = np.argsort(keys)
    for start in range(0, 128, size):
        at = order[start : start + size]
        apart = values(spoken, keys[at], seconds[at], lat[at], lon[at])
        for name, said in together.items():
            assert apart[name].tobytes() == said[at].tobytes(), name


def test_behaviour_that_names_no_metrics_is_no_profile() -> None:
    document = {"title": {"vi": "X", "en": "X"}, "family": "soil", "interval_s": 60, "behaviour": 5, "examples": []}
    with pytest.raises(BadProfile, match="behaviour is 5; expected metrics with a section each"):
        profile_from("odd", document)


def test_behaviour_of_an_unknown_metric_is_named() -> None:
    with pytest.raises(BehaviourError, match=r"native-meter.*no_such"):
        voices(one_metric("no_such", "meter", {"curve": "day"}))


def test_behaviour_that_cannot_be_followed_is_named() -> None:
    assert PROFILES["native-contact"].family.index["contact"] == 0
    with pytest.raises(BehaviourError, match=r"native-contact: behaviour of contact: a weight is below 0"):
        voices(one_metric("contact", "contact", {"curve": "choice", "weights": {"open": -1}}))


def sections(metric: Metric) -> st.SearchStrategy[dict[str, Any]]:
    """Sections that may suit a metric, most of them well-formed."""
    inside, reach = st.floats(metric.low, metric.high), st.floats(0, (metric.high - metric.low) / 3)
    options = st.sampled_from(metric.states) if metric.states else inside
    weights = st.dictionaries(options, st.floats(0, 0.5), min_size=1, max_size=4)
    follows = st.dictionaries(DRIVER, AMOUNT, min_size=1, max_size=3)
    rhythm = st.dictionaries(st.sampled_from((*WORDS_OF_RHYTHM, "rain")), st.floats(0.1, 5), min_size=1, max_size=3)
    days = st.floats(0.1, 900)
    gauge = {"mean": inside, "swing": reach, "noise": reach, "own": reach, "follows": follows}
    count = {"rate": st.floats(0.01, 1e4), "swing": st.floats(-1, 1.1), "own": st.floats(0, 1.1), "follows": rhythm}
    curves = [("choice", {"weights": weights}, {"hold": days})]
    if metric.states:
        steps = st.dictionaries(options, AMOUNT, min_size=1, max_size=4)
        curves.append(("step", {"follows": follows, "steps": steps}, {"weights": weights, "noise": AMOUNT}))
    else:
        curves.append(("day", {}, gauge | {"decimals": st.integers(0, 5)}))
        curves.append(("battery", {"full": inside, "empty": inside, "days": days}, {"decimals": st.integers(0, 5)}))
        curves.append(("count", {}, count | {"start": reach, "resets": days, "decimals": st.integers(0, 3)}))
    return st.one_of(st.fixed_dictionaries({"curve": st.just(name)} | must, optional=may) for name, must, may in curves)


@settings(max_examples=200, deadline=None)
@given(asked=st.data())
def test_whatever_passes_as_a_section_stays_legal_and_counters_never_fall(asked: st.DataObject) -> None:
    family = asked.draw(st.sampled_from(list(FAMILIES.values())))
    metric = asked.draw(st.sampled_from(family.metrics))
    section = asked.draw(sections(metric))
    if any(misspelt(metric, section)):
        return
    event(section["curve"])
    keys, moments = np.repeat(keys_of(5), 40), np.tile(START + 5_000.0 * np.arange(40), 5)
    said = column(one_metric(metric.name, family.name, section), keys, moments)
    if section["curve"] == "choice" and metric.kind != "state":
        said = said.astype(np.float64)
    assert illegal(metric, said) == []
    if section["curve"] == "count" and "resets" not in section and "rain" not in section.get("follows", {}):
        assert (np.diff(said.reshape(5, 40), axis=1) >= 0).all()


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_a_gauge_that_follows_nothing_has_its_mean(profile: Profile) -> None:
    keys = keys_of(20_000, 6)
    said = values(voices(profile), keys, START + YEAR_S * draw.uniform(keys, 7))
    for name, section in profile.behaviour.items():
        if section["curve"] == "day" and not section.get("follows"):
            spread = abs(section.get("swing", 0)) + section["noise"]
            assert said[name].mean() == pytest.approx(section["mean"], abs=0.05 * spread), name


def test_a_battery_falls_until_it_is_replaced() -> None:
    keys, days = keys_of(30), np.arange(0, 1500, 0.5)
    left = column(
        one_metric(
            "battery_level", "classroom", {"curve": "battery", "full": 1, "empty": 0.2, "days": 400, "decimals": 2}
        ),
        np.repeat(keys, len(days)),
        np.tile(START + DAY_S * days, 30),
    ).reshape(30, -1)
    steps = np.diff(left, axis=1)
    replaced = steps > 0
    assert 2 <= replaced.sum(axis=1).min() <= replaced.sum(axis=1).max() <= 5
    assert left[:, 1:][replaced].min() >= 0.99
    assert left.min() >= 0.2


def test_a_state_is_kept_for_about_as_long_as_is_said() -> None:
    section = {"curve": "choice", "weights": {"online": 1, "offline": 1}, "hold": 3600}
    profile, steps = one_metric("state", "camera_health", section), 7 * 24 * 60
    keys = np.repeat(keys_of(20), steps)
    state = column(profile, keys, np.tile(START + 60.0 * np.arange(steps), 20)).reshape(20, -1)
    changes = (np.diff(state, axis=1) != 0).sum()
    assert pytest.approx(changes, rel=0.1) == 20 * 7 * 24 / 2  # every other draw brings the same state again
    dwelt = np.diff(np.flatnonzero(np.diff(state[0])))
    assert dwelt.min() < 60 < dwelt.max()


def test_a_fault_goes_before_what_a_state_follows() -> None:
    section = {"curve": "step", "follows": {"dark": 1}, "steps": {"off": 0, "on": 0.5}, "weights": {"fault": 0.1}}
    keys = keys_of(20_000)
    state = column(one_metric("aerator", "aquaculture", section), keys, START + YEAR_S * draw.uniform(keys, 8))
    assert np.bincount(state) / 20_000 == pytest.approx([0.45, 0.45, 0.1], abs=0.02)


def test_every_word_of_the_vocabulary_has_somebody_who_does_it() -> None:
    assert set(AROUND) == set(DRIVERS)
    assert set(RHYTHMS) == set(WORDS_OF_RHYTHM) <= set(DRIVERS)
    page = (ROOT / "docs" / "behaviour.md").read_text()
    assert all(f"| `{name}` |" in page for name in DRIVERS)
    keys = {key for curve in CURVES.values() for key in curve.must | curve.may}
    assert all(f"`{word}`" in page for word in (*CURVES, *keys))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (5, "5 is no section; expected curve and its keys"),
        ({"curve": ["day"]}, "curve ['day']; expected one of"),
        ({"curve": "day", "follows": ["heat"]}, "follows is ['heat']; expected names with a number each"),
        ({"curve": "wave"}, "curve wave; expected one of battery, choice"),
        ({"curve": "day", "mean": "7"}, "mean is '7'; expected a number"),
        ({"curve": "day", "mean": 7, "hold": 5}, "hold means nothing to curve day; expected decimals, follows"),
        ({"curve": "day", "mean": 7, "follows": {"moon": 1}}, "follows moon; expected one of awake"),
        ({"curve": "day", "mean": 7, "follows": {}}, "follows is {}; expected names with a number each"),
        ({"curve": "day", "mean": 13, "swing": 2}, "leaves the range 0 to 14"),
        ({"curve": "battery", "full": 15, "empty": 1, "days": 3}, "leaves the range 0 to 14"),
        ({"curve": "battery", "full": 5, "empty": 1}, "days is missing"),
        ({"curve": "battery", "full": 5, "empty": 1, "days": 0}, "days is 0; expected more than 0"),
        ({"curve": "step", "follows": {"dark": 1}, "steps": {"on": 1}}, "on is not legal; expected 0 to 14"),
        ({"curve": "count", "follows": {"heat": 1}}, "follows heat; expected one of awake"),
        ({"curve": "choice", "weights": {7: -1}}, "a weight is below 0"),
        ({"curve": "choice", "weights": {7: 0}}, "no weight is above 0"),
        ({"curve": "count", "follows": {"rain": 1, "home": 1}}, "expected rain alone"),
        ({"curve": "count", "follows": {"home": -1}}, "a share that is not above 0"),
        ({"curve": "count", "swing": 2}, "swing is 2; expected -1 to 1"),
        ({"curve": "day", "mean": 7, "decimals": 1.5}, "decimals is 1.5; expected a whole number from 0 to 9"),
    ],
)
def test_a_wrong_section_is_told_with_what_is_allowed(section: Any, words: str) -> None:
    profile = one_metric("ph", "soil", section)
    (told,) = speaks_true(profile)
    assert told.startswith("profile native-soil: behaviour of ph: ")
    assert words in told
    assert words in "\n".join(behaves(profile))
