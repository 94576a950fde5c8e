"""Rivers and rain: how high, against which alarm level, rising how fast.

critical | waiting | reporting | slowest feed | highest river | gauges above an alarm level
map                                                           | alarms
gauges: level, alarm levels, rise, hours to the next level
water level of the gauges over time     | rain of the last day by district
a row per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.board import row
from dashboards.column import CLOCK, COUNT, Column, plain
from dashboards.palette import ORANGE, QUIET, RED, YELLOW, Shown, Steps, any_is
from dashboards.pen import Pen, Source
from dashboards.sector import sector_board, sector_pen
from dashboards.vocabulary import figure, kpi, rows_of, trend
from dashboards.words import Words

METRES = "suffix:m"
MILLIMETRES = "suffix:mm"
RIVER: Steps = ((None, QUIET), (1, YELLOW), (2, ORANGE), (3, RED))  # above alarm level I, II, III
RAIN: Steps = ((None, QUIET), (50, ORANGE), (100, RED))  # heavy and very heavy in 24 hours, mm


def rivers(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-rivers`."""
    pen = sector_pen(words, source, "rivers")
    figures = [
        figure(pen, "highest_river", Column("level", COUNT, 0, RIVER), 4),
        kpi(pen, "rivers_above", [Column("gauges", steps=any_is(ORANGE))], 4),
    ]
    own = [
        row(10, rows_of(pen, "gauges", gauges(pen), 24)),
        row(
            9,
            trend(pen, "gauge_levels", [Column("water_level", METRES, 2)], 14, finest="1h"),
            rows_of(pen, "rain_day", RAIN_DAY, 10),
        ),
    ]
    return sector_board(pen, "rivers", figures, own)


def gauges(pen: Pen) -> list[Column]:
    """The table of gauges."""
    classes = {str(n): Shown(pen.words(f"river.{n}"), color) for n, (_, color) in enumerate(RIVER)}
    classes["0"] = Shown(pen.words("river.0"))
    return [
        plain("station", width=230, link="dothi-device"),
        plain("river", width=130),
        plain("district", width=140, link="dothi-district"),
        Column("class", COUNT, 0, RIVER, width=170, cell="fill", shown=classes),
        Column("water_level", METRES, 2),
        Column("level_1_m", METRES, 2),
        Column("level_2_m", METRES, 2),
        Column("level_3_m", METRES, 2),
        Column("rise", "suffix:m/h", 2),
        Column("hours_to_next", units.Hours, 1, ((None, QUIET), (0, RED), (3, ORANGE), (6, QUIET)), cell="ink"),
        Column("age", CLOCK),
        plain("device", hidden=True),
        plain("area", hidden=True),
    ]


RAIN_DAY = [
    plain("district", link="dothi-district"),
    Column("highest", MILLIMETRES, 1, RAIN, cell="ink"),
    Column("middle", MILLIMETRES, 1),
    Column("stations"),
    plain("area", hidden=True),
]
