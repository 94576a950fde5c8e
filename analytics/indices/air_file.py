"""Air indices of a station's hourly file: the same formulas as in the stream, hours by the clock, not by the row."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analytics.indices import vn_aqi
from analytics.indices.nowcast import HOURS, Floats, nowcast, valid
from analytics.indices.vn_aqi import BEFORE, DAY, Index, Scale

Hours = npt.NDArray[np.int64]


class Hourly(NamedTuple):
    """Index of each row of an hourly file, and the NowCast (ug/m3) of PM2.5 and PM10, (n, 2)."""

    indices: Index
    nowcast: Floats


def windows(hour: Hours, values: Floats, newest: Hours, length: int) -> Floats:
    """Rows of distinct clock hours (n) with values (n, 6) → for each `newest` hour (m) the `length` hours up to it,
    (m, length, 6), the newest first, NaN where the file has no such hour."""
    order = np.argsort(hour)
    wanted = newest[:, None] - np.arange(length)
    place = np.clip(np.searchsorted(hour, wanted, sorter=order), 0, len(hour) - 1)
    found = order[place]
    return np.where((hour[found] == wanted)[..., None], values[found], np.nan)


def hourly(scale: Scale, hour: Hours, values: Floats) -> Hourly:
    """`hour`: whole hours since 1970, each once, in any order; `values` (n, 6) in ug/m3 by POLLUTANTS."""
    twelve = windows(hour, valid(values), hour, HOURS)
    return Hourly(vn_aqi.hourly(scale, twelve), nowcast(np.moveaxis(twelve[:, :, vn_aqi.DUST], 1, 2)))


def daily(scale: Scale, hour: Hours, values: Floats) -> tuple[Hours, Index]:
    """As `hourly`, `hour` by the local clock and by the start of the hour → the days, since 1970, and their indices."""
    days = np.unique(hour // DAY)
    whole = windows(hour, valid(values), days * DAY + DAY - 1, DAY + BEFORE)
    return days, vn_aqi.daily(scale, whole[:, ::-1])


def named_by_end(local_hour: Sequence[int]) -> bool:
    """Whether hours are named by their end, as the decision does (01:00 … 00:00): not when the first is 00:00 and the
    last 23:00 of a day."""
    return not (min(local_hour) % DAY == 0 and max(local_hour) % DAY == DAY - 1)
