"""What `vn-aqi-hour` and `vn-aqi-day` share: their columns, and VN_AQI with all that explains it."""

from datetime import date, datetime
from math import isnan

import numpy as np

from analytics import tables
from analytics.indices import vn_aqi
from analytics.indices.advice import Advice, advice_for
from analytics.indices.air_file import Hours
from analytics.indices.nowcast import Floats
from analytics.indices.vn_aqi import POLLUTANTS, Index, Scale
from dothi.computing.kind import Column, Columns, Options, Result
from dothi.output import LOCAL

PROVINCE = "bac-giang"


def concentration(name: str, says: str = "") -> Column:
    """A column of concentrations; below zero counts as missing, as -9999 does in the files of many stations."""
    return Column(name, "ug/m3", says, gaps=True, needed=False)


RESULTS = (
    Column("aqi", "1", "VN_AQI, a whole number; none without dust; sub_indices and advice stand beside it"),
    Column("dominant", says="the pollutant that decides", kind="text"),
    Column("category", says="in Vietnamese; category_en and colour stand beside it", kind="text"),
    Column("reason", says="why there is no index", kind="text"),
)


class Legal:
    """The tables that hold for the options: scale and advice."""

    def __init__(self, options: Options) -> None:
        day: date = options.on or datetime.now(LOCAL).date()
        province = options.province or PROVINCE
        self.scale = tables.load("vn_aqi", province, day, Scale).held
        self.advice = tables.load("vn_aqi_advice", province, day, list[Advice]).held

    def explained(self, index: Index, place: int, why_not: str) -> Result:
        """One index as people read it; with advice for everyone and for sensitive people."""
        total = float(index.total[place])
        band = vn_aqi.band_of(self.scale.bands, total)
        advice = advice_for(self.advice, total) if band else None
        dominant = int(index.dominant[place])
        return {
            "aqi": whole(total),
            "dominant": POLLUTANTS[dominant] if dominant >= 0 else None,
            "category": band.vi if band else None,
            "category_en": band.en if band else None,
            "colour": band.colour if band else None,
            "sub_indices": {name: whole(index.sub[place, at]) for at, name in enumerate(POLLUTANTS)},
            "advice": {"effect": advice.effect, "everyone": advice.everyone, "sensitive": advice.sensitive}
            if advice
            else None,
            "reason": None if band else why_not,
        }


def whole(value: float) -> int | None:
    """A whole number, or none."""
    return None if isnan(value) else int(value)


def values_of(columns: Columns, names: tuple[str, ...] = POLLUTANTS) -> Floats:
    """Columns side by side, (rows, names)."""
    return np.stack([columns[name] for name in names], axis=1)


def whole_hours(columns: Columns) -> Hours:
    """The column time as local hours since 1970. Raises ValueError unless each is a full hour and there once."""
    time = columns["time"]
    if np.isnat(time).any():
        raise ValueError("time is empty in some rows; expected in all or, for rows that are days, in none")
    hour = time.astype("M8[h]")
    if len(odd := time[hour != time]):
        raise ValueError(f"time is {odd[0].astype('M8[s]')}; expected a full hour")
    hours, count = np.unique(hour, return_counts=True)
    if len(twice := hours[count > 1]):
        raise ValueError(f"time {twice[0].astype('M8[m]')} is there {count[count > 1][0]} times; expected once")
    found: Hours = hour.astype(np.int64)
    return found
