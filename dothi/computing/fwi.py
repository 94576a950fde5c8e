"""`fwi`: the Canadian fire weather indices of one station, day after day."""

import numpy as np

from analytics.indices.fire_weather import Noon, season, start
from dothi.computing.kind import Column, Columns, Kind, Options, Result, results_from

STANDARD_LATITUDE = 46.0
"""Degrees north for which the index has its usual day lengths."""


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per day, in the order of the file."""
    months = columns["month"]
    if len(odd := months[months != np.floor(months)]):
        raise ValueError(f"month is {odd[0]:g}; expected a whole number from 1 to 12")
    latitude = STANDARD_LATITUDE if options.lat is None else options.lat
    noons = Noon(*(columns[name][:, None] for name in ("temp_c", "rh_pct", "wind_kmh", "rain_mm")))
    days = season(start(1), noons, months.astype(np.int64), latitude)
    rows = np.array([np.concatenate([*made.codes, *made[1:]]) for made in days]).reshape(-1, len(RESULTS))
    return results_from({column.name: rows[:, place] for place, column in enumerate(RESULTS)})


RESULTS = (
    Column("ffmc", says="fine fuel moisture code"),
    Column("dmc", says="duff moisture code"),
    Column("dc", says="drought code"),
    Column("isi", says="initial spread index"),
    Column("bui", says="buildup index"),
    Column("fwi", says="fire weather index"),
    Column("dsr", says="daily severity rating"),
)
KIND = Kind(
    "fwi",
    "Canadian fire weather indices, a row a day without a gap, from codes 85, 6, 15; --lat chooses the day lengths, "
    "without it those of 46 degrees north, the standard",
    (
        Column("month", says="1 to 12", low=1, high=12),
        Column("temp_c", "Cel", "air at noon", low=-60, high=60),
        Column("rh_pct", "%", "relative humidity at noon", low=0, high=100),
        Column("wind_kmh", "km/h", "wind at noon, 10 m above ground", low=0, high=400),
        Column("rain_mm", "mm", "rain of the 24 hours before noon", low=0, high=2000),
    ),
    RESULTS,
    reckon,
    ("lat",),
)
