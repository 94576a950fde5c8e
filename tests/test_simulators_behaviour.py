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
NATIVE = [native_profile(family) for family in native_families()]


def names(profile: Profile) -> str:
    return profile.name


def keys_of(count: int, purpose: int = 1) -> draw.Keys:
    return draw.stir(np.arange(count, dtype=np.uint64), purpose)


def one_metric(metric: str, family: str, section: dict[str, Any]) -> Profile:
    return replace(native_profile(family), behaviour={metric: section})


def column(profile: Profile, keys: draw.Keys, seconds: draw.Floats) -> Any:
    (values_,) = values(voices(profile), keys, seconds).values()
    return values_


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_every_value_of_a_day_is_legal(profile: Profile) -> None:
    keys = keys_of(40)
    for minute in range(0, 1440, 15):
        seconds = np.full(len(keys), START + 60.0 * minute)
        for name, said in values(voices(profile), keys, seconds).items():
            assert illegal(profile.family.metrics[profile.family.index[name]], said.tolist()) == []


def illegal(metric: Metric, said: list[object]) -> list[object]:
    if metric.kind == "state":
        return [value for value in said if value not in range(len(metric.states))]
    return [value for value in said if not isinstance(value, float) or not metric.low <= value <= metric.high]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_profile_without_behaviour_moves_inside_its_ranges(family: str) -> None:
    silent = replace(native_profile(family), behaviour={})
    said = values(voices(silent), keys_of(30), START + 3600.0 * np.arange(30))
    assert list(said) == list(silent.family.index)
    for metric in silent.family.metrics:
        assert default_section(metric)["curve"] in {"day", "count", "choice"}
        assert illegal(metric, said[metric.name].tolist()) == []


@pytest.mark.parametrize("profile", NATIVE, ids=names)
def test_counters_never_fall(profile: Profile) -> None:
    keys = keys_of(20, 2)
    counters = tuple(voice for voice in voices(profile) if voice.metric.kind == "counter")
    moments = np.repeat(START + 600.0 * np.arange(24 * 6 * 3), len(keys))
    for said in values(counters, np.tile(keys, 24 * 6 * 3), moments).values():
        over_time = said.reshape(-1, len(keys))
        assert np.all(np.diff(over_time, axis=0) >= 0)
        assert np.all(over_time[-1] > over_time[0])


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
def test_values_depend_on_device_time_and_place_alone(profile: Profile) -> None:
    keys = keys_of(10, 5)
    seconds, lat = START + 137.0 * np.arange(10), 21.0 + 0.1 * np.arange(10)
    together = values(voices(profile), keys, seconds, lat, 106.2)
    for place in reversed(range(10)):
        at = slice(place, place + 1)
        alone = values(voices(profile), keys[at], seconds[at], lat[at], 106.2)
        assert {name: said[0] for name, said in alone.items()} == {name: said[place] for name, said in together.items()}


def test_behaviour_of_an_unknown_metric_is_named() -> None:
    with pytest.raises(BehaviourError, match=r"native-meter.*no_such"):
        voices(one_metric("no_such", "meter", {"curve": "day"}))


def test_behaviour_that_cannot_be_followed_is_named() -> None:
    assert PROFILES["native-contact"].family.index["contact"] == 0
    with pytest.raises(BehaviourError, match=r"native-contact: behaviour of contact: .*weights"):
        voices(one_metric("contact", "contact", {"curve": "choice", "weights": {"open": -1}}))
