"""Open series as they were published: readers of the files beside the project, and the families that they are."""

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.family import Family, Metric

Table = npt.NDArray[np.float64]


class Series(NamedTuple):
    """`time`: s since 1970, never falling; `table`: rows × metrics, NaN where nothing was measured."""

    name: str
    family: Family
    interval_s: float
    time: npt.NDArray[np.float64]
    table: Table


def family_of(name: str, metrics: dict[str, tuple[str, float, float]]) -> Family:
    """A family for a series; `metrics`: unit and legal range by name."""
    made = tuple(
        Metric(metric, unit, low, high, "gauge", (), {"vi": metric, "en": metric}, None)
        for metric, (unit, low, high) in metrics.items()
    )
    return Family(name, {"vi": name, "en": name}, made, {m.name: place for place, m in enumerate(made)}, None, "high")


AIR = {
    "co_reference": ("mg/m3", -1.0, 1e3),
    "pt08_s1": ("1", -1.0, 1e5),
    "nmhc": ("ug/m3", -1.0, 1e5),
    "benzene": ("ug/m3", -1.0, 1e4),
    "pt08_s2": ("1", -1.0, 1e5),
    "nox": ("[ppb]", -1.0, 1e5),
    "pt08_s3": ("1", -1.0, 1e5),
    "no2": ("ug/m3", -1.0, 1e5),
    "pt08_s4": ("1", -1.0, 1e5),
    "pt08_s5": ("1", -1.0, 1e5),
    "temperature": ("Cel", -300.0, 100.0),
    "relative_humidity": ("%", -1.0, 101.0),
    "absolute_humidity": ("g/m3", -1.0, 100.0),
}
SPARSE = ("nmhc",)
"""Measured in the first weeks only: no fault is injected there."""


def air_quality(folder: Path) -> Series:
    """De Vito 2008: hourly for a year; -200 is a value that is missing."""
    with (folder / "air_quality_uci" / "AirQualityUCI.csv").open() as file:
        rows = [row for row in list(csv.reader(file))[1:] if row[0]]
    time = [datetime.strptime(f"{row[0]} {row[1]}", "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC) for row in rows]
    table = np.array([[float(cell) for cell in row[2:15]] for row in rows])
    table[table == -200.0] = np.nan
    seconds = np.array([moment.timestamp() for moment in time])
    there = ~np.isnan(table).all(axis=1)
    return Series("air_quality_uci", family_of("uci", AIR), 3600.0, seconds[there], table[there])


TRAFFIC = {
    "traffic_volume": ("/h", -1.0, 1e5),
    "temperature": ("Cel", -300.0, 100.0),
    "precipitation": ("mm", 0.0, 1e5),
    "clouds": ("%", 0.0, 100.0),
}


def metro_traffic(folder: Path) -> Series:
    """Interstate 94, hourly 2012 to 2018, with hours that come twice, 0 K and 9,831 mm of rain."""
    with gzip.open(folder / "metro_traffic" / "Metro_Interstate_Traffic_Volume.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    time = np.array([datetime.strptime(r["date_time"], "%d-%m-%Y %H:%M").replace(tzinfo=UTC).timestamp() for r in rows])
    names = ("traffic_volume", "temp", "rain_1h", "clouds_all")
    table = np.array([[float(row[name]) for name in names] for row in rows])
    table[:, 1] -= 273.15
    return Series("metro_traffic", family_of("metro", TRAFFIC), 3600.0, time, table)


SEATTLE = {
    "precipitation": ("mm", 0.0, 1e4),
    "temperature_max": ("Cel", -300.0, 100.0),
    "temperature_min": ("Cel", -300.0, 100.0),
    "wind_speed": ("m/s", 0.0, 200.0),
}


def weather_seattle(folder: Path) -> Series:
    """Daily 2012 to 2015."""
    with (folder / "weather_seattle" / "seattle-weather.csv").open() as file:
        rows = list(csv.DictReader(file))
    time = np.array([datetime.fromisoformat(row["date"]).replace(tzinfo=UTC).timestamp() for row in rows])
    table = np.array([[float(row[name]) for name in ("precipitation", "temp_max", "temp_min", "wind")] for row in rows])
    return Series("weather_seattle", family_of("seattle", SEATTLE), 86_400.0, time, table)
