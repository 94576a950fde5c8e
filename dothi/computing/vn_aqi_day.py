"""`vn-aqi-day`: hourly means, or what was reckoned from them for each day, → VN_AQI of days."""

import numpy as np

from analytics.indices import air_file, vn_aqi
from analytics.indices.vn_aqi import DAY, POLLUTANTS
from dothi.computing.kind import Column, Columns, Kind, Options, Result
from dothi.computing.vn_aqi import RESULTS, Legal, concentration, values_of, whole, whole_hours

OF_A_DAY = ("pm25", "pm10", "o3_1h", "o3_8h", "co", "no2", "so2")
ONLY_OF_A_DAY = ("pm25_24h", "pm10_24h", "o3_1h", "o3_8h")
OZONE = {"o3_1h": 2, "o3_8h": 3}


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per row: of its local day where rows are hours, of itself where a row is a day."""
    legal = Legal(options)
    days = any(np.isfinite(columns[name]).any() for name in ONLY_OF_A_DAY) or np.isnat(columns["time"]).all()
    return of_days(columns, legal) if days else of_hours(columns, legal, options.hours)


def of_hours(columns: Columns, legal: Legal, hours: str | None) -> list[Result]:
    """Each hour is answered with the whole of its day."""
    hour = whole_hours(columns)
    by_end = air_file.named_by_end(hour.tolist()) if hours is None else hours == "end"
    start = hour - by_end
    days, index = air_file.daily(legal.scale, start, values_of(columns))
    why_not = f"fewer than {legal.scale.needs.day_hours} hours of the day have pm25 or pm10"
    results = []
    for place, which in enumerate(np.searchsorted(days, start // DAY)):
        told = {"time": str(columns["time"][place].astype("M8[m]")), "day": str(np.datetime64(int(days[which]), "D"))}
        named = {"hours": "end" if by_end else "start"}
        results.append(told | legal.explained(index, int(which), why_not) | named)
    return results


def of_days(columns: Columns, legal: Legal) -> list[Result]:
    """Means and highest values of days."""
    columns = dict(columns)
    for name in ("pm25", "pm10"):
        columns[name] = np.where(np.isnan(columns[name]), columns[f"{name}_24h"], columns[name])
    values = values_of(columns, OF_A_DAY)
    sub = np.stack([vn_aqi.sub_index(legal.scale, name, values[:, at]) for at, name in enumerate(OF_A_DAY)], axis=1)
    ozone = np.fmax(sub[:, OZONE["o3_1h"]], sub[:, OZONE["o3_8h"]])
    index = vn_aqi.overall(np.column_stack([sub[:, :2], ozone, sub[:, 4:]]))
    results = [legal.explained(index, place, "neither pm25 nor pm10 is there") for place in range(len(values))]
    for place, result in enumerate(results):
        result["day"] = columns["day"][place] or None
        result["sub_indices"] |= {name: whole(float(vn_aqi.half_up(sub[place, at]))) for name, at in OZONE.items()}
    return results


KIND = Kind(
    "vn-aqi-day",
    "VN_AQI of local days, Decision 1459/QD-TCMT of 2019. Either hourly rows as for vn-aqi-hour (each is answered with "
    "its day), or rows without time: a day's means and highest values",
    (
        Column("time", says="of an hourly mean, as its hour's end or start: see --hours", kind="time", needed=False),
        Column("day", says="a name for rows that are days", kind="text", gaps=True, needed=False),
        concentration("pm25", "hourly, or the mean of 24 h"),
        concentration("pm10", "hourly, or the mean of 24 h"),
        *(concentration(f"{name}_24h", f"another name of {name}, in rows that are days") for name in POLLUTANTS[:2]),
        concentration("o3", "hourly"),
        concentration("o3_1h", "the highest hour of a day"),
        concentration("o3_8h", "the highest mean of eight hours of a day"),
        *(concentration(name, "hourly, or the highest hour") for name in POLLUTANTS[3:]),
    ),
    (Column("day", kind="text"), *RESULTS),
    reckon,
    ("province", "on", "hours"),
)
