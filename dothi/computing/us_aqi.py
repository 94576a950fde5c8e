"""`us-aqi`: concentrations in the units of the EPA's table → US AQI."""

from datetime import date, datetime
from math import isnan

import numpy as np

from analytics import tables
from analytics.indices import us_aqi
from analytics.indices.us_aqi import Gauge
from analytics.indices.vn_aqi import Band, band_of
from dothi.computing.kind import Column, Columns, Kind, Options, Result
from dothi.output import LOCAL

NAMES = {
    "pm2.5": "pm25",
    "pm25_24h": "pm25",
    "pm10_24h": "pm10",
    "o3": "o3_8h",
    "co_8h": "co",
    "no2_1h": "no2",
    "so2_1h": "so2",
}
"""Other names of pollutants."""


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per row."""
    day: date = options.on or datetime.now(LOCAL).date()
    gauges = tables.load("us_aqi", tables.ANY, day, dict[str, Gauge]).held
    bands = tables.load("us_aqi_bands", tables.ANY, day, list[Band]).held
    results = []
    for said, concentration in zip(columns["pollutant"].tolist(), columns["concentration"].tolist(), strict=True):
        name = NAMES.get(said.lower(), said.lower())
        if name not in gauges:
            raise ValueError(f"pollutant is {said}; expected one of {', '.join(gauges)}")
        results.append({"pollutant": name, **one(gauges[name], bands, concentration)})
    return results


def one(gauge: Gauge, bands: list[Band], concentration: float) -> Result:
    """The index of one concentration."""
    value = np.array([concentration])
    index = float(us_aqi.us_index(gauge, value)[0])
    band = band_of(bands, index)
    return {
        "concentration": concentration,
        "unit": gauge.unit,
        "cut": round(float(us_aqi.cut(gauge, value)[0]), gauge.decimals),
        "aqi": None if isnan(index) else int(index),
        "category": band.en if band else None,
        "category_vi": band.vi if band else None,
        "colour": band.colour if band else None,
        "reason": None if band else why_not(gauge, concentration),
    }


def why_not(gauge: Gauge, concentration: float) -> str:
    """Why a concentration has no index by this gauge."""
    first, last = gauge.rows[0][0], gauge.rows[-1][1]
    if concentration < first:
        return f"below {first} {gauge.unit}, where {gauge.below} judges"
    return f"above {last} {gauge.unit}, where {gauge.above} judges"


KIND = Kind(
    "us-aqi",
    "US AQI of 2024 (EPA-454/B-24-002)",
    (
        Column("pollutant", says="pm25, pm10, o3_8h, o3_1h, co, no2, so2", kind="text"),
        Column(
            "concentration",
            says="dust in ug/m3 over 24 h or as NowCast; o3 and co (8 h) in ppm; no2, so2 (1 h) in ppb",
            low=0.0,
        ),
    ),
    (
        Column("pollutant"),
        Column("concentration"),
        Column("unit"),
        Column("cut", says="the concentration with the digits that count"),
        Column("aqi", "1"),
        Column("category", says="category_vi and colour stand beside it", kind="text"),
        Column("reason", says="why there is no index", kind="text"),
    ),
    reckon,
    ("on",),
)
