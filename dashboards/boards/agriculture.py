"""Agriculture: do fields, greenhouses and ponds have what they need.

critical | waiting | reporting | slowest feed | least oxygen | driest soil
map                                                          | alarms
a row per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.column import Column
from dashboards.palette import too_low
from dashboards.pen import Source
from dashboards.sector import sector_board, sector_pen
from dashboards.vocabulary import figure
from dashboards.words import Words


def agriculture(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-agriculture`."""
    pen = sector_pen(words, source, "agriculture")
    figures = [
        figure(pen, "least_oxygen", Column("oxygen", "suffix:mg/L", 1, too_low(4, 3)), 4),
        figure(pen, "driest_soil", Column("moisture", units.PercentUnit, 0, too_low(0.2, 0.15)), 4),
    ]
    return sector_board(pen, "agriculture", figures)
