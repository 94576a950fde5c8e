"""How a district's devices divide into families.

The plans give totals per 100 people and name the systems; they do not divide the total. These shares are an assumption:
mostly what stands in homes and is worn by people, then what streets, schools and farms carry, few cameras. Who knows
better passes other shares.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simulators.draw import Floats, Ints

MIX: Mapping[str, float] = {
    # Homes and the people in them.
    "meter": 0.43,
    "water_meter": 0.12,
    "wearable": 0.14,
    "contact": 0.07,
    # Streets.
    "street_light": 0.05,
    "vehicle": 0.03,
    "parking": 0.02,
    "fill_level": 0.01,
    "camera_event": 0.01,
    "camera_health": 0.01,
    "traffic_flow": 0.006,
    # Schools, farms, works.
    "classroom": 0.03,
    "soil": 0.015,
    "greenhouse": 0.01,
    "aquaculture": 0.006,
    "machine": 0.01,
    # What the province itself watches.
    "weather": 0.008,
    "air_quality": 0.006,
    "noise": 0.004,
    "water_level": 0.004,
    "fire_watch": 0.004,
    "telecom_site": 0.002,
    "rain": 0.002,
    "public_address": 0.001,
    "notice_board": 0.0005,
    "water_quality": 0.0005,
    "server": 0.0005,
    "security_event": 0.0005,
}
"""Share of each family among the devices of a district."""

UNNAMED = 0.01
"""Share of a family that MIX does not name, so that a new family shows up in the city by itself."""

PREFIX: Mapping[str, str] = {
    "air_quality": "aq",
    "aquaculture": "ac",
    "camera_event": "ce",
    "camera_health": "ch",
    "classroom": "cl",
    "contact": "co",
    "fill_level": "fl",
    "fire_watch": "fw",
    "greenhouse": "gh",
    "machine": "ma",
    "meter": "me",
    "noise": "no",
    "notice_board": "nb",
    "parking": "pk",
    "public_address": "pa",
    "rain": "ra",
    "security_event": "se",
    "server": "sv",
    "soil": "so",
    "street_light": "sl",
    "telecom_site": "ts",
    "traffic_flow": "tf",
    "vehicle": "ve",
    "water_level": "wl",
    "water_meter": "wm",
    "water_quality": "wq",
    "wearable": "wr",
    "weather": "we",
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
