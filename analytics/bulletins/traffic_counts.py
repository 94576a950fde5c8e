"""What counters told, added up by five minutes: the sums from which the state of their roads is reckoned."""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.indices.road import CLASSES, SUMS, Floats

Ints = npt.NDArray[np.integer]

# Device by device, as the key of readings is; each has but a few rows in the time.
PLANS = "set local enable_hashjoin = off; set local enable_mergejoin = off"
READ = """
select d.id, s.area, s.bucket, {sums}
from registry.device d
join registry.profile p on p.id = d.profile
cross join lateral (
    select max(r.area) as area, floor(extract(epoch from r.time) / 300)::bigint as bucket, {each}
    from reading.traffic_flow r
    where r.device = d.id and r.time >= {begin} and r.time < {end}
    group by 2
) s
where d.family = 'traffic_flow'
"""
COUNTED = "sum(case when r.intensity is not null then coalesce(r.period_s, p.interval_s) end)"
BOTH = "filter (where r.intensity is not null and r.average_vehicle_speed is not null)"
EACH = {
    "n": "count(*)",
    "vehicles": "sum(r.intensity)",
    "vehicles_n": "count(r.intensity)",
    "counted_s": COUNTED,
    "weighted_speed": f"sum(r.average_vehicle_speed * r.intensity) {BOTH}",
    "weight": f"sum(r.intensity) {BOTH}",
    "speed": "sum(r.average_vehicle_speed)",
    "speed_n": "count(r.average_vehicle_speed)",
    "occupancy": "sum(r.occupancy)",
    "occupancy_n": "count(r.occupancy)",
    "length": "sum(r.average_vehicle_length)",
    "length_n": "count(r.average_vehicle_length)",
    "pcu": "sum(r.pcu)",
    "pcu_n": "count(r.pcu)",
    "classed_n": f"count(coalesce({', '.join(f'r.{name}' for name in CLASSES)}))",
    **{name: f"sum(r.{name})" for name in CLASSES},
}


class Counted(NamedTuple):
    """Sums of readings by counter and five minutes. `bucket`: five minutes since 1970; `sums`: rows × SUMS."""

    device: Ints
    area: Ints
    bucket: Ints
    sums: Floats


def read(connection: psycopg.Connection, begin: datetime, end: datetime) -> Counted:
    """What all counters told."""
    query = sql.SQL(READ).format(
        sums=sql.SQL(", ").join(sql.SQL(f"coalesce(s.{name}, 0)::float8") for name in SUMS),
        each=sql.SQL(", ").join(sql.SQL(f"{EACH[name]} as {name}") for name in SUMS),
        begin=sql.Literal(begin),
        end=sql.Literal(end),
    )
    device, area, bucket, *sums = columns_of(connection, query, "i4 i2 i8" + " f8" * len(SUMS))
    return Counted(device, area, bucket, np.stack(sums, axis=1))
