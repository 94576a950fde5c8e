"""One district (or several): what is wrong here, in which sector, with which devices.

critical | waiting | reporting | slowest feed | signs of trouble | devices per 100 people
map                                                              | alarms
sectors                                 | families: who is on time, late, silent
alarms raised                           | fine dust
findings
devices from an id on
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.alarms import alarm_table, alarms_raised, critical, waiting
from dashboards.board import Sight, area, board, row, typed
from dashboards.column import CLOCK, COUNT, SHARE, Column, plain
from dashboards.maps import grid_map
from dashboards.palette import ORANGE, QUIET, Steps, any_is, too_low
from dashboards.pen import Pen, Source
from dashboards.pens import BY_AREA, FIRST_AREA, pen_of
from dashboards.sector import findings, findings_open, reporting, worst_age
from dashboards.statements import choose, literal
from dashboards.vocabulary import figure, rows_of, trend
from dashboards.words import Words
from devices.family import FAMILIES

BEHIND: Steps = any_is(ORANGE)
VN_AQI_100 = 50.0  # µg/m³ of PM2.5, Decision 1459/QĐ-TCMT


def district(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-district`."""
    pen = district_pen(words, source)
    rows = [
        row(
            4,
            critical(pen, 4),
            waiting(pen, 4),
            reporting(pen, 4),
            worst_age(pen, 4),
            findings_open(pen, 4),
            figure(pen, "density", Column("density", COUNT, 2), 4),
        ),
        row(13, grid_map(pen, "map", 14), alarm_table(pen, 10)),
        row(13, rows_of(pen, "sectors", SECTORS, 10), rows_of(pen, "families", FEEDS, 14)),
        row(
            8,
            alarms_raised(pen, 12),
            trend(
                pen,
                "district_dust",
                [Column("pm25", units.MicrogramPerCubicMeter, 1)],
                12,
                ((VN_AQI_100, ORANGE),),
                finest="1h",
            ),
        ),
        row(9, findings(pen, 24)),
        row(10, rows_of(pen, "devices", DEVICES, 24)),
    ]
    variables = [area(pen, FIRST_AREA), typed(pen, "find")]
    return board(pen, "dothi-district", "district", variables, rows, Sight(alarms_drawn=True))


SECTORS = [
    plain("sector"),
    Column("devices", width=110),
    Column("share", SHARE, 1, too_low(90, 75), width=110, cell="ink"),
    Column("complete", SHARE, 1, too_low(90, 75), width=120, cell="ink"),
]
FEEDS = [
    plain("family"),
    Column("devices", width=100),
    Column("reporting", width=100),
    Column("late", steps=BEHIND, width=90, cell="ink"),
    Column("silent", steps=BEHIND, width=90, cell="ink"),
    Column("never", steps=((None, QUIET),), width=130),
    Column("age", CLOCK, width=100),
]
DEVICES = [
    plain("device", link="dothi-device"),
    plain("name", link="dothi-device"),
    plain("family", width=190),
    plain("profile", width=220),
    plain("state", width=120),
    Column("age", CLOCK, width=120),
]


def district_pen(words: Words, source: Source) -> Pen:
    """Families and states have words of their own."""
    labels = {family.name: family.label[words.language] for family in FAMILIES.values()}
    states = {name: words(f"life.{name}") for name in ("planned", "enrolled", "active", "maintenance", "retired")}
    return pen_of(words, source, "district", BY_AREA).with_(
        family_name=choose("c.family", labels),
        device_family=choose("d.family", labels),
        device_state=choose("d.state", states),
        sector_name="s.name_vi" if words.language == "vi" else "s.name_en",
        plan=literal(words("density.plan") + " "),
    )
