"""`fire-danger`: the Vietnamese index P, its level by a province's table, and Ångström's index, day after day."""

from datetime import UTC, datetime

import numpy as np

from analytics import tables
from analytics.indices.angstrom import angstrom, word
from analytics.indices.danger import NUMERALS, names_on
from analytics.indices.nesterov import Levels, deficit, level, next_p
from dothi.computing.kind import Column, Columns, Kind, Options, Result, results_from
from dothi.output import LOCAL


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per day, in the order of the file; P begins at 0."""
    months, province = columns["month"], options.province or "bac-giang"
    if len(odd := months[months != np.floor(months)]):
        raise ValueError(f"month is {odd[0]:g}; expected a whole number from 1 to 12")
    on = options.on or datetime.now(UTC).astimezone(LOCAL).date()
    table = tables.load("fire_levels", province, on, Levels)
    zone, names = table.held.zone_of(""), names_on(on)
    temperature, humidity, rain = (columns[name] for name in ("t13_c", "rh13_pct", "rain_mm"))
    p, results, index = np.zeros(1), [], angstrom(temperature, humidity)
    for row, month in enumerate(months.astype(int).tolist()):
        at = slice(row, row + 1)
        p = next_p(p, temperature[at], humidity[at], rain[at], zone.rain_mm[month - 1])
        number = int(level(p, zone.bounds_of(month))[0])
        results.append((float(p[0]), NUMERALS[number], names[number].en, names[number].vi, word(index[row])))
    columns_of = list(zip(*results, strict=True)) or [()] * 5
    return results_from(
        {
            "deficit_hpa": deficit(temperature, humidity),
            **dict(zip(("p", "level", "level_en", "level_vi", "fires"), columns_of, strict=True)),
            "angstrom": index,
            "set": [table.set] * len(months),
        }
    )


KIND = Kind(
    "fire-danger",
    "Vietnamese fire danger index P with its level, and Ångström's index, a row a day without a gap, from P = 0",
    (
        Column("month", says="1 to 12", low=1, high=12),
        Column("t13_c", "Cel", "air at 13:00", low=-60, high=60),
        Column("rh13_pct", "%", "relative humidity at 13:00", low=0, high=100),
        Column("rain_mm", "mm", "rain of the day", low=0, high=2000),
    ),
    (
        Column("deficit_hpa", "hPa", "saturation deficit at 13:00"),
        Column("p", says="index P"),
        Column("level", says="I to V"),
        Column("level_en"),
        Column("level_vi"),
        Column("angstrom", says="Ångström's index; below 2 fires are very likely"),
        Column("fires", says="what Ångström's index says of fires"),
        Column("set", says="the table whose rain rule and bounds were used"),
    ),
    reckon,
    ("province", "on"),
)
