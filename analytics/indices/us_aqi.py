"""US AQI of 2024, shown beside VN_AQI because visitors and phones know it.

EPA-454/B-24-002 (May 2024), table 5 and equation 1; rows are the table `us_aqi`. A concentration is cut to the digits
of its row, the index is rounded half up.
"""

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from analytics.indices.nowcast import HOURS, Floats, nowcast, valid
from analytics.indices.vn_aqi import BEFORE, EIGHT, POLLUTANTS, Index, eight_hour_means, half_up, highest, mean_of

MOLAR_VOLUME = 24.45
"""Litres of a mole of gas at 25 Cel and 1 atm, the reference state of the EPA (40 CFR 50.3)."""
MOLAR_MASS = {"o3": 47.998, "co": 28.010, "no2": 46.006, "so2": 64.066}  # g/mol
EIGHT_NEEDED = 6
DAY_NEEDED = 18
PER_UNIT = {"ppm": 1000.0, "ppb": 1.0}


class Gauge(msgspec.Struct, frozen=True):
    """One pollutant of the table `us_aqi`: rows of concentration from, to, index from, to; `above`, `below`: the gauge
    that judges what lies beyond the rows."""

    unit: Literal["ug/m3", "ppm", "ppb"]
    decimals: int
    rows: list[tuple[float, float, float, float]]
    above: str = ""
    below: str = ""


Gauges = dict[str, Gauge]


def cut(gauge: Gauge, concentration: npt.ArrayLike) -> Floats:
    """Concentrations in the gauge's unit, cut to its digits; NaN for what cannot be one."""
    scale = 10.0**gauge.decimals
    return np.floor(np.round(valid(concentration) * scale, 6)) / scale


def us_index(gauge: Gauge, concentration: npt.ArrayLike) -> Floats:
    """Concentrations in the gauge's unit → index, a whole number; NaN below its rows or without a valid concentration.

    Above its rows: the last index, or NaN where another gauge judges that.
    """
    values = cut(gauge, concentration)
    table = np.array(gauge.rows)
    row = np.clip(np.searchsorted(table[:, 0], values + 1e-9, side="right") - 1, 0, len(table) - 1)
    low, high, index_low, index_high = table[row].T.reshape(4, *values.shape)
    index = half_up(index_low + (index_high - index_low) * (values - low) / (high - low))
    index = np.where(values > table[-1, 1] + 1e-9, np.nan if gauge.above else table[-1, 3], index)
    return np.where(values < table[0, 0] - 1e-9, np.nan, index)


def from_mass(gas: str, unit: str, concentration: Floats) -> Floats:
    """A gas in ug/m3 → parts per million or billion at 25 Cel and 1 atm."""
    return concentration * MOLAR_VOLUME / MOLAR_MASS[gas] / PER_UNIT[unit]


def hourly(gauges: Gauges, hours: npt.ArrayLike) -> Index:
    """Hourly means (n, 12, 6) in ug/m3 by POLLUTANTS, the newest first → the index of that hour.

    Dust by NowCast, ozone by its hour and the mean of eight, CO by the mean of eight, NO2 and SO2 by the hour.
    """
    means = valid(hours)
    eight = mean_of(np.moveaxis(means[:, :EIGHT], 1, 2), EIGHT_NEEDED)
    return _joined(gauges, nowcast(np.moveaxis(means[:, :HOURS, :2], 1, 2)), means[:, 0], eight)


def daily(gauges: Gauges, hours: npt.ArrayLike) -> Index:
    """Hourly means (n, 7 + 24, 6) in ug/m3 of a local day and the seven hours before it → the index of the day."""
    means = np.moveaxis(valid(hours), 1, 2)
    dust = mean_of(means[:, :2, BEFORE:], DAY_NEEDED)
    return _joined(gauges, dust, highest(means[:, :, BEFORE:]), highest(eight_hour_means(means, EIGHT_NEEDED)))


def _joined(gauges: Gauges, dust: Floats, hour: Floats, eight: Floats) -> Index:
    sub = np.full((len(hour), len(POLLUTANTS)), np.nan)
    for place, name in enumerate(POLLUTANTS):
        if name in gauges and place < 2:
            sub[:, place] = us_index(gauges[name], dust[:, place])
        elif name == "o3":
            over_eight = us_index(gauges["o3_8h"], from_mass(name, "ppm", eight[:, place]))
            sub[:, place] = np.fmax(over_eight, us_index(gauges["o3_1h"], from_mass(name, "ppm", hour[:, place])))
        else:
            values = eight[:, place] if name == "co" else hour[:, place]
            sub[:, place] = us_index(gauges[name], from_mass(name, gauges[name].unit, values))
    filled = np.where(np.isnan(sub), -1.0, sub)
    known = filled.max(axis=1) >= 0
    return Index(sub, np.where(known, filled.max(axis=1), np.nan), np.where(known, filled.argmax(axis=1), -1))
