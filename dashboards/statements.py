"""The named SQL statements of a board, kept in `sql/`, and what is filled into them."""

from functools import cache
from importlib.resources import files

from dashboards.measured import decimals, ratio
from dashboards.words import Words
from devices.family import Family, Metric
from devices.profile import PROFILES, Profile
from devices.units import WRITTEN

HEADLINE = 3  # metrics of a family that fit on a row of a wall
SHORTEST_S = 60.0
NAMED = "-- name: "


@cache
def statements(name: str) -> dict[str, str]:
    """The statements of `sql/<name>.sql` by name, without comments around them."""
    parts = without_remarks(files("dashboards").joinpath("sql", f"{name}.sql").read_text("utf-8")).split(NAMED)
    return {head.strip(): body.strip() for head, _, body in (part.partition("\n") for part in parts[1:])}


def without_remarks(text: str) -> str:
    """The text without lines that are only for its reader."""
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("--") or line.startswith(NAMED)
    )


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: tuple[str, ...]) -> str:
    """Texts as SQL literals with commas between."""
    return ", ".join(map(literal, texts))


def values(rows: list[tuple[str | float | None, ...]]) -> str:
    """Rows of a VALUES list."""
    return ", ".join("(" + ", ".join(map(value, row)) + ")" for row in rows)


def value(one: str | float | None) -> str:
    """A value as an SQL literal."""
    if one is None:
        return "NULL::text"
    return literal(one) if isinstance(one, str) else f"{one:g}" if isinstance(one, int) else f"{one:.4f}"


def choose(column: str, words: dict[str, str]) -> str:
    """An expression that shows a column's value under another name, or as it is where there is none."""
    cases = " ".join(f"WHEN {literal(value)} THEN {literal(text)}" for value, text in words.items())
    return f"CASE {column} {cases} ELSE {column} END" if cases else column


def native(family: Family) -> Profile:
    """The family's own profile."""
    return PROFILES["native-" + family.name.replace("_", "-")]


def interval_s(family: Family) -> float:
    """Seconds between two readings of the family's own profile: what its data age is judged by.

    Never less than a minute: events come when something happens, and a wall that blinks is not looked at.
    """
    return max(SHORTEST_S, native(family).interval_s)


def shown(metric: Metric, words: Words) -> str:
    """An expression for a metric with its label and unit; NULL when the metric is."""
    label = literal(f"{metric.label[words.language]} ")
    if metric.kind == "state":
        return f"{label} || {choose(metric.name, {state: words.state(state) for state in metric.states})}"
    if ratio(metric):
        return f"{label} || round(100 * {metric.name}::numeric) || ' %'"
    unit = "" if metric.unit == "1" else f" || {literal(' ' + WRITTEN.get(metric.unit, metric.unit))}"
    return f"{label} || round({metric.name}::numeric, {decimals(metric)}){unit}"


def per_family(fragment: str, glue: str, families: tuple[Family, ...], words: Words) -> str:
    """A fragment once per family, joined."""
    return glue.join(
        fragment.format(
            family=family.name,
            label=literal(family.label[words.language]),
            interval_s=f"{interval_s(family):g}",
            metrics=", ".join(shown(metric, words) for metric in family.metrics[:HEADLINE]),
        )
        for family in families
    )
