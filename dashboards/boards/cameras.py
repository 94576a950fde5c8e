"""Cameras: which do not see, and what the others saw.

critical | waiting | reporting | slowest feed | cameras not seeing | offences today
map                                                                | alarms
what cameras saw today by kind          | what they saw last
a row or two per family
findings
"""

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.board import row
from dashboards.column import CLOCK, Column, plain
from dashboards.palette import ORANGE, any_is
from dashboards.pen import Pen, Source
from dashboards.sector import sector_board, sector_pen
from dashboards.statements import choose, shown
from dashboards.vocabulary import kpi, rows_of, top
from dashboards.words import Words
from devices.family import FAMILIES

SEEN = ("event_kind", "violation", "object_class", "object_speed", "confidence")


def cameras(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-cameras`."""
    pen = cameras_pen(words, source)
    figures = [
        kpi(pen, "cameras_blind", [Column("cameras", steps=any_is(ORANGE))], 4),
        kpi(pen, "offences_today", [Column("offences")], 4),
    ]
    own = [row(10, top(pen, "seen_kinds", Column("cameras"), 9), rows_of(pen, "seen_last", LAST, 15))]
    return sector_board(pen, "cameras", figures, own)


LAST = [
    plain("device", width=200, link="dothi-device"),
    plain("district", width=130, link="dothi-district"),
    Column("age", CLOCK, width=95),
    plain("reading"),
    plain("area", hidden=True),
]


def cameras_pen(words: Words, source: Source) -> Pen:
    """What cameras see has words in the catalogue."""
    family = FAMILIES["camera_event"]
    metrics = [family.metrics[family.index[name]] for name in SEEN]
    kinds = choose("l.event_kind", {state: words.state(state) for state in metrics[0].states})
    return sector_pen(words, source, "cameras").with_(
        kind=kinds, seen=", ".join(shown(metric, words) for metric in metrics)
    )
