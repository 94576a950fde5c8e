"""One device, for whoever brings it on: is it connected, what does it send, what was refused and why.

state | last seen | skew | battery | readings in the hour | refused in the day | findings | alarms
what it is
a trend per metric
states over time
last readings                           | last refusals
clock and delay                         | alarms of the device
findings                                | its history
"""

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.alarms import severities
from dashboards.board import Sight, board, choice, row, typed
from dashboards.column import CLOCK, COUNT, TEXT, Column, plain
from dashboards.measured import unit_written
from dashboards.palette import ORANGE, QUIET, RED, Shown, Steps, any_is, too_low
from dashboards.pen import Pen, Source
from dashboards.pens import BY_AREA, pen_of
from dashboards.statements import choose, native, values
from dashboards.vocabulary import kpi, rows_of, state_timeline, trend
from dashboards.words import Words
from devices.family import FAMILIES

LATE: Steps = ((None, QUIET), (3, ORANGE), (10, RED))  # intervals
SKEW: Steps = ((None, QUIET), (60, ORANGE), (300, RED))  # s
BATTERY = too_low(30, 15)  # %
# Grafana makes series of numbers alone: a state is a number with a word for it.
STATES = sorted({state for family in FAMILIES.values() for metric in family.metrics for state in metric.states})
CODES = {state: code for code, state in enumerate(STATES, 1)}
BANDS = ("#5A6270", "#8A93A0", "#434B55", "#A3ABB6", "#6F7885")
LIFE = ("planned", "enrolled", "active", "maintenance", "retired")


def device(words: Words, source: Source) -> grafana.Dashboard:
    """The board `dothi-device`."""
    pen = device_pen(words, source)
    series = trend(pen, "series", [Column("value", COUNT, 2)], 24, finest="10s")
    series.repeat, series.repeat_direction, series.max_per_row = "metric", "h", 3
    rows = [
        row(
            4,
            kpi(pen, "life", [Column("state", TEXT)], 3),
            kpi(pen, "silence", [Column("intervals", COUNT, 1, LATE)], 3),
            kpi(pen, "skew", [Column("seconds", units.Seconds, 1, SKEW)], 3),
            kpi(pen, "battery", [Column("level", units.Percent, 0, BATTERY)], 3),
            kpi(pen, "sent_hour", [Column("readings")], 3),
            kpi(pen, "refused_day", [Column("messages", steps=any_is(ORANGE))], 3),
            kpi(pen, "device_findings_open", [Column("findings", steps=any_is(ORANGE))], 3),
            kpi(pen, "device_alarms_open", [Column("alarms", steps=any_is(RED))], 3),
        ),
        row(4, rows_of(pen, "identity", IDENTITY, 24)),
        row(9, series),
        row(5, state_timeline(pen, "states", Column("state", shown=coded(words)), 24)),
        row(10, rows_of(pen, "last_readings", READINGS, 12), rows_of(pen, "last_refusals", REFUSALS, 12)),
        row(
            8,
            trend(pen, "delay", [Column("delay", units.Seconds, 1)], 12, ((60, ORANGE),), finest="10s", named=True),
            rows_of(pen, "device_alarms", alarms(pen), 12),
        ),
        row(8, rows_of(pen, "device_findings", FINDINGS, 12), rows_of(pen, "history", HISTORY, 12)),
    ]
    variables = [typed(pen, "find"), one_device(pen), metrics_of_device(pen)]
    return board(pen, "dothi-device", "device", variables, rows, Sight(since="now-6h", refresh="30s"))


IDENTITY = [
    plain("device", width=200),
    plain("name"),
    plain("family", width=190),
    plain("profile"),
    plain("district", width=130, link="dothi-district"),
    Column("interval", CLOCK, width=100),
    Column("last_seq", width=120),
    Column("lat", COUNT, 5, width=100),
    Column("lon", COUNT, 5, width=100),
    plain("area", hidden=True),
]
READINGS = [
    Column("age", CLOCK, width=100),
    Column("delay", units.Seconds, 1, SKEW, width=100, cell="ink"),
    Column("seq", COUNT, 0, width=110),
    plain("reading"),
    plain("rejected", width=170),
]
REFUSALS = [
    Column("age", CLOCK, width=100),
    plain("layer", width=110),
    plain("reason", width=150),
    plain("field", width=120),
    plain("value", width=120),
    plain("detail"),
]
FINDINGS = [
    plain("finding"),
    plain("metric", width=150),
    Column("age", CLOCK, width=110),
    Column("lasted", CLOCK, width=110),
    Column("value", COUNT, 2, width=100),
    Column("expected", COUNT, 2, width=100),
]
HISTORY = [Column("age", CLOCK, width=120), plain("was"), plain("state"), plain("reason")]


def alarms(pen: Pen) -> list[Column]:
    """The table of the device's alarms, those that are over as well."""
    states = {name: Shown(pen.words(f"alarm_state.{name}")) for name in ALARM_STATES}
    return [
        Column("severity", TEXT, width=110, shown=severities(pen), cell="fill"),
        Column("age", CLOCK, width=100),
        plain("message"),
        Column("state", TEXT, width=120, shown=states),
        plain("handling", width=190),
    ]


ALARM_STATES = ("unacknowledged", "acknowledged", "shelved", "maintenance", "cleared")


def one_device(pen: Pen) -> grafana.VariableModel:
    """Devices from the id on that is typed in; the first to begin with."""
    return choice(pen, "device", grafana.VariableOption(selected=True, text="", value=""), several=False)


def metrics_of_device(pen: Pen) -> grafana.VariableModel:
    """What the device sends; all of it to begin with."""
    return choice(pen, "metric", grafana.VariableOption(selected=True, text=["All"], value=["$__all"]))


def device_pen(words: Words, source: Source) -> Pen:
    """Names of families, metrics, states and limits, which the database does not know."""
    labels = {family.name: family.label[words.language] for family in FAMILIES.values()}
    return pen_of(words, source, "device", BY_AREA).with_(
        device_family=choose("d.family", labels),
        device_state=choose("d.state", {name: words(f"life.{name}") for name in LIFE}),
        was_state=choose("h.was", {name: words(f"life.{name}") for name in LIFE}),
        is_state=choose("h.state", {name: words(f"life.{name}") for name in LIFE}),
        profile_title="p.title_vi" if words.language == "vi" else "p.title_en",
        metrics=metrics(words),
        limits=limits(words),
        states=states(words),
        state_codes=values([*CODES.items()]),
    )


def metrics(words: Words) -> str:
    """Rows (family, place, metric, label with its unit) of everything that is a number."""
    return values(
        [
            (family.name, place, metric.name, f"{metric.label[words.language]}{unit_written(metric)}")
            for family in FAMILIES.values()
            for place, metric in enumerate(family.metrics)
            if metric.kind != "state"
        ]
    )


def limits(words: Words) -> str:
    """Rows (family, metric, title, limit) of the alarms of native profiles."""
    return values(
        [
            (family.name, alarm.metric.name, f"▸ {alarm.title[words.language]}", float(alarm.raise_at))
            for family in FAMILIES.values()
            for alarm in native(family).alarms
            if alarm.raise_at is not None
        ]
    )


def coded(words: Words) -> dict[str, Shown]:
    """Codes of states as words, neighbours in different greys."""
    return {str(code): Shown(words.state(state), BANDS[code % len(BANDS)]) for state, code in CODES.items()}


def states(words: Words) -> str:
    """Rows (metric, label) of everything that is a state."""
    found = {
        metric.name: metric.label[words.language]
        for family in FAMILIES.values()
        for metric in family.metrics
        if metric.kind == "state"
    }
    return values(list(found.items()))
