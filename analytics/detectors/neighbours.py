"""The nearest neighbours of devices by position: what a sensor is compared with."""

import numpy as np
import numpy.typing as npt

from analytics.detectors.compiled import Array, compiled

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]

KM_PER_DEGREE = 111.2
NOBODY = -1


def nearest(lat: Floats, lon: Floats, group: Ints, k: int = 8, within_km: float = 15.0) -> npt.NDArray[np.int32]:
    """Per device the places of its `k` nearest of the same group, nearest first; (n, k), NOBODY where there are fewer.

    `lat`, `lon`: degrees, NaN for devices without a position, which have no neighbours; `within_km`: not farther.
    Distances are flat, which at this latitude and range is right to a thousandth. On a grid whose cells hold about `k`
    devices a device looks at its own cell and the eight around it, and at more only where these hold too few: cost and
    memory grow with n, not with its square.
    """
    found = np.full((len(lat), k), NOBODY, np.int32)
    for one in np.unique(group):
        members = np.flatnonzero((group == one) & ~np.isnan(lat) & ~np.isnan(lon))
        if len(members) > 1:
            found[members] = _among(members, lat[members], lon[members], k, within_km)
    return found


def _among(members: Ints, lat: Floats, lon: Floats, k: int, within_km: float) -> npt.NDArray[np.int32]:
    """The neighbours among devices that all are of one group."""
    north = np.asarray(lat, np.float64) * KM_PER_DEGREE
    east = np.asarray(lon, np.float64) * KM_PER_DEGREE * np.cos(np.radians(np.mean(lat)))
    found = np.full((len(members), k), NOBODY, np.int32)
    asking = np.arange(len(members))
    cell_km = _cell_km(north, east, k, within_km)
    while len(asking):
        places, distance = _around(north, east, asking, cell_km, k)
        reached = np.minimum(cell_km, within_km)  # what is nearer than a cell's width cannot have been missed
        done = (distance[:, -1] <= reached) | (cell_km >= within_km)
        near = distance[done] <= within_km
        found[asking[done]] = np.where(near, members[np.maximum(places[done], 0)], NOBODY)
        asking, cell_km = asking[~done], cell_km * 2
    return found


def _cell_km(north: Floats, east: Floats, k: int, within_km: float) -> float:
    area = max(float(np.ptp(north) * np.ptp(east)), 1e-6)
    return float(np.clip(np.sqrt(area * k / len(north)), within_km / 64, within_km))


def _around(north: Floats, east: Floats, asking: Ints, cell_km: float, k: int) -> tuple[Ints, Floats]:
    """The `k` nearest inside a device's cell and the eight around it: places and km, inf where there are fewer."""
    x = np.floor((east - east.min()) / cell_km).astype(np.int64) + 1
    y = np.floor((north - north.min()) / cell_km).astype(np.int64) + 1
    width = int(x.max()) + 2
    cell = y * width + x
    order = np.argsort(cell, kind="stable")
    filled = cell[order]
    # Cells that lie side by side in a row lie side by side in the order.
    rows = cell[asking] + width * np.array([[-1], [0], [1]])
    first, last = np.searchsorted(filled, rows - 1, "left"), np.searchsorted(filled, rows + 1, "right")
    places = np.full((len(asking), k), NOBODY, np.int64)
    distance = np.full((len(asking), k), np.inf)
    look_around(north, east, asking, order, first, last, places, distance)
    return places, np.sqrt(distance)


@compiled
def look_around(
    north: Array, east: Array, asking: Array, order: Array, first: Array, last: Array, places: Array, distance: Array
) -> None:
    """Put the nearest of three stretches of `order` into `places`, with the square of their distance; of equals the
    first."""
    k = places.shape[1]
    for i in range(len(asking)):
        me = asking[i]
        for row in range(3):
            for at in range(first[row, i], last[row, i]):
                other = order[at]
                km2 = (north[other] - north[me]) ** 2 + (east[other] - east[me]) ** 2
                if other == me or not km2 < distance[i, k - 1]:
                    continue
                rank = k - 1
                while rank > 0 and distance[i, rank - 1] > km2:
                    distance[i, rank], places[i, rank] = distance[i, rank - 1], places[i, rank - 1]
                    rank -= 1
                distance[i, rank], places[i, rank] = km2, other
