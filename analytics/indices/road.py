"""What a road is like, from what its counter told in some time: flow, density, speed, level of service."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.indices.density import VEHICLE_M, density, density_of_occupancy, flow
from analytics.indices.pcu import pcu
from analytics.indices.queue import slow_and_full
from analytics.indices.service import ServiceTable, level
from analytics.indices.travel import travel_index

Floats = npt.NDArray[np.float64]

CLASSES = ("motorcycles", "cars", "trucks", "buses", "bicycles")
SUMS = (
    *("n", "vehicles", "vehicles_n", "counted_s", "weighted_speed", "weight", "speed", "speed_n", "occupancy"),
    *("occupancy_n", "length", "length_n", "pcu", "pcu_n", "classed_n", *CLASSES),
)
"""What is added up over readings: sums of metrics, and of how many (`_n`). `weighted_speed`: speed · vehicles, over the
`weight` of vehicles with a speed."""


class Road(NamedTuple):
    """One entry per counter and time. `flow`, `pcu_flow`: per hour; `speed`: km/h, mean of the vehicles, of the
    readings where there are none; `occupancy`: 0–1; `density`: PCU per km of the counted road; `service`: 0 (A) to 5
    (F), -1 unknown; `queued`: slow and full. NaN where unknown."""

    vehicles: Floats
    counted_s: Floats
    flow: Floats
    pcu_flow: Floats
    speed: Floats
    occupancy: Floats
    density: Floats
    free_speed: Floats
    travel_index: Floats
    service: npt.NDArray[np.int8]
    queued: npt.NDArray[np.bool_]


def road(sums: Floats, free_kmh: Floats, table: ServiceTable, factors: dict[str, float]) -> Road:
    """`sums`: rows × SUMS; `free_kmh`: speed of the empty road, NaN unknown; `factors`: PCU by class.

    A freeway's level of service goes by the density per lane that its occupancy means; without occupancy all vehicles
    are taken to be on one lane, for the registry knows no lanes.
    """
    of = dict(zip(SUMS, np.asarray(sums, dtype=np.float64).reshape(-1, len(SUMS)).T, strict=True))
    counted = of["vehicles_n"] > 0
    vehicles = np.where(counted, of["vehicles"], np.nan)
    counted_s = np.where(counted, of["counted_s"], np.nan)
    speed = ratio(of["weighted_speed"], of["weight"], ratio(of["speed"], of["speed_n"]))
    occupancy = ratio(of["occupancy"], of["occupancy_n"])
    classes = {name: np.where(of["classed_n"] > 0, of[name], np.nan) for name in CLASSES}
    told = np.where((of["pcu_n"] > 0) & (of["pcu_n"] >= of["vehicles_n"]), of["pcu"], np.nan)
    pcu_flow = flow(pcu(classes, factors, vehicles, told), counted_s)
    dense = density(pcu_flow, speed)
    length = ratio(of["length"], of["length_n"], np.full(len(speed), VEHICLE_M))
    of_lane = np.where(np.isnan(occupancy), dense, density_of_occupancy(occupancy, length))
    return Road(
        vehicles=vehicles,
        counted_s=counted_s,
        flow=flow(vehicles, counted_s),
        pcu_flow=pcu_flow,
        speed=speed,
        occupancy=occupancy,
        density=dense,
        free_speed=free_kmh,
        travel_index=travel_index(speed, free_kmh),
        service=level(of_lane, speed, free_kmh, table),
        queued=slow_and_full(speed, occupancy, free_kmh),
    )


def ratio(above: Floats, below: Floats, otherwise: Floats | float = np.nan) -> Floats:
    """above / below, where there is something below."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), otherwise)
