"""Forest fire: how dangerous is today, what speaks of a fire, where.

critical | waiting | reporting | slowest feed | danger today | signs of fire
map                                                          | alarms
signs of fire, the newest first         | danger today by district
danger over the last 30 days
a row per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.board import row
from dashboards.column import CLOCK, COUNT, Column, plain
from dashboards.palette import ORANGE, QUIET, RED, YELLOW, Steps, any_is
from dashboards.pen import Pen, Source
from dashboards.sector import sector_board, sector_pen
from dashboards.statements import choose
from dashboards.vocabulary import figure, kpi, rows_of, trend
from dashboards.words import Words

DANGER: Steps = ((None, QUIET), (3, YELLOW), (4, ORANGE), (5, RED))  # levels I to V
KINDS = ("smoke", "heat", "camera", "flame", "hotspot", "lasting", "gate")


def fire(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-fire`."""
    pen = fire_pen(words, source)
    figures = [
        figure(pen, "fire_danger", Column("level", COUNT, 0, DANGER), 4),
        kpi(pen, "fire_signs", [Column("signs", steps=any_is(RED))], 4),
    ]
    own = [
        row(10, rows_of(pen, "fire_evidence", EVIDENCE, 11), rows_of(pen, "fire_today", TODAY, 13)),
        row(8, trend(pen, "fire_levels", [Column("level", COUNT, 0)], 24, ((4, ORANGE), (5, RED)), "1h", span="30d")),
    ]
    return sector_board(pen, "fire", figures, own)


EVIDENCE = [
    plain("kind", width=180),
    plain("device", link="dothi-device"),
    plain("district", width=120, link="dothi-district"),
    Column("age", CLOCK, width=95),
    Column("score", units.PercentUnit, 0, width=95),
    plain("area", hidden=True),
]
TODAY = [
    plain("district", width=120, link="dothi-district"),
    Column("level", COUNT, 0, DANGER, width=70, cell="fill"),
    plain("level_name"),
    Column("p", COUNT, 0, width=80),
    Column("fwi", COUNT, 1, width=70),
    Column("temperature", units.Celsius, 1, width=100),
    Column("humidity", units.PercentUnit, 0, width=90),
    Column("rain", "suffix:mm", 1, width=90),
    Column("wind", "suffix:m/s", 1, width=90),
    plain("source", width=150),
    plain("area", hidden=True),
]


def fire_pen(words: Words, source: Source) -> Pen:
    """Kinds of signs have words in the catalogue."""
    kinds = choose("e.kind", {kind: words(f"fire_kind.{kind}") for kind in KINDS})
    return sector_pen(words, source, "fire").with_(kind=kinds)
