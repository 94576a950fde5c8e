"""Energy and water: how much is used, where it leaks, which lamps are dark.

critical | waiting | reporting | slowest feed | power now | water now
map                                                       | alarms
energy used by district                 | water used by district
a row per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.board import row
from dashboards.column import Column
from dashboards.pen import Source
from dashboards.sector import sector_board, sector_pen
from dashboards.vocabulary import kpi, trend
from dashboards.words import Words

KILOWATTS, KILOWATT_HOURS = "suffix:kW", "suffix:kWh"
WATER_FLOW, WATER = "suffix:m³/h", "suffix:m³"


def energy_water(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-energy-water`."""
    pen = sector_pen(words, source, "energy_water")
    figures = [
        kpi(pen, "power_now", [Column("power", KILOWATTS, 1)], 4),
        kpi(pen, "water_now", [Column("flow", WATER_FLOW, 1)], 4),
    ]
    own = [
        row(
            9,
            trend(pen, "energy_used", [Column("energy", KILOWATT_HOURS, 1)], 12, finest="1h", bars=True),
            trend(pen, "water_used", [Column("water", WATER, 1)], 12, finest="1h", bars=True),
        )
    ]
    return sector_board(pen, "energy_water", figures, own)
