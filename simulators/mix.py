"""How a district's devices divide into families.

The plans give totals per 100 people and name the systems; they do not divide the total. These shares are an assumption:
mostly meters in homes, then what farms, streets and rivers carry, few cameras. Who knows better passes other shares.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simulators.draw import Floats, Ints

MIX: Mapping[str, float] = {
    "meter": 0.78,
    "weather": 0.06,
    "air_quality": 0.05,
    "traffic_flow": 0.04,
    "water_level": 0.04,
    "fire_watch": 0.02,
    "camera_event": 0.01,
}
"""Share of each family among the devices of a district."""

UNNAMED = 0.01
"""Share of a family that MIX does not name, so that a new family shows up in the city by itself."""

PREFIX: Mapping[str, str] = {
    "meter": "me",
    "weather": "we",
    "air_quality": "aq",
    "traffic_flow": "tf",
    "water_level": "wl",
    "fire_watch": "fw",
    "camera_event": "ce",
}


def prefix(family: str) -> str:
    """How the ids of simulated devices of a family begin."""
    return PREFIX.get(family, family.replace("_", "-"))


def weights(families: Sequence[str], mix: Mapping[str, float] | None = None) -> Floats:
    """The shares of `families`, in their order, adding up to one."""
    shares = np.array([(MIX if mix is None else mix).get(family, UNNAMED) for family in families])
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def apportion(total: int, shares: Floats) -> Ints:
    """Whole numbers adding up to `total`, each within one of its share (largest remainder)."""
    exact = shares / shares.sum() * total
    counts = np.floor(exact).astype(np.int64)
    short = total - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return np.asarray(counts, dtype=np.int64)


def apportion_visibly(total: int, shares: Floats) -> Ints:
    """As `apportion`, but none is left with nothing while another has several: a small city shows every family."""
    counts = apportion(total, shares)
    for empty in np.flatnonzero(counts == 0):
        richest = int(np.argmax(counts))
        if counts[richest] > 2:
            counts[richest] -= 1
            counts[empty] += 1
    return counts
