"""A sensor that repeats nothing for months is known as well as ever when it stands still."""

import numpy as np

from analytics.detectors.stuck import HIGHEST, Stuck
from devices.family import FAMILIES
from tests.detector_world import fleet_of, run, series, told

FAMILY = FAMILIES["air_quality"]


def test_what_is_known_of_a_series_does_not_run_over() -> None:
    """A value a minute: the count of values that were different is full after 45 days."""
    values = np.full((HIGHEST + 500, len(FAMILY.metrics)), np.nan)
    column = values[:, FAMILY.index["pm25"]]
    column[:] = 30.0 + np.arange(len(column)) % 2 + np.random.default_rng(1).random(len(column))
    column[-60:] = 37.5
    stuck = Stuck(FAMILY)
    stuck.grow(fleet_of(1))
    (said,) = told(run(stuck, [series(FAMILY, values)])).values()
    assert [on for on, *_ in said] == [True]
