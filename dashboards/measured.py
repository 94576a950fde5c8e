"""How a metric is written on a board: unit and decimals from its family, colours from the alarms of its profile."""

from grafana_foundation_sdk.models import units

from dashboards.palette import QUIET, SEVERITIES, Steps
from devices.alarm import Alarm
from devices.family import Metric
from devices.units import WRITTEN

# Units that Grafana writes as they are; those that it would scale (1200 m as 1.2 km) are a suffix instead.
KNOWN = {
    "/min": "suffix:/min",
    "Cel": units.Celsius,
    "ug/m3": units.MicrogramPerCubicMeter,
    "km/h": units.KilometersPerHour,
}


def ratio(metric: Metric) -> bool:
    """Whether a metric is a share of one, which people read in percent."""
    return (metric.unit, metric.low, metric.high, metric.kind) == ("1", 0, 1, "gauge")


def decimals(metric: Metric) -> int:
    """Digits behind the point that a person can use: centimetres of water, tenths of a degree, whole watts."""
    if ratio(metric):
        return 0
    span = metric.high - metric.low
    if metric.unit == "m3/h":
        return 3  # a household's litres are thousandths
    return 2 if metric.unit == "m" or span <= 10 else 1 if span <= 10_000 else 0


def unit(metric: Metric) -> str:
    """Grafana's unit for a metric."""
    if ratio(metric):
        return units.PercentUnit
    if metric.unit == "1":
        return units.LocaleFormat
    return KNOWN.get(metric.unit) or f"suffix:{WRITTEN.get(metric.unit, metric.unit)}"


def unit_written(metric: Metric) -> str:
    """The unit as it stands behind a label, empty where there is none."""
    return "" if metric.unit == "1" else f" ({WRITTEN.get(metric.unit, metric.unit)})"


def of_metric(alarms: tuple[Alarm, ...], metric: str, when: str) -> list[tuple[float, str]]:
    """Limits of a metric's alarms and their colours, upwards."""
    found = [(a.raise_at, SEVERITIES[a.severity]) for a in alarms if a.metric.name == metric and a.when == when]
    return sorted((limit, color) for limit, color in found if limit is not None)


def steps(alarms: tuple[Alarm, ...], metric: str, quiet: str = QUIET) -> Steps:
    """Colours of a metric's values as its alarms judge them."""
    low, high = of_metric(alarms, metric, "<"), of_metric(alarms, metric, ">")
    # Below a low limit lies its colour; from the limit upwards that of the next one, at last none. No value: none.
    starts = [(alarm.metric.low, "") for alarm in alarms if alarm.metric.name == metric and low][:1] + low
    colors = [color for _, color in low] + [quiet]
    rising = [(limit, color) for (limit, _), color in zip(starts, colors, strict=False)]
    return ((None, quiet), *rising, *high)


def limits(alarms: tuple[Alarm, ...], metric: str) -> Steps:
    """The limits of a metric's alarms as lines on a trend."""
    marks = of_metric(alarms, metric, "<") + of_metric(alarms, metric, ">")
    return tuple(sorted(marks))
