"""Laws of how a city moves: legal, plausible, and a function of device, moment and place alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from devices.family import FAMILIES, Metric
from devices.profile import PROFILES, Profile
from simulators import draw
from simulators.behaviour import BehaviourError, default_section, values, voices
from simulators.behaviour_noise import noise, odds, wander
from simulators.behaviour_state import Lot
from simulators.fleet import native_families, native_profile

START = 1_764_547_200.0  # 2025-12-01 00:00 UTC
DAY_S, YEAR_S = 86_400.0, 365 * 86_400.0
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
    for said in values(counters, np.tile(keys, steps), np.repeat(START + 600.0 * np.arange(steps), len(keys))).values():
        over_time = said.reshape(-1, len(keys))
        assert np.all(np.diff(over_time, axis=0) >= 0)
        assert np.all(over_time[-1] > over_time[0])


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
    keys, days = keys_of(40), np.arange(200)
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


def test_behaviour_of_an_unknown_metric_is_named() -> None:
    with pytest.raises(BehaviourError, match=r"native-meter.*no_such"):
        voices(one_metric("no_such", "meter", {"curve": "day"}))


def test_behaviour_that_cannot_be_followed_is_named() -> None:
    assert PROFILES["native-contact"].family.index["contact"] == 0
    with pytest.raises(BehaviourError, match=r"native-contact: behaviour of contact: a weight is below 0"):
        voices(one_metric("contact", "contact", {"curve": "choice", "weights": {"open": -1}}))
