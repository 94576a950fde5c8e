"""The platform itself: do all its parts run, how full is the disk, what is refused.

workers | lag | disk days left | disk free | database | connections | quarantined | inboxes without a worker
workers                                 | feeds, the slowest first
cores by part                           | memory by part
disk free                               | quarantined by reason
tables: chunks and bytes                | last events
the database
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.alarms import severities
from dashboards.board import Sight, board, row
from dashboards.column import CLOCK, COUNT, SHARE, TEXT, Column, plain
from dashboards.palette import ORANGE, QUIET, RED, Steps, any_is, too_high, too_low
from dashboards.pen import Pen, Source
from dashboards.pens import pen_of
from dashboards.sector import LATE, STOPPED
from dashboards.vocabulary import kpi, rows_of, trend
from dashboards.words import Words

FEW_WORKERS: Steps = ((None, QUIET), (0, RED), (1, QUIET))
DAYS = too_low(7, 3)
FREE = too_low(10, 5)  # % of the disk
BEHIND = too_high(10, 60)  # s


def platform(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-platform`."""
    pen = pen_of(words, source, "platform", "true")
    rows = [
        row(
            4,
            kpi(pen, "workers_now", [Column("workers", steps=FEW_WORKERS)], 3),
            kpi(pen, "lag_now", [Column("lag", units.Seconds, 1, BEHIND)], 3),
            kpi(pen, "disk_days", [Column("days", COUNT, 1, DAYS)], 3),
            kpi(pen, "disk_free", [Column("share", SHARE, 0, FREE)], 3),
            kpi(pen, "database_size", [Column("bytes", units.BytesIEC, 1)], 3),
            kpi(pen, "connections", [Column("share", SHARE, 0, too_high(70, 90))], 3),
            kpi(pen, "quarantined", [Column("share", SHARE, 2, too_high(1, 5))], 3),
            kpi(pen, "inboxes_alone", [Column("inboxes", steps=any_is(RED))], 3),
        ),
        row(9, rows_of(pen, "workers", WORKERS, 10), rows_of(pen, "feeds", feeds(), 14)),
        row(
            9,
            trend(pen, "cores", [Column("cores", COUNT, 2)], 12, finest="15s"),
            trend(pen, "memory", [Column("memory", units.BytesIEC, 1)], 12, finest="15s"),
        ),
        row(
            9,
            trend(pen, "disk_over_time", [Column("free", units.BytesIEC, 1)], 12, named=True),
            rows_of(pen, "quarantine_reasons", REASONS, 12),
        ),
        row(11, rows_of(pen, "tables", TABLES, 10), rows_of(pen, "events", events(pen), 14)),
        row(5, rows_of(pen, "database", DATABASE, 24)),
    ]
    return board(pen, "dothi-platform", "platform", [], rows, Sight(since="now-6h", refresh="30s"))


WORKERS = [
    Column("worker"),
    Column("inboxes"),
    Column("rate", "suffix:/s", 0),
    Column("in_flight"),
    Column("lag", units.Seconds, 1, BEHIND, cell="ink"),
    Column("age", CLOCK, steps=too_high(5, 30), cell="ink"),
]
REASONS = [
    plain("reason", width=170),
    plain("layer", width=130),
    Column("messages", width=110),
    Column("devices", width=110),
    Column("age", CLOCK, width=110),
    plain("example"),
]
TABLES = [
    plain("table"),
    Column("chunks", width=100),
    Column("size", units.BytesIEC, 1, width=120),
    Column("days", COUNT, 0, width=120),
]
DATABASE = [
    Column("connections"),
    Column("most_connections"),
    Column("active"),
    Column("longest", units.Seconds, 1, too_high(60, 600), cell="ink"),
    Column("waiting_locks", steps=any_is(ORANGE), cell="ink"),
    Column("hits", SHARE, 1),
    Column("deadlocks"),
    Column("temporary", units.BytesIEC, 1),
    Column("running", CLOCK),
]


def feeds() -> list[Column]:
    """A row per family: how far behind it is, and how much comes."""
    return [
        plain("family"),
        Column("age", CLOCK, width=120),
        Column("intervals", COUNT, 1, too_high(LATE, STOPPED), width=120, cell="ink"),
        Column("per_minute", COUNT, 0, width=150),
        Column("devices", width=110),
        Column("share", SHARE, 1, width=110),
    ]


def events(pen: Pen) -> list[Column]:
    """What the platform had to say of itself."""
    return [
        Column("age", CLOCK, width=110),
        Column("severity", TEXT, width=120, shown=severities(pen), cell="ink"),
        plain("kind", width=160),
        plain("message"),
    ]
