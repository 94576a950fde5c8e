"""`river`: where water levels stand among the alarm levels of their stations."""

from datetime import UTC, datetime

import numpy as np

from analytics.indices.river import next_level, reached
from analytics.indices.stations import Places, heights
from dothi.computing.kind import Column, Columns, Kind, Options, Result, results_from
from dothi.output import LOCAL

CLASSES = (
    ("below I", "dưới BĐ I"),
    ("above I", "trên BĐ I"),
    ("above II", "trên BĐ II"),
    ("above III", "trên BĐ III"),
    ("unknown", "không rõ"),
)
UNKNOWN = 4


def reckon(columns: Columns, options: Options) -> list[Result]:
    """One result per row."""
    places = Places(options.province or "bac-giang", options.on or datetime.now(UTC).astimezone(LOCAL).date())
    level = columns["level_m"]
    found = [places.station(name) for name in columns["station"].tolist()]
    if unknown := [name for name, one in zip(columns["station"].tolist(), found, strict=True) if one is None]:
        known = ", ".join(one.station for one in places.levels.held.stations)
        raise ValueError(f"station {unknown[0]!r} is not in the table {places.levels.set}; there are {known}")
    bounds = np.array([heights(one.levels_m) for one in found if one]).reshape(-1, 3)
    alarm = reached(level, bounds)
    # 26 m at a station of which level III alone is known, 27 m: nobody can say. Nor of a reading that is missing.
    unsure = (np.isnan(bounds[:, 0]) & (alarm == 0)) | (alarm < 0)
    words = [CLASSES[number] for number in np.where(unsure, UNKNOWN, alarm).tolist()]
    told = [None if dark else number for number, dark in zip(alarm.tolist(), unsure.tolist(), strict=True)]
    at = np.where(alarm > 0, alarm - 1, np.maximum(next_level(level, bounds) - 1, 0))
    reference = np.take_along_axis(bounds, at[:, None], axis=1)[:, 0]
    return results_from(
        {
            "station": [one.station for one in found if one],
            "level_m": level,
            "alarm_level": told,
            "class": [en for en, _ in words],
            "class_vi": [vi for _, vi in words],
            "reference": np.array(["I", "II", "III"])[at],
            "offset_m": np.round(level - reference, 6),
            "set": [places.levels.set] * len(level),
        }
    )


KIND = Kind(
    "river",
    "alarm level (báo động) of a river station, one row a reading",
    (
        Column("station", says="name of the station, with or without accents", kind="text"),
        Column("level_m", "m", "above the zero of the station's gauge", low=-100, high=1000, gaps=True),
    ),
    (
        Column("station"),
        Column("level_m", "m"),
        Column("alarm_level", says="0 below I, 1 to 3: at or above I, II, III"),
        Column("class", says="below I, above I, above II, above III (at a level is above it); unknown without a level"),
        Column("class_vi"),
        Column("reference", says="the level reached, or the next one where none is"),
        Column("offset_m", "m", "above (+) or below (-) that level"),
        Column("set", says="the table that was used"),
    ),
    reckon,
    ("province", "on"),
)
