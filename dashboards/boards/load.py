"""For load testers: what comes in, how far behind, whether it balances, what it costs.

readings/s | lag | newest values behind | on their way | held by brokers | dropped | balance
readings per minute by outcome          | readings per second
lag                                     | messages on their way and held
cores by part                           | memory by part
ledger of the hour by inbox             | readings per minute by family
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.board import Sight, board, row
from dashboards.column import COUNT, SHARE, Column, plain
from dashboards.palette import BRIGHT, DIM, ORANGE, RED, Steps, any_is, too_high
from dashboards.pen import Pen, Source
from dashboards.pens import pen_of
from dashboards.statements import choose
from dashboards.vocabulary import kpi, rows_of, trend
from dashboards.words import Words
from devices.family import FAMILIES

PER_SECOND = "suffix:/s"
UNBALANCED: Steps = any_is(RED)
BEHIND = too_high(10, 60)  # s


def load(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-load`."""
    pen = load_pen(words, source)
    rows = [
        row(
            4,
            kpi(pen, "rate_now", [Column("rate", PER_SECOND, 0)], 4),
            kpi(pen, "lag_now", [Column("lag", units.Seconds, 1, BEHIND)], 4),
            kpi(pen, "behind_now", [Column("behind", units.Seconds, 1, BEHIND)], 4),
            kpi(pen, "in_flight_now", [Column("messages")], 3),
            kpi(pen, "held_now", [Column("messages", COUNT, 0, too_high(100_000, 1_000_000))], 3),
            kpi(pen, "dropped_now", [Column("messages", steps=any_is(RED))], 3),
            kpi(pen, "balance", [Column("difference", COUNT, 0, UNBALANCED)], 3),
        ),
        row(
            9,
            trend(pen, "settled", SETTLED, 12),
            trend(pen, "rates", [Column("rate", PER_SECOND, 0)], 12, finest="15s", named=True),
        ),
        row(
            9,
            trend(pen, "lags", LAGS, 12, ((60, RED),), finest="15s"),
            trend(pen, "waiting_messages", WAITING, 12, finest="15s"),
        ),
        row(
            9,
            trend(pen, "cores", [Column("cores", COUNT, 2)], 12, finest="15s"),
            trend(pen, "memory", [Column("memory", units.BytesIEC, 1)], 12, finest="15s"),
        ),
        row(11, rows_of(pen, "ledger_hour", LEDGER, 14), rows_of(pen, "family_rates", RATES, 10)),
    ]
    return board(pen, "dothi-load", "load", [], rows, Sight(since="now-1h", refresh="10s"))


SETTLED = [Column("stored", color=BRIGHT), Column("duplicate", color=DIM), Column("quarantined", color=ORANGE)]
LAGS = [Column("lag", units.Seconds, 1), Column("behind", units.Seconds, 1)]
WAITING = [Column("in_flight"), Column("held")]
LEDGER = [
    plain("inbox"),
    Column("received"),
    Column("stored"),
    Column("duplicate"),
    Column("quarantined"),
    Column("partial"),
    Column("difference", COUNT, 0, UNBALANCED, cell="ink"),
    Column("share", SHARE, 2, too_high(1, 5), cell="ink"),
]
RATES = [plain("family"), Column("per_minute", COUNT, 0), Column("per_second", PER_SECOND, 1)]


def load_pen(words: Words, source: Source) -> Pen:
    """No variable: the stream is one for all."""
    labels = {family.name: family.label[words.language] for family in FAMILIES.values()}
    return pen_of(words, source, "load", "true").with_(family_name=choose("r.family", labels))
