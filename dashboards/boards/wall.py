"""The province wall: is anything wrong, where, and who sees to it.

critical | waiting | reporting | slowest feed | worst air | highest river | fire danger | devices per 100 people
data age by sector, in intervals
map                                                                | alarms
fine dust                          | alarms raised                 | readings per minute
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.alarms import alarm_table, alarms_raised, critical, waiting
from dashboards.board import Sight, board, province, row
from dashboards.column import COUNT, Column
from dashboards.maps import grid_map
from dashboards.palette import BRIGHT, DIM, ORANGE, QUIET, RED, YELLOW, Steps, too_high
from dashboards.pen import Pen, Source
from dashboards.pens import BY_PROVINCE, LARGEST, pen_of
from dashboards.sector import LATE, STOPPED, reporting, worst_age
from dashboards.statements import interval_s, literal, values
from dashboards.vocabulary import figure, kpi, trend
from dashboards.words import Words
from devices.family import FAMILIES
from devices.sector import OTHER, SECTORS, sector_of

VN_AQI_100 = 50.0  # µg/m³ of PM2.5, Decision 1459/QĐ-TCMT
AQI: Steps = ((None, QUIET), (101, ORANGE), (151, RED), (201, "#8F3F97"), (301, "#7E0023"))
RIVER: Steps = ((None, QUIET), (1, YELLOW), (2, ORANGE), (3, RED))  # alarm levels I to III
DANGER: Steps = ((None, QUIET), (3, YELLOW), (4, ORANGE), (5, RED))  # fire danger I to V


def wall(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-wall`."""
    pen = wall_pen(words, source)
    rows = [
        row(
            4,
            critical(pen, 3),
            waiting(pen, 3),
            reporting(pen, 3),
            worst_age(pen, 3),
            figure(pen, "worst_air", Column("vn_aqi", COUNT, 0, AQI), 3),
            figure(pen, "highest_river", Column("level", COUNT, 0, RIVER), 3),
            figure(pen, "fire_danger", Column("level", COUNT, 0, DANGER), 3),
            figure(pen, "density", Column("density", COUNT, 2), 3),
        ),
        row(3, kpi(pen, "ages", ages(words), 24)),
        row(13, grid_map(pen, "map", 16), alarm_table(pen, 8)),
        row(
            8,
            trend(pen, "fine_dust", FINE_DUST, 8, ((VN_AQI_100, ORANGE),), finest="1h"),
            alarms_raised(pen, 8),
            trend(pen, "settled", SETTLED, 8),
        ),
    ]
    return board(pen, "dothi-wall", "wall", [province(pen, LARGEST)], rows, Sight(refresh="30s"))


FINE_DUST = [
    Column("highest", units.MicrogramPerCubicMeter, 1, color=BRIGHT),
    Column("middle", units.MicrogramPerCubicMeter, 1, color=DIM),
]
SETTLED = [Column("stored", color=BRIGHT), Column("duplicate", color=DIM), Column("quarantined", color=ORANGE)]


def sectors() -> dict[str, list[str]]:
    """Sector → its families, in the order of the plan; what no sector counts comes last."""
    names = [*(sector.name for sector in SECTORS), OTHER]
    found = {name: [family for family in FAMILIES if sector_of(family) == name] for name in names}
    return {name: families for name, families in found.items() if families}


def ages(words: Words) -> list[Column]:
    """How far behind the slowest feed of each sector is."""
    labels = {sector.name: sector.label[words.language] for sector in SECTORS}
    return [
        Column(name, COUNT, 1, too_high(LATE, STOPPED), title=labels.get(name) or words("sector.other"))
        for name in sectors()
    ]


def wall_pen(words: Words, source: Source) -> Pen:
    """Ages by sector are a column each."""
    feeds = values(
        [(family, name, interval_s(FAMILIES[family])) for name, families in sectors().items() for family in families]
    )
    by_sector = ",\n       ".join(f"max(intervals) FILTER (WHERE sector = '{name}') AS {name}" for name in sectors())
    places = {
        "sector_feeds": feeds,
        "by_sector": by_sector,
        "plan": literal(words("density.plan") + " "),
    }
    return pen_of(words, source, "wall", BY_PROVINCE).with_(**places)
