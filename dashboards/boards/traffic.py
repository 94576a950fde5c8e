"""Traffic: where it is slow, how much is on the roads, what cameras saw.

critical | waiting | reporting | slowest feed | queues | congested roads
map                                                    | alarms
roads now, the slowest first           | violations of the day by kind
vehicles per hour over time            | level of service of the busiest roads
a row per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.board import row
from dashboards.column import TEXT, Column, plain
from dashboards.palette import ORANGE, QUIET, RED, YELLOW, Shown, Steps, any_is
from dashboards.pen import Pen, Source
from dashboards.sector import sector_board, sector_pen
from dashboards.statements import choose
from dashboards.vocabulary import kpi, rows_of, state_timeline, top, trend
from dashboards.words import Words
from devices.family import FAMILIES

VEHICLES, UNITS = "suffix:veh/h", "suffix:PCU/h"
SLOW: Steps = ((None, QUIET), (1.5, YELLOW), (2, ORANGE), (3, RED))  # times the free travel time
SERVICE = {"A": None, "B": None, "C": None, "D": YELLOW, "E": ORANGE, "F": RED}


def traffic(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-traffic`."""
    pen = traffic_pen(words, source)
    figures = [
        kpi(pen, "queues", [Column("queues", steps=any_is(RED))], 4),
        kpi(pen, "congested", [Column("roads", steps=any_is(ORANGE))], 4),
    ]
    own = [
        row(10, rows_of(pen, "roads", ROADS, 15), top(pen, "violations", Column("offences"), 9)),
        row(
            9,
            trend(pen, "flow", [Column("flow", VEHICLES, 0)], 12, finest="1h"),
            state_timeline(pen, "service", Column("service", shown=SERVED), 12),
        ),
    ]
    return sector_board(pen, "traffic", figures, own)


SERVED = {str(n): Shown(letter, color or "#5A6270") for n, (letter, color) in enumerate(SERVICE.items(), 1)}
ROADS = [
    plain("road", link="dothi-device"),
    plain("district", width=140, link="dothi-district"),
    Column("service", TEXT, width=70, shown={k: Shown(k, c) for k, c in SERVICE.items()}, cell="ink"),
    Column("index", "suffix:×", 2, SLOW, width=100, cell="ink"),
    Column("speed", units.KilometersPerHour, 0, width=110),
    Column("flow", VEHICLES, 0, width=130),
    Column("density", "suffix:PCU/km", 0, width=130),
    plain("device", hidden=True),
    plain("area", hidden=True),
]


def traffic_pen(words: Words, source: Source) -> Pen:
    """Violations have words in the catalogue."""
    family = FAMILIES["camera_event"]
    names = {state: words.state(state) for state in family.metrics[family.index["violation"]].states} | {
        "unknown": words.state("unknown")
    }
    return sector_pen(words, source, "traffic").with_(violation=choose("v.violation", names))
