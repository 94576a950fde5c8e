"""The anomaly score: causal, the same at any scale, and worth more than simple rules by the benchmark's own rule."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detectors.anomaly import Anomaly
from analytics.detectors.anomaly_score import evidence_of, score
from analytics.detectors.anomaly_state import DAY_S, DEFAULTS, Series, new_series
from analytics.detectors.layout import row_of
from analytics.detectors.rows import Floats, Ints
from devices.family import FAMILIES
from tests.computed import computed, refused
from tests.detector_world import fleet_of, run, series
from tests.evaluation.anomaly import baseline, scored
from tests.evaluation.anomaly_score import Labelled, learning, points, sweep
from tests.evaluation.anomaly_series import ANOMALIES, labelled

FIVE_MINUTES_US = 300_000_000
BEGIN_US = 1_750_000_000_000_000
DAY_US = DAY_S * 1_000_000
FEW = settings(max_examples=6, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def scores_of(values: Floats, time: Ints | None = None, full: bool = True) -> Floats:
    """Scores of series side by side: rows, or rows × series."""
    rows = len(values)
    moments = BEGIN_US + np.arange(rows) * FIVE_MINUTES_US if time is None else time
    columns = values.size // max(rows, 1)
    places = np.tile(np.arange(columns), rows)
    evidence = evidence_of(new_series(columns, full), places, np.repeat(moments, columns), values.reshape(-1))
    return score(evidence).reshape(values.shape)


def wild(seed: int, rows: int = 400) -> Floats:
    """Noise, steps, spikes, gaps."""
    random = np.random.default_rng(seed)
    values = np.cumsum(random.standard_normal(rows) * random.choice([0, 0, 1, 5], rows)) + random.standard_normal(rows)
    values[random.random(rows) < 0.02] = np.nan
    values[random.random(rows) < 0.01] *= 20
    return values


@FEW
@given(seed=seeds, cut=st.integers(1, 399))
def test_a_score_depends_on_the_rows_up_to_it_alone(seed: int, cut: int) -> None:
    values = wild(seed)
    np.testing.assert_array_equal(scores_of(values)[:cut], scores_of(values[:cut]))


@FEW
@given(seed=seeds, power=st.integers(-30, 30), offset=st.integers(-1000, 1000))
def test_unit_and_zero_make_no_difference(seed: int, power: int, offset: int) -> None:
    values = np.round(wild(seed) * 16) / 16  # so that nothing is lost by the offset
    expected = scores_of(values)
    np.testing.assert_array_equal(scores_of(values * 2.0**power), expected)
    np.testing.assert_array_equal(scores_of(values + offset), expected)
    np.testing.assert_allclose(scores_of(values * 3.7), expected, atol=0.02)


@FEW
@given(seed=seeds, cut=st.integers(0, 400))
def test_a_restart_and_the_company_of_others_change_nothing(seed: int, cut: int) -> None:
    values = np.stack([wild(seed), wild(seed + 1), wild(seed + 2)], axis=1)
    expected = scores_of(values)
    np.testing.assert_array_equal(scores_of(values[:, 1]), expected[:, 1])
    kept, time = new_series(1), BEGIN_US + np.arange(len(values)) * FIVE_MINUTES_US
    found = score(evidence_of(kept, np.zeros(cut, int), time[:cut], values[:cut, 0]))
    assert kept.more is not None
    again = Series(kept.kept.copy(), kept.more.copy())
    rest = score(evidence_of(again, np.zeros(len(values) - cut, int), time[cut:], values[cut:, 0]))
    np.testing.assert_array_equal(np.r_[found, rest], expected[:, 0])


@pytest.mark.parametrize("value", [0.0, -3.0, 0.1, 1e300, np.nan])
def test_a_constant_scores_nothing(value: float) -> None:
    assert not scores_of(np.full(3000, value)).any()


@FEW
@given(seed=seeds, scale=st.floats(1e-6, 1e6), sign=st.sampled_from([-1, 1]))
def test_one_huge_spike_is_over_the_threshold(seed: int, scale: float, sign: int) -> None:
    values = np.random.default_rng(seed).standard_normal(1000) * scale
    values[900] = sign * 40 * scale
    assert scores_of(values)[900] > 0.9


def test_what_was_seen_is_nothing_new() -> None:
    values = np.random.default_rng(1).standard_normal(1500)
    values[[900, 1200]] = 30
    found = scores_of(values)
    assert found[900] > 0.9
    assert found[1200] < 0.5


def test_after_a_detection_only_stronger_evidence_counts() -> None:
    values = np.random.default_rng(1).standard_normal(1500)
    values[900], values[930], values[960] = 20, -12, 200
    found = scores_of(values)
    assert found[900] > 0.9
    assert found[930] == 0.0
    assert found[960] > 0.9


@FEW
@given(seed=seeds)
def test_the_brief_form_knows_fewer_signs_and_is_else_the_same(seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(400)
    values[390] = 40
    few, all_signs = scores_of(values, full=False), scores_of(values)
    assert all_signs[:300].any(), "signs without a season count from the start"
    first = int(np.flatnonzero(all_signs)[0])
    assert few[first] <= all_signs[first]
    assert few[390] > 0.9


def test_missing_rows_are_passed_over() -> None:
    values, gaps = wild(7), np.full((400, 2), np.nan)
    values = values[np.isfinite(values)]
    gaps[: len(values), 0] = values
    time = BEGIN_US + np.arange(len(values)) * FIVE_MINUTES_US
    doubled = np.repeat(values, 2)
    doubled[1::2] = np.nan
    np.testing.assert_array_equal(scores_of(doubled, np.repeat(time, 2))[::2], scores_of(values, time))


def test_a_missing_peak_of_every_day_is_found() -> None:
    rows = 14 * 288
    time = BEGIN_US // DAY_US * DAY_US + np.arange(rows) * FIVE_MINUTES_US
    noise = np.random.default_rng(3).standard_normal(rows)
    values = np.where(time % DAY_US // (DAY_US // 24) // 4 == 3, 60, 20) + noise
    peak = 10 * 288 + 144
    values[peak : peak + 48] = 20 + noise[peak : peak + 48]
    found = scores_of(values, time)
    assert found[peak : peak + 4].max() > 0.9
    assert (found[4 * 288 : 10 * 288] >= 0.9).sum() == 0


def test_state_is_bounded_and_small() -> None:
    series = new_series(1)
    assert series.more is not None
    assert series.kept.nbytes + series.more.nbytes <= 1100
    assert row_of(Anomaly.declared(), 1).size <= 256


class TestRule:
    def test_saying_nothing_is_0_and_the_first_row_of_each_window_100(self) -> None:
        silent, perfect = np.zeros(1000), np.zeros(1000)
        perfect[[300, 700]] = 1
        windows = [(300, 350), (700, 750)]
        assert points([Labelled(silent, windows)], 0.5) == 0
        assert points([Labelled(perfect, windows)], 0.5) == pytest.approx(100)

    def test_a_late_hit_is_worth_less_and_a_second_one_nothing(self) -> None:
        early, late, twice = np.zeros(1000), np.zeros(1000), np.zeros(1000)
        early[310], late[345] = 1, 1
        twice[[310, 345]] = 1
        worth = [points([Labelled(found, [(300, 350)])], 0.5) for found in (early, late, twice)]
        assert worth[0] > worth[1] > 50
        assert worth[0] == worth[2]

    def test_false_ones_cost_and_less_just_after_a_window(self) -> None:
        near, far, before = np.zeros(1000), np.zeros(1000), np.zeros(1000)
        near[355], far[900], before[200] = 1, 1, 1
        worth = [points([Labelled(found, [(300, 350)])], 0.5) for found in (near, far, before)]
        assert 0 > worth[0] > worth[1] == worth[2] == pytest.approx(-100 * 0.11 / 2)

    def test_the_first_rows_are_not_scored(self) -> None:
        found = np.zeros(1000)
        found[:150] = 1
        assert learning(1000) == 150
        assert learning(100_000) == 750
        assert points([Labelled(found, [(300, 350)])], 0.5) == 0

    @FEW
    @given(seed=seeds)
    def test_a_sweep_says_what_each_threshold_says(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        found = [Labelled(random.random(400).round(1), [(100, 140), (300, 320)]) for _ in range(2)]
        for threshold in (0.0, 0.35, 0.9, 1.0):
            cut = [Labelled((one.scores >= threshold).astype(float), one.windows) for one in found]
            assert sweep(found).at(threshold) == pytest.approx(points(cut, 1.0))


def test_worth_more_than_simple_rules_on_made_series() -> None:
    """On new series of the kinds in anomaly_series: every background, every anomaly."""
    made = list(labelled(seed=2))
    ours = points(scored(made), 0.5)
    assert ours >= 60
    assert ours >= sweep([Labelled(baseline(one.values), one.windows) for one in made]).best()[1] + 10
    assert {one.name.split("-")[1] for one in made} == {"none", *ANOMALIES}


def test_the_detector_finds_what_a_population_may_be_told() -> None:
    family = FAMILIES["weather"]
    detector = Anomaly(family)
    detector.grow(fleet_of(2, interval_s=600))
    place = int(detector.judged[0])
    random = np.random.default_rng(5)
    rows = 20 * 144
    values = np.full((rows, len(family.metrics)), np.nan)
    values[:, place] = 25 + 5 * np.sin(2 * np.pi * np.arange(rows) / 144) + random.standard_normal(rows)
    assert not run(detector, [series(family, values, 600, slot=0)]).size
    values[2500:2510, place] += 40
    changes = run(detector, [series(family, values, 600, slot=1)])
    assert changes.on.tolist() == [True, False]
    assert changes.score[0] >= detector.parameters.threshold
    assert changes.value[0] == values[2500, place]
    assert abs(changes.expected[0] - 25) < 8


class TestCommand:
    def test_one_score_per_row_is_that_of_the_engine(self, tmp_path: Path) -> None:
        values = wild(11, 300)
        cells = ["" if np.isnan(value) else repr(float(value)) for value in values]
        rows = [f"{1_750_000_000 + 300 * row},{cell}" for row, cell in enumerate(cells)]
        found = computed("anomaly", "\n".join(["timestamp,value", *rows]), tmp_path)
        assert len(found) == 300
        time = (1_750_000_000 + 300 * np.arange(300)) * 1_000_000
        np.testing.assert_array_equal([row["score"] for row in found], scores_of(values, time))

    def test_times_may_be_written_and_may_repeat(self, tmp_path: Path) -> None:
        text = "timestamp,value\n2026-01-01 00:00:00,1\n2026-01-01 00:00:00,2\n2026-01-01T00:05:00+07:00,nan\n"
        assert [row["score"] for row in computed("anomaly", text, tmp_path)] == [0.0, 0.0, 0.0]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("time,value\n1,2", "no column timestamp"),
            ("timestamp,value\n2026-01-01 00:00,abc", "line 2, value: 'abc'"),
            ("timestamp,value\n2026-01-01 00:00,1\nyesterday,2", "row 2, timestamp: 'yesterday'"),
            ("timestamp,value\n1,2\ninf,2", "row 2, timestamp: 'inf'"),
            ("timestamp,value\n5,1\n4,1\n3,1\n2,1", "go back in 3 rows, first in row 2"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, text: str, says: str, tmp_path: Path) -> None:
        assert says in refused("anomaly", text, tmp_path)


def test_the_threshold_is_far_above_what_is_worth_a_look() -> None:
    assert score(np.array([1.0]))[0] == 0.5
    assert Anomaly(FAMILIES["weather"]).parameters.threshold > 0.9
    assert DEFAULTS.grace >= 50
