"""Health, education, industry: who calls for help, which rooms need air, which machines shake.

critical | waiting | reporting | slowest feed | worst room air | strongest vibration
map                                                            | alarms
a row per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.column import Column
from dashboards.palette import too_high
from dashboards.pen import Source
from dashboards.sector import sector_board, sector_pen
from dashboards.vocabulary import figure
from dashboards.words import Words


def people(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-people`."""
    pen = sector_pen(words, source, "people")
    figures = [
        figure(pen, "room_air", Column("co2", "suffix:ppm", 0, too_high(1000, 1500)), 4),
        figure(pen, "vibration", Column("velocity", "suffix:mm/s", 1, too_high(4.5, 11.2)), 4),
    ]
    return sector_board(pen, "people", figures)
