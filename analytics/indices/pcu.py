"""Passenger car units: what mixed traffic takes of a road, each class by its factor. Factors: tables/pcu-*.yaml."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def pcu(counts: Mapping[str, Floats], factors: Mapping[str, float], vehicles: Floats, told: Floats) -> Floats:
    """PCU of the same periods as the counts.

    `counts`: vehicles by class, NaN where the counter does not tell them; `vehicles`: all of them; `told`: what the
    counter reckoned itself, which is taken where it is there. Vehicles of no known class count as one car each.
    Raises KeyError for a class without factor.
    """
    known = {name: np.nan_to_num(count) for name, count in counts.items()}
    classed = np.sum([factors[name] * count for name, count in known.items()], axis=0) if known else 0.0
    rest = np.maximum(np.nan_to_num(vehicles) - sum(known.values()), 0.0)
    nothing = np.isnan(vehicles) & np.logical_and.reduce([np.isnan(count) for count in counts.values()])
    return np.where(np.isnan(told), np.where(nothing, np.nan, classed + rest), told)
