"""The named SQL statements of a dashboard, kept in `sql/`, with the family-dependent parts filled in."""

from functools import cache
from importlib.resources import files

from dashboards.words import Words
from devices.family import Family, Metric
from devices.profile import PROFILES
from devices.units import WRITTEN

HEADLINE = 3  # metrics of a family that fit on a row of a wall
SHORTEST_S = 60.0


@cache
def statements(name: str) -> dict[str, str]:
    """The statements of `sql/<name>.sql` by name, without comments around them."""
    parts = files("dashboards").joinpath("sql", f"{name}.sql").read_text("utf-8").split("-- name: ")
    return {head.strip(): body.strip() for head, _, body in (part.partition("\n") for part in parts[1:])}


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def choose(column: str, words: dict[str, str]) -> str:
    """An expression that shows a column's value under another name, or as it is where there is none."""
    cases = " ".join(f"WHEN {literal(value)} THEN {literal(text)}" for value, text in words.items())
    return f"CASE {column} {cases} ELSE {column} END" if cases else column


def interval_s(family: Family) -> float:
    """Seconds between two readings of the family's own profile: what its data age is judged by.

    Never less than a minute: events come when something happens, and a wall that blinks is not looked at.
    """
    return max(SHORTEST_S, PROFILES["native-" + family.name.replace("_", "-")].interval_s)


def decimals(metric: Metric) -> int:
    """Digits behind the point that a person can use: centimetres of water, tenths of a degree, whole watts."""
    span = metric.high - metric.low
    return 2 if metric.unit == "m" or span <= 10 else 1 if span <= 10_000 else 0


def shown(metric: Metric, words: Words) -> str:
    """An expression for a metric with its label and unit; NULL when the metric is."""
    label = literal(f"{metric.label[words.language]} ")
    if metric.kind == "state":
        return f"{label} || {choose(metric.name, {state: words.state(state) for state in metric.states})}"
    if (metric.unit, metric.low, metric.high) == ("1", 0, 1):
        return f"{label} || round(100 * {metric.name}::numeric) || ' %'"
    unit = "" if metric.unit == "1" else f" || {literal(' ' + WRITTEN.get(metric.unit, metric.unit))}"
    return f"{label} || round({metric.name}::numeric, {decimals(metric)}){unit}"


def per_family(fragment: str, glue: str, families: dict[str, Family], words: Words) -> str:
    """A fragment once per family, joined."""
    return glue.join(
        fragment.format(
            family=family.name,
            label=literal(family.label[words.language]),
            interval_s=f"{interval_s(family):g}",
            metrics=", ".join(shown(metric, words) for metric in family.metrics[:HEADLINE]),
        )
        for family in families.values()
    )
