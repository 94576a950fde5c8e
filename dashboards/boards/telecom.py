"""Telecom sites and data centre: which sites and servers are down, which run on batteries.

critical | waiting | reporting | slowest feed | sites down | on battery
map                                                        | alarms
a row or two per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.column import Column
from dashboards.palette import ORANGE, RED, any_is
from dashboards.pen import Source
from dashboards.sector import sector_board, sector_pen
from dashboards.vocabulary import kpi
from dashboards.words import Words


def telecom(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-telecom`."""
    pen = sector_pen(words, source, "telecom")
    figures = [
        kpi(pen, "sites_down", [Column("sites", steps=any_is(RED))], 4),
        kpi(pen, "sites_on_battery", [Column("sites", steps=any_is(ORANGE))], 4),
    ]
    return sector_board(pen, "telecom", figures)
