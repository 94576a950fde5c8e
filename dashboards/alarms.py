"""What every board says of alarms: how many, which, and how they are answered."""

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.column import CLOCK, TEXT, Column, plain
from dashboards.palette import ORANGE, RED, SEVERITIES, Shown, any_is
from dashboards.pen import Pen
from dashboards.vocabulary import kpi, rows_of, trend


def severities(pen: Pen) -> dict[str, Shown]:
    """Severities in words and colour."""
    return {name: Shown(pen.words(f"severity.{name}"), color) for name, color in SEVERITIES.items()}


def critical(pen: Pen, w: int) -> grafana.Panel:
    """Critical alarms that nobody has cleared."""
    return kpi(pen, "alarms_critical", [Column("critical", steps=any_is(RED))], w)


def waiting(pen: Pen, w: int) -> grafana.Panel:
    """Alarms that nobody has acknowledged for more than five minutes."""
    return kpi(pen, "alarms_waiting", [Column("waiting", steps=any_is(ORANGE))], w)


def alarm_table(pen: Pen, w: int) -> grafana.Panel:
    """Active alarms, the worst unanswered first: severity in words and colour, age, how to acknowledge."""
    narrow = w < 10
    columns = [
        Column("severity", TEXT, width=116, shown=severities(pen), cell="fill"),
        Column("age", CLOCK, width=80),
        plain("message", link="dothi-device"),
        # On a narrow one the message has the room: it names the device, and the map the district.
        Column("district", TEXT, width=115, link="dothi-district", hidden=narrow),
        plain("handling", width=84),
        Column("occurrences", width=70, hidden=w < 12),
        plain("device", hidden=True),
        plain("area", hidden=True),
    ]
    return rows_of(pen, "alarms", columns, w)


def alarms_raised(pen: Pen, w: int) -> grafana.Panel:
    """Alarms raised per hour, stacked by severity in its colour."""
    columns = [
        Column(pen.words(f"severity.{name}"), title=pen.words(f"severity.{name}"), color=color)
        for name, color in SEVERITIES.items()
    ]
    return trend(pen, "alarms_raised", columns, w, finest="1h", bars=True)
