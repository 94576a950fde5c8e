"""Environment and air: how bad is the air, where, since when, and what people are to be told.

critical | waiting | reporting | slowest feed | worst VN_AQI | stations above 100
map                                                          | alarms
VN_AQI by district now, with the advice
VN_AQI by district over time            | stations now, the worst first
a row per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.board import row
from dashboards.column import COUNT, Column, plain
from dashboards.palette import ORANGE, QUIET, RED, Steps, any_is
from dashboards.pen import Source
from dashboards.sector import sector_board, sector_pen
from dashboards.vocabulary import figure, kpi, rows_of, trend
from dashboards.words import Words

# Bands of VN_AQI (Decision 1459/QĐ-TCMT); good and moderate air is in order.
AQI: Steps = ((None, QUIET), (101, ORANGE), (151, RED), (201, "#8F3F97"), (301, "#7E0023"))
LIMITS: Steps = ((100, ORANGE), (150, RED))


def air(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-air`."""
    pen = sector_pen(words, source, "air")
    figures = [
        figure(pen, "worst_air", Column("vn_aqi", COUNT, 0, AQI), 4),
        kpi(pen, "air_above", [Column("stations", steps=any_is(ORANGE))], 4),
    ]
    own = [
        row(9, rows_of(pen, "air_now", NOW, 24)),
        row(
            9,
            trend(pen, "air_trend", [Column("vn_aqi", COUNT, 0)], 12, LIMITS, finest="1h"),
            rows_of(pen, "air_stations", STATIONS, 12),
        ),
    ]
    return sector_board(pen, "air", figures, own)


NOW = [
    plain("district", width=140, link="dothi-district"),
    Column("vn_aqi", COUNT, 0, AQI, width=120, cell="fill"),
    plain("band", width=110),
    plain("dominant", width=140),
    Column("us_aqi", COUNT, 0, width=110),
    Column("stations", width=90),
    plain("advice"),
    plain("device", width=200, link="dothi-device"),
    plain("area", hidden=True),
]
STATIONS = [
    plain("device", width=220, link="dothi-device"),
    plain("district", width=140, link="dothi-district"),
    Column("vn_aqi", COUNT, 0, AQI, width=120, cell="fill"),
    Column("pm25", units.MicrogramPerCubicMeter, 1),
    Column("pm10", units.MicrogramPerCubicMeter, 1),
    Column("complete", units.PercentUnit, 0),
    plain("area", hidden=True),
]
