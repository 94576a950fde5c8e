"""The frame of a sector's board: what is wrong, where, which alarms; then what is special; then its families.

critical | waiting | reporting | slowest feed | two figures of the sector
map                                              | alarms
rows of the sector's own
a row or two per family
findings
"""

from collections.abc import Sequence

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.alarms import alarm_table, critical, waiting
from dashboards.board import Row, Sight, area, board, province, row
from dashboards.claims import families_of
from dashboards.column import CLOCK, COUNT, SHARE, Column, plain
from dashboards.family_rows import family_rows
from dashboards.maps import grid_map
from dashboards.palette import ORANGE, any_is, too_high, too_low
from dashboards.pen import Pen, Source
from dashboards.pens import BY_AREA, LARGEST, pen_of
from dashboards.vocabulary import figure, kpi, rows_of
from dashboards.words import Words

LATE, STOPPED = 3, 10  # intervals without a reading


def sector_pen(words: Words, source: Source, name: str) -> Pen:
    """The pen of a sector's board."""
    return pen_of(words, source, name, BY_AREA, families_of(name)).with_(choosable="province IN ($province)")


def sector_board(pen: Pen, name: str, figures: Sequence[grafana.Panel], own: Sequence[Row] = ()) -> grafana.Dashboard:
    """The board `dothi-<name>`; `figures` fill what the first row has left, `own` are its own rows."""
    first = [critical(pen, 4), waiting(pen, 4), reporting(pen, 4), worst_age(pen, 4), *figures]
    families = [line for family in families_of(name) for line in family_rows(pen, family)]
    rows = [
        row(4, *first),
        row(13, grid_map(pen, "map", 14), alarm_table(pen, 10)),
        *own,
        *families,
        row(9, findings(pen, 24)),
    ]
    stem = f"dothi-{name.replace('_', '-')}"
    return board(pen, stem, name, [province(pen, LARGEST), area(pen)], rows, Sight(alarms_drawn=True))


def reporting(pen: Pen, w: int) -> grafana.Panel:
    """The share of devices that reported in time, and of how many."""
    return figure(pen, "reporting", Column("share", SHARE, 0, too_low(90, 75)), w)


def worst_age(pen: Pen, w: int) -> grafana.Panel:
    """The feed that is furthest behind, in its own intervals."""
    return figure(pen, "worst_age", Column("intervals", COUNT, 1, too_high(LATE, STOPPED)), w)


def findings_open(pen: Pen, w: int) -> grafana.Panel:
    """How much detectors have found that is not over."""
    return kpi(pen, "findings_open", [Column("findings", steps=any_is(ORANGE))], w)


def findings(pen: Pen, w: int) -> grafana.Panel:
    """What detectors have found and is not over, the newest first."""
    columns = [
        plain("finding", link="dothi-device"),
        Column("age", CLOCK, width=110),
        plain("device", width=220, link="dothi-device"),
        plain("district", width=150, link="dothi-district"),
        plain("metric", width=190),
        Column("value", COUNT, 2, width=120),
        Column("expected", COUNT, 2, width=120),
        plain("area", hidden=True),
    ]
    return rows_of(pen, "findings", columns, w)
