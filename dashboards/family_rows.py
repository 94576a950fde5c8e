"""The rows of a family on its sector's board, drawn from the hints of its native profile: nothing is coded for one."""

from collections.abc import Iterator

from grafana_foundation_sdk.models import dashboard as grafana
from grafana_foundation_sdk.models import units

from dashboards.board import Row, row
from dashboards.column import CLOCK, COUNT, SHARE, TEXT, Column, plain
from dashboards.measured import decimals, limits, steps, unit
from dashboards.palette import SEVERITIES, Shown, too_low
from dashboards.pen import Pen
from dashboards.pieces import Pieces
from dashboards.statements import literal, native, shown, values
from dashboards.vocabulary import rows_of, trend
from devices.family import Family, Metric

# Families of which the whole province has fewer than some 20,000 devices: their newest values can be looked through in
# a moment. Of any other the rollups of districts and the findings are asked.
FEW = frozenset((
    "air_quality", "camera_event", "camera_health", "fire_watch", "noise", "notice_board", "public_address", "rain",
    "security_event", "server", "telecom_site", "traffic_flow", "water_level", "water_quality", "weather",
))  # fmt: skip
HEIGHT = 11  # a line for each district of the larger province


def family_rows(pen: Pen, family: Family) -> Iterator[Row]:
    """A row of the headline: over time, and by district; where states are the point, how many are in which."""
    inked = pen.with_(**places(pen, family))
    gauge, form, few = headline(family), native(family).panel.form, family.name in FEW
    listed = few and form in ("states", "table")
    if listed:
        yield row(8, states(inked, family, 10), troubled(inked, family, 14))
    elif gauge is None:
        yield row(HEIGHT, states(inked, family, 10), by_district(inked, family, None, 14))
    if gauge is None or (listed and form == "table"):
        return
    if told(family) and not few:
        yield row(
            HEIGHT,
            over_time(inked, family, gauge, 8),
            states(inked, family, 7),
            by_district(inked, family, gauge, 9),
        )
    else:
        yield row(HEIGHT, over_time(inked, family, gauge, 12), by_district(inked, family, gauge, 12))


def headline(family: Family) -> Metric | None:
    """The gauge that stands for a family: the first of its panel's that is one, else the family's own headline."""
    named = [family.metrics[family.index[name]] for name in native(family).panel.metrics]
    gauges = [metric for metric in named if metric.kind == "gauge"]
    own = family.metrics[family.index[family.headline]] if family.headline else None
    return gauges[0] if gauges else own


def places(pen: Pen, family: Family) -> dict[str, str]:
    """What stands for the names in braces of a family's statements and words."""
    words, gauge, pieces = pen.words, headline(family), Pieces(pen.fill)
    metric = gauge.name if gauge else family.metrics[0].name
    return {
        "family": family.name,
        "family_label": family.label[words.language],
        "metric": metric,
        "metric_label": gauge.label[words.language] if gauge else "",
        "worst": "max" if family.worse == "high" else "min",
        "at_hand_1h": pieces.piece("at_hand", f"{family.name}.1h"),
        "headline_areas": pieces.piece("areas", f"{family.name}.{metric}_avg"),
        "shown": ", ".join(shown(metric, words) for metric in first_metrics(family)),
        "states": state_values(pen, family),
        "trouble": trouble(family),
    }


def first_metrics(family: Family) -> list[Metric]:
    """What a row of a table says of a device: what the panel names."""
    return [family.metrics[family.index[name]] for name in native(family).panel.metrics[:4]]


def told(family: Family) -> list[Metric]:
    """The states of a family: what the panel names first."""
    named = native(family).panel.metrics
    metrics = [metric for metric in family.metrics if metric.kind == "state"]
    return sorted(metrics, key=lambda metric: named.index(metric.name) if metric.name in named else len(named))


def state_values(pen: Pen, family: Family) -> str:
    """Rows (metric, state, place, label, how the state is written) of everything that a family tells of itself."""
    rows: list[tuple[str | float | None, ...]] = [
        (metric.name, state, place, metric.label[pen.words.language], pen.words.state(state))
        for place, metric in enumerate(told(family))
        for state in metric.states
    ]
    return values(rows) if rows else "(NULL::text, NULL::text, 0, NULL::text, NULL::text)"


def trouble(family: Family) -> str:
    """The condition under which a newest reading l would raise one of the profile's alarms."""
    conditions = []
    for alarm in native(family).alarms:
        if alarm.raise_at is None:
            states = ", ".join(literal(state) for state in sorted(alarm.raise_states))
            conditions.append(f"l.{alarm.metric.name} IN ({states})")
        else:
            conditions.append(f"l.{alarm.metric.name} {alarm.when} {alarm.raise_at:g}")
    return " OR ".join(conditions) or "false"


def over_time(pen: Pen, family: Family, gauge: Metric, w: int) -> grafana.Panel:
    """The headline by district, with the limits of the profile's alarms as lines."""
    column = Column(gauge.name, unit(gauge), decimals(gauge))
    return trend(pen, "family.trend", [column], w, limits(native(family).alarms, gauge.name), finest="1h")


def by_district(pen: Pen, family: Family, gauge: Metric | None, w: int) -> grafana.Panel:
    """A line per district: devices, how many report, and the newest hour."""
    columns = [
        plain("district", width=125, link="dothi-district"),
        Column("devices", width=100),
        Column("share", SHARE, 0, too_low(90, 75), width=95, cell="ink"),
    ]
    if gauge is not None:
        judged = steps(native(family).alarms, gauge.name)
        columns += [
            Column("average", unit(gauge), decimals(gauge), judged, cell="ink"),
            Column("worst", unit(gauge), decimals(gauge), judged, cell="ink"),
        ]
    columns += [Column("age", CLOCK, width=115), plain("area", hidden=True)]
    return rows_of(pen, "family.districts" if gauge is not None else "family.reporting", columns, w)


def states(pen: Pen, family: Family, w: int) -> grafana.Panel:
    """How many devices are in which state; colour where a state would raise an alarm."""
    raising = {
        pen.words.state(state): Shown(pen.words.state(state), SEVERITIES[alarm.severity])
        for alarm in native(family).alarms
        for state in sorted(alarm.raise_states)
    }
    columns = [
        plain("metric", width=170 if w > 8 else 140),
        Column("state", TEXT, shown=raising, cell="ink"),
        Column("devices", COUNT, 0, width=100),
        Column("share", units.Percent, 1, width=85, cell="plain"),
    ]
    return rows_of(pen, "family.states", columns, w)


def troubled(pen: Pen, family: Family, w: int) -> grafana.Panel:
    """Devices whose newest reading would raise an alarm, the newest first."""
    columns = [
        plain("device", width=190, link="dothi-device"),
        plain("district", width=130, link="dothi-district"),
        Column("age", CLOCK, width=115),
        plain("reading"),
        plain("area", hidden=True),
    ]
    return rows_of(pen, "family.troubled", columns, w)
