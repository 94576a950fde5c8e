"""`traffic`: what a counter told, row by row → flow, density, travel-time index and level of service of its road."""

from datetime import date, datetime

import numpy as np
import numpy.typing as npt

from analytics import tables
from analytics.indices.free_flow import Learnt, known, learn
from analytics.indices.road import CLASSES, SUMS, road
from analytics.indices.service import LEVELS, ServiceTable
from dothi.computing.kind import Column, Columns, Kind, Options, Result, results_from
from dothi.output import LOCAL

Floats = npt.NDArray[np.float64]
PROVINCE = "bac-giang"


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per row; the speed of the empty road is learnt from row to row where the file does not tell it."""
    day: date = options.on or datetime.now(LOCAL).date()
    province = options.province or PROVINCE
    service = tables.load("traffic_service", province, day, ServiceTable).held
    factors = tables.load("pcu", province, day, dict[str, float]).held
    told = columns["free_speed_kmh"]
    free = np.where(np.isnan(told), learnt(columns["speed_kmh"], columns["occupancy"]), told)
    roads = road(sums(columns), free, service, factors)
    found = results_from(
        {
            "flow_veh_h": roads.flow,
            "flow_pcu_h": roads.pcu_flow,
            "density_pcu_km": roads.density,
            "free_speed_kmh": roads.free_speed,
            "travel_index": roads.travel_index,
            "queued": roads.queued,
        }
    )
    letters = [LEVELS[level] if level >= 0 else None for level in roads.service.tolist()]
    return [{**row, "level_of_service": letter} for row, letter in zip(found, letters, strict=True)]


def learnt(speed: Floats, occupancy: Floats) -> Floats:
    """What is known of the empty road after each row."""
    now, found = Learnt(np.zeros(1), np.zeros(1)), []
    for place in range(len(speed)):
        now = learn(now, speed[place : place + 1], occupancy[place : place + 1])
        found.append(known(now)[0])
    return np.array(found)


def sums(columns: Columns) -> Floats:
    """Each row as the sum of one reading."""
    vehicles, speed, occupancy = columns["vehicles"], columns["speed_kmh"], columns["occupancy"]
    both = ~np.isnan(vehicles) & ~np.isnan(speed)
    of = dict.fromkeys(SUMS, np.zeros(len(vehicles))) | {
        "n": np.ones(len(vehicles)),
        "vehicles": vehicles,
        "counted_s": columns["period_s"],
        "weighted_speed": np.where(both, vehicles * speed, 0.0),
        "weight": np.where(both, vehicles, 0.0),
        "speed": speed,
        "occupancy": occupancy,
        "pcu": columns["pcu"],
        **{name: columns[name] for name in CLASSES},
    }
    of |= {f"{name}_n": ~np.isnan(of[name]) for name in ("vehicles", "speed", "occupancy", "pcu")}
    of["classed_n"] = np.logical_or.reduce([~np.isnan(columns[name]) for name in CLASSES])
    return np.nan_to_num(np.stack([of[name] for name in SUMS], axis=1).astype(np.float64))


def optional(name: str, unit: str, says: str, high: float = np.inf) -> Column:
    """A column that may be missing, with cells that may be empty."""
    return Column(name, unit, says, low=0.0, high=high, gaps=True, needed=False)


KIND = Kind(
    "traffic",
    "state of a road: flow, density, level of service (Highway Capacity Manual), travel-time index",
    (
        Column("vehicles", says="counted in the period", low=0.0, gaps=True),
        Column("period_s", "s", low=1.0),
        Column("speed_kmh", "km/h", "mean of the vehicles", low=0.0, gaps=True),
        optional("occupancy", "", "share of the time, 0 to 1", high=1.0),
        optional("pcu", "", "passenger car units in the period, where the counter tells them"),
        *(optional(name, "", "of the vehicles") for name in CLASSES),
        optional("free_speed_kmh", "km/h", "speed of the empty road; else learnt from the rows, known after 60 of it"),
    ),
    (
        Column("flow_veh_h", "1/h"),
        Column("flow_pcu_h", "1/h", "passenger car units"),
        Column("density_pcu_km", "1/km", "passenger car units"),
        Column("free_speed_kmh", "km/h"),
        Column("travel_index", says="time / time on the empty road"),
        Column("level_of_service", says="A (free) to F (broken down)"),
        Column("queued", says="slower than half of the free speed, and full"),
    ),
    reckon,
    ("province", "on"),
)
