"""Flow and density of traffic: Greenshields' identity q = k · v, and occupancy turned into density.

Sources: Highway Capacity Manual (Transportation Research Board), basic freeway segments; Traffic Flow Theory (TRB
Special Report 165), chapter 2, for occupancy.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KM_PER_MILE = 1.609344
VEHICLE_M = 4.0
"""Mean length of a vehicle where a counter tells none: cars and motorcycles with some lorries; an assumption."""
DETECTOR_M = 2.0
"""Length of road that a counter watches; an assumption, that of an induction loop."""


def flow(vehicles: Floats, counted_s: Floats) -> Floats:
    """Vehicles per hour of `vehicles` counted in `counted_s` seconds; NaN where nothing was counted."""
    return np.asarray(vehicles * 3600.0 / np.where(counted_s > 0, counted_s, np.nan))


def density(flow_per_h: Floats, speed_kmh: Floats) -> Floats:
    """Vehicles (or PCU) per km of road of a flow per hour: k = q / v. NaN where nothing moves, 0 without flow."""
    moving = np.asarray(flow_per_h / np.where(speed_kmh > 0, speed_kmh, np.nan))
    return np.where(flow_per_h == 0, 0.0, moving)


def density_of_occupancy(occupancy: Floats, vehicle_m: Floats | float = VEHICLE_M) -> Floats:
    """Vehicles per km and lane of an occupancy of 0 to 1: 10 · percent / (length of vehicle + length of detector)."""
    return np.asarray(1000.0 * occupancy / (vehicle_m + DETECTOR_M))


def per_km(per_mile: Floats) -> Floats:
    """A density per mile as one per km."""
    return np.asarray(per_mile / KM_PER_MILE)
