"""`vn-aqi-hour`: hourly means of a station → VN_AQI of each hour."""

import numpy as np

from analytics.indices import air_file
from analytics.indices.vn_aqi import POLLUTANTS
from dothi.computing.kind import Column, Columns, Kind, Options, Result
from dothi.computing.vn_aqi import RESULTS, Legal, concentration, values_of, whole_hours

WHY_NOT = "of the three newest hours fewer than two have pm25 or pm10"


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per row. The twelve hours of NowCast are those of the clock, wherever their rows stand."""
    legal = Legal(options)
    found = air_file.hourly(legal.scale, whole_hours(columns), values_of(columns))
    results = []
    for place, time in enumerate(columns["time"].astype("M8[m]")):
        dust = {name: float(found.nowcast[place, at]) for at, name in enumerate(POLLUTANTS[:2])}
        results.append(
            {
                "time": str(time),
                **legal.explained(found.indices, place, WHY_NOT),
                "nowcast": {name: None if np.isnan(value) else round(value, 6) for name, value in dust.items()},
            }
        )
    return results


KIND = Kind(
    "vn-aqi-hour",
    "VN_AQI of hours, Decision 1459/QD-TCMT of 2019: dust by NowCast (nowcast, ug/m3), gases of the hour",
    (
        Column("time", says="of an hourly mean, each hour once, in any order; local", kind="time"),
        concentration("pm25", "without pm25 and pm10 there is no index"),
        *(concentration(name) for name in POLLUTANTS[1:]),
    ),
    (Column("time", kind="text"), *RESULTS),
    reckon,
    ("province", "on"),
)
