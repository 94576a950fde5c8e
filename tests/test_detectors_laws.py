"""Laws that hold for every detector: one that is added to analytics/detectors is tested here by being there."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detectors import all_detectors
from analytics.detectors.detector import Detector
from analytics.detectors.rows import WHOLE_DEVICE, Floats, Rows
from analytics.detectors.words import words
from devices.family import FAMILIES, Family
from tests.detector_world import BEGIN_US, SECOND_US, fleet_of, rows_of, run, told

Made = Callable[[], Detector]


def families_of(kind: type[Detector]) -> list[Family]:
    """Of the families that a detector judges that with the most and that with the fewest metrics judged."""
    wanted = sorted((f for f in FAMILIES.values() if kind.judges(f)), key=lambda family: len(kind.judges(family)))
    return [wanted[0]] if len(wanted) == 1 else [wanted[0], wanted[-1]]


CASES = [(kind, family) for kind in all_detectors() for family in families_of(kind)]
EACH = pytest.mark.parametrize(("kind", "family"), CASES, ids=[f"{k.name}-{f.name}" for k, f in CASES])
seeds = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=3, deadline=None)


def made(kind: type[Detector], family: Family, devices: Any) -> Detector:
    """A detector that knows its fleet."""
    detector = kind(family)
    detector.grow(fleet_of(devices))
    return detector


def arrivals(family: Family, seed: int, devices: int = 5) -> Rows:
    """Rows in the order in which they came, not sorted by slot: calm, stuck, noisy, jumping and broken series, with
    gaps, repeated times, missing values."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 90)) * devices
    slot = random.integers(0, devices, n)
    gap_s = random.choice([0, 1, 60, 60, 60, 600, 86_400], n)
    time = BEGIN_US + np.cumsum(gap_s) * SECOND_US + random.integers(0, SECOND_US, n).cumsum()
    values = np.stack([column(random, n, metric.low, metric.high) for metric in family.metrics], axis=1)
    by_slot = random.integers(0, 4, devices)[slot]
    values[by_slot == 0] = values[0]  # constant
    values[(by_slot == 1)[:, None] & (random.random(values.shape) < 0.5)] = np.nan
    values[(by_slot == 2) & (time > np.median(time))] = np.nan
    return Rows(family, slot, time, time + random.integers(0, 5 * SECOND_US), values)


def column(random: np.random.Generator, n: int, low: float, high: float) -> Floats:
    """Values of one metric within its legal range."""
    middle, width = random.uniform(low, high), (high - low) * random.choice([0.0, 1e-6, 0.01, 1.0])
    values = middle + width * random.standard_normal(n)
    values[random.random(n) < 0.05] = random.choice([low, high])
    return np.clip(values, low, high)


def cut(rows: Rows, seed: int) -> list[Rows]:
    """The rows in portions, each sorted as detectors are given them."""
    random = np.random.default_rng(seed)
    borders = np.sort(random.integers(0, rows.size + 1, random.integers(0, 8)))
    return [sorted_by_slot(rows.of(places)) for places in np.split(np.arange(rows.size), borders)]


def sorted_by_slot(rows: Rows) -> Rows:
    """As detectors are given them."""
    return rows.of(np.argsort(rows.slot, kind="stable"))


def same_state(one: Detector, other: Detector, slots: Any, others: Any) -> None:
    """Each array of one detector at some slots is that of another at others."""
    for name, array in one.state.items():
        np.testing.assert_array_equal(array[slots], other.state[name][others], err_msg=name)


@EACH
@FEW
@given(seed=seeds, where=seeds)
def test_how_rows_are_cut_makes_no_difference(kind: type[Detector], family: Family, seed: int, where: int) -> None:
    rows = arrivals(family, seed)
    whole, parts = made(kind, family, 5), made(kind, family, 5)
    assert told(run(whole, [sorted_by_slot(rows)])) == told(run(parts, cut(rows, where)))
    same_state(whole, parts, slice(5), slice(5))


@EACH
@FEW
@given(seed=seeds)
def test_one_device_never_touches_another(kind: type[Detector], family: Family, seed: int) -> None:
    rows = arrivals(family, seed)
    order = np.random.default_rng(seed).permutation(5)
    together, turned = made(kind, family, 5), made(kind, family, np.argsort(order))
    said = told(run(together, [sorted_by_slot(rows)]))
    said_turned = told(run(turned, [sorted_by_slot(replace(rows, slot=order[rows.slot]))]))
    assert {(order[slot], metric): changes for (slot, metric), changes in said.items()} == said_turned
    same_state(together, turned, np.arange(5), order)
    alone = made(kind, family, np.array([2]))
    of_one = sorted_by_slot(rows).of(np.sort(rows.slot) == 2)
    said_alone = told(run(alone, [replace(of_one, slot=of_one.slot * 0)]))
    assert said_alone == {(0, metric): changes for (slot, metric), changes in said.items() if slot == 2}


@EACH
@FEW
@given(seed=seeds, where=seeds)
def test_a_restart_changes_nothing(kind: type[Detector], family: Family, seed: int, where: int) -> None:
    rows = arrivals(family, seed)
    portions = cut(rows, where)
    first = made(kind, family, 5)
    run(first, portions[: len(portions) // 2])
    second = made(kind, family, 5)
    for name, array in first.state.items():
        second.state[name][:5] = array[:5]
    assert told(run(first, portions[len(portions) // 2 :])) == told(run(second, portions[len(portions) // 2 :]))
    same_state(first, second, slice(5), slice(5))


@EACH
@FEW
@given(seed=seeds)
def test_scores_and_changes_are_as_promised(kind: type[Detector], family: Family, seed: int) -> None:
    rows = sorted_by_slot(arrivals(family, seed))
    detector = made(kind, family, 5)
    changes = run(detector, [rows])
    assert np.isfinite(detector.state["score"]).all()
    assert ((detector.state["score"] >= 0) & (detector.state["score"] <= 1)).all()
    assert np.isfinite(changes.score).all()
    assert ((changes.score >= 0) & (changes.score <= 1)).all()
    assert set(changes.metric.tolist()) <= set(detector.judged.tolist())
    assert WHOLE_DEVICE not in detector.judged or len(detector.judged) == 1
    for (slot, metric), said in told(changes).items():
        turns = [on for on, _, _ in said]
        assert turns == [place % 2 == 0 for place in range(len(turns))], "on and off alternate, on first"
        at = [moment for _, moment, _ in said]
        assert at == sorted(at)
        assert all(since <= moment for on, moment, since in said if on)
        column = detector.judged.tolist().index(metric)
        assert detector.state["on"][slot, column] == turns[-1]
    for (slot, _), said in told(changes).items():
        readings = np.count_nonzero((rows.slot == slot) & (rows.time <= said[0][1]))
        assert readings >= kind.grace, f"on after {readings} readings"


@EACH
def test_a_constant_or_an_empty_series_is_no_trouble(kind: type[Detector], family: Family) -> None:
    for value in ([metric.low for metric in family.metrics], [np.nan] * len(family.metrics)):
        detector = made(kind, family, 1)
        time = BEGIN_US + np.arange(500) * 60 * SECOND_US
        run(detector, [rows_of(family, np.zeros(500, np.int64), time, np.tile(value, (500, 1)))])
        assert np.isfinite(detector.state["score"]).all()


@EACH
@FEW
@given(seed=seeds)
def test_what_is_forgotten_begins_anew(kind: type[Detector], family: Family, seed: int) -> None:
    rows = sorted_by_slot(arrivals(family, seed))
    used, fresh = made(kind, family, 5), made(kind, family, 5)
    run(used, [rows])
    used.forget(np.arange(5))
    same_state(used, fresh, slice(5), slice(5))
    assert told(run(used, [rows])) == told(run(fresh, [rows]))


@EACH
def test_memory_does_not_grow_with_readings(kind: type[Detector], family: Family) -> None:
    detector = made(kind, family, 5)
    before = {name: (array.shape, array.dtype) for name, array in detector.state.items()}
    for seed in range(3):
        run(detector, [sorted_by_slot(arrivals(family, seed))])
    assert {name: (array.shape, array.dtype) for name, array in detector.state.items()} == before
    detector.grow(fleet_of(1000))
    assert all(len(array) >= 1000 for array in detector.state.values())


@EACH
@FEW
@given(seed=seeds, where=seeds)
def test_ticks_are_safe_at_any_time(kind: type[Detector], family: Family, seed: int, where: int) -> None:
    detector = made(kind, family, 5)
    said = []
    for rows in cut(arrivals(family, seed), where):
        said.append(detector.update(rows))
        newest = int(rows.received.max(initial=BEGIN_US))
        said += [detector.tick(newest + SECOND_US), detector.tick(newest + SECOND_US)]
        assert not said[-1].size, "nothing changes between two looks at the same moment"
    quiet = detector.tick(BEGIN_US + 10**7 * 86_400 * SECOND_US // 1000)
    assert np.isfinite(detector.state["score"]).all()
    assert np.isfinite(quiet.score).all()


def test_what_each_finds_is_said_in_both_languages() -> None:
    said = words()
    assert {kind.name for kind in all_detectors()} <= said.keys()
    assert all(one.vi != one.en and min(map(len, one)) > 3 for one in said.values())


def test_names_are_words_and_each_is_there_once() -> None:
    names = [kind.name for kind in all_detectors()]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() for name in names)
