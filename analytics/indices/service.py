"""Level of service of roads, A (free) to F (broken down), as the Highway Capacity Manual grades it.

A freeway is graded by density, an urban street by its travel speed as a share of that of the empty street. Bounds are
data: tables/traffic-service-*.yaml.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from analytics.indices.density import per_km

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]

LEVELS = "ABCDEF"
UNKNOWN = -1


class ServiceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds between A|B, B|C, C|D, D|E and E|F.

    `freeway`: densities, passenger cars per mile and lane, each the greatest of the better level; `street`: travel
    speeds, shares (0–1) of the base free-flow speed, each the one that the better level must exceed;
    `freeway_from_kmh`: roads whose free-flow speed is at least this, km/h, are graded as freeways.
    """

    freeway: tuple[float, float, float, float, float]
    street: tuple[float, float, float, float, float]
    freeway_from_kmh: float


def freeway(density: Floats, bounds: Sequence[float]) -> Levels:
    """0 (A) to 5 (F), UNKNOWN for NaN, of densities in passenger cars per km and lane; `bounds` per mile and lane."""
    found = np.searchsorted(per_km(np.array(bounds)), density, side="left")
    return np.where(np.isnan(density), UNKNOWN, found).astype(np.int8)


def street(speed_kmh: Floats, free_kmh: Floats, bounds: Sequence[float]) -> Levels:
    """0 (A) to 5 (F), UNKNOWN for NaN, of travel speeds on streets whose base free-flow speed is `free_kmh`."""
    share = speed_kmh / np.where(free_kmh > 0, free_kmh, np.nan)
    found = np.searchsorted(-np.array(bounds), -share, side="right")
    return np.where(np.isnan(share), UNKNOWN, found).astype(np.int8)


def level(density: Floats, speed_kmh: Floats, free_kmh: Floats, table: ServiceTable) -> Levels:
    """As a freeway or as a street, whichever a road's free-flow speed makes it; UNKNOWN before that is known."""
    fast = free_kmh >= table.freeway_from_kmh
    return np.where(fast, freeway(density, table.freeway), street(speed_kmh, free_kmh, table.street)).astype(np.int8)
