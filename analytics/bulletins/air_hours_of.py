"""Hourly rollups of air quality as a cube of devices, hours and pollutants."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from analytics.binary import columns_of
from analytics.indices.nowcast import Floats
from analytics.indices.vn_aqi import POLLUTANTS
from analytics.rollup.width import HOUR_US

Ints = npt.NDArray[np.integer]

ROWS = sql.SQL("""
select x.device, (extract(epoch from x.bucket) * 1000000)::bigint, x.area, x.n, p.interval_s, {sums}, {counts}
from rollup.air_quality_1h x
join registry.device d on d.id = x.device
join registry.profile p on p.id = d.profile
where x.bucket >= to_timestamp({begin}) and x.bucket < to_timestamp({end}) and {chosen}
""")


class Cube(NamedTuple):
    """`devices` (d): registry ids; `area` (d, h): of the hour or the last one before, -1 unknown; `means` (d, h, 6):
    ug/m3 by POLLUTANTS, NaN where too few readings came; `heard` (d, h): whether any came; `share` (d, h): of the
    expected readings, those with dust, 0–1."""

    devices: Ints
    area: Ints
    means: Floats
    heard: npt.NDArray[np.bool_]
    share: Floats


def read_hours(
    connection: psycopg.Connection, begin_us: int, hours: int, hour_share: float, devices: Sequence[int] | None = None
) -> Cube:
    """The closed hours from `begin_us` (µs since 1970 UTC) on, of some devices or of all that were heard in them.

    `hour_share`: the least share of an hour's expected readings that make a mean.
    """
    query = ROWS.format(
        sums=_list("coalesce(x.{}, 'NaN')", "sum"),
        counts=_list("coalesce(x.{}, 0)", "n"),
        begin=sql.Literal(begin_us / 1e6),
        end=sql.Literal((begin_us + hours * HOUR_US) / 1e6),
        chosen=sql.SQL("true") if devices is None else sql.SQL("x.device = any({})").format(list(devices)),
    )
    kinds = "i4 i8 i2 i4 f8" + " f8" * len(POLLUTANTS) + " i4" * len(POLLUTANTS)
    device, bucket, area, n, interval_s, *values = columns_of(connection, query, kinds)
    known, slot = np.unique(device, return_inverse=True)
    hour = (bucket - begin_us) // HOUR_US
    sums, counts = np.zeros((len(known), hours, len(POLLUTANTS))), np.zeros((len(known), hours, len(POLLUTANTS)))
    for place in range(len(POLLUTANTS)):  # a device that was moved has two rows in an hour
        np.add.at(sums[..., place], (slot, hour), np.nan_to_num(values[place]))
        np.add.at(counts[..., place], (slot, hour), values[place + len(POLLUTANTS)])
    expected = np.full(len(known), np.inf)
    expected[slot] = HOUR_US / 1e6 / interval_s
    means = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts >= np.maximum(1, hour_share * expected)[:, None, None])
    heard, where = np.zeros((len(known), hours), bool), np.full((len(known), hours), -1, np.int64)
    by_rows = np.argsort(n, kind="stable")
    heard[slot, hour] = True
    where[slot[by_rows], hour[by_rows]] = area[by_rows]
    for place in range(1, hours):
        where[:, place] = np.where(where[:, place] < 0, where[:, place - 1], where[:, place])
    return Cube(known, where, means, heard, np.minimum(1, counts[:, :, :2].max(axis=2) / expected[:, None]))


def _list(expression: str, suffix: str) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL(expression).format(sql.Identifier(f"{pollutant}_{suffix}")) for pollutant in POLLUTANTS
    )
