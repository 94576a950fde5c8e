"""Public address and notice boards: can the communes be spoken to.

critical | waiting | reporting | slowest feed | clusters faulty | playing now
map                                                             | alarms
a row or two per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.column import Column
from dashboards.palette import ORANGE, any_is
from dashboards.pen import Source
from dashboards.sector import sector_board, sector_pen
from dashboards.vocabulary import kpi
from dashboards.words import Words


def public_address(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-public-address`."""
    pen = sector_pen(words, source, "public_address")
    figures = [
        kpi(pen, "clusters_faulty", [Column("clusters", steps=any_is(ORANGE))], 4),
        kpi(pen, "clusters_playing", [Column("clusters")], 4),
    ]
    return sector_board(pen, "public_address", figures)
