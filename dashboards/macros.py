"""Expands an SQL text as Grafana does with a PostgreSQL data source that has TimescaleDB switched on.

First the browser: the dashboard's variables and the interval. Then the server: comments away, macros by one regular
expression that knows no nested parentheses. What the server refuses is a MacroError here.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

Value = str | tuple[str, ...]  # a tuple is the choice in a variable that allows several

# Grafana takes the first step whose upper end is above (range / points); both in ms.
STEPS = (
    (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1_500, 1_000), (3_500, 2_000),
    (7_500, 5_000), (12_500, 10_000), (17_500, 15_000), (25_000, 20_000), (45_000, 30_000), (90_000, 60_000),
    (210_000, 120_000), (450_000, 300_000), (750_000, 600_000), (1_050_000, 900_000), (1_500_000, 1_200_000),
    (2_700_000, 1_800_000), (5_400_000, 3_600_000), (9_000_000, 7_200_000), (16_200_000, 10_800_000),
    (32_400_000, 21_600_000), (86_400_000, 43_200_000), (604_800_000, 86_400_000), (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
)  # fmt: skip
YEAR_MS = 31_536_000_000
UNIT_MS = {"y": YEAR_MS, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "M": 2629800.0, "y": 31557600.0}

VARIABLE = re.compile(r"\$(?P<plain>\w+)|\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}|\[\[(?P<old>\w+)\]\]")
MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1", re.DOTALL)


# How the choices of a variable are written, by the form behind the colon.
FORMS: dict[str, Callable[[Sequence[str]], str]] = {
    "sqlstring": lambda values: ",".join("'" + value.replace("'", "''") + "'" for value in values),
    "singlequote": lambda values: ",".join("'" + value.replace("'", "\\'") + "'" for value in values),
    "doublequote": lambda values: ",".join('"' + value.replace('"', '\\"') + '"' for value in values),
    "csv": ",".join,
    "raw": ",".join,
    "pipe": "|".join,
}


class MacroError(ValueError):
    """The data source would refuse the query."""


@dataclass(frozen=True, slots=True)
class Range:
    """What the time picker says, both ends aware of their zone."""

    start: datetime
    end: datetime

    def interval_ms(self, points: int, least_ms: int = 1) -> int:
        """`$__interval_ms` for a panel with so many points and a least interval."""
        wide = (self.end - self.start).total_seconds() * 1000 / points
        return max(next((step for above, step in STEPS if wide < above), YEAR_MS), least_ms)


def expand(sql: str, time: Range, interval_ms: int, variables: Mapping[str, Value] | None = None) -> str:
    """The SQL that reaches the database. Raises MacroError."""
    text = without_comments(substitute(sql, scoped(time, variables or {}), interval_ms))
    refused: list[str] = []

    def one(found: re.Match[str]) -> str:
        arguments = [argument.strip(" ") for argument in found[2].split(",")]
        try:
            return macro(alias_of_old_days(found, text), arguments, time)
        except MacroError as error:
            refused.append(str(error))
            return ""

    expanded = MACRO.sub(one, text)
    if refused:
        raise MacroError(refused[0])
    return expanded


def scoped(time: Range, variables: Mapping[str, Value]) -> dict[str, Value]:
    """The dashboard's variables and the two that the time picker gives, in ms."""
    ends = {"__from": str(epoch(time.start, 1000)), "__to": str(epoch(time.end, 1000))}
    return {**variables, **ends}


def alias_of_old_days(found: re.Match[str], text: str) -> str:
    """`$__timeGroup(…)` with a comma behind its first occurrence is taken for the alias form, wherever it stands."""
    after = text.index(found[0]) + len(found[0])
    old = found[1] == "__timeGroup" and text[after : after + 1] == ","
    return "__timeGroupAlias" if old else found[1]


def substitute(sql: str, variables: dict[str, Value], interval_ms: int) -> str:
    """Variables as the browser writes them; names that are no variable stay as they are."""

    def one(found: re.Match[str]) -> str:
        name = found["plain"] or found["braced"] or found["old"]
        if name == "__interval":
            return interval_text(interval_ms)
        if name == "__interval_ms":
            return str(interval_ms)
        if name not in variables:
            return found[0]
        return quoted(variables[name], found["format"])

    return VARIABLE.sub(one, sql)


def quoted(value: Value, form: str | None) -> str:
    """One value: quotes doubled but none around it; several: each in quotes; with a form as that says."""
    if form is None and isinstance(value, str):
        return value.replace("'", "''")
    if (form or "sqlstring") not in FORMS:
        raise MacroError(f"format {form} is not known here")
    return FORMS[form or "sqlstring"]((value,) if isinstance(value, str) else value)


def interval_text(interval_ms: int) -> str:
    """`$__interval`: the largest unit alone, the rest dropped."""
    return next(f"{interval_ms // size}{unit}" for unit, size in UNIT_MS.items() if interval_ms >= size)


def without_comments(sql: str) -> str:
    """The text without `--` and `/* */`, except inside quotes."""
    return "".join(_code(sql))


def _code(sql: str) -> Iterator[str]:
    place = 0
    while place < len(sql):
        quote = QUOTED.match(sql, place)
        if quote:
            yield quote[0]
            place = quote.end()
        elif sql.startswith("--", place):
            end = sql.find("\n", place)
            place = len(sql) if end < 0 else end
        elif sql.startswith("/*", place):
            end = sql.find("*/", place)
            place = len(sql) if end < 0 else end + 2
        else:
            yield sql[place]
            place += 1


def macro(name: str, arguments: Sequence[str], time: Range) -> str:
    """One macro call. Raises MacroError for an unknown name or faulty arguments."""
    if name not in MACROS:
        raise MacroError(f"unknown macro {name}")
    least, make = MACROS[name]
    if len(arguments) < least or (least and not arguments[0]):
        raise MacroError(f"${name} needs {least} arguments")
    return make(list(arguments), time)


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with as many decimals as there are."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"'{text}Z'"


def seconds(interval: str) -> float:
    """Seconds of an interval such as 5m, with or without quotes around it."""
    found = re.fullmatch(r"(\d+)(ms|[smhdwMy])", interval.strip("'"))
    if not found:
        raise MacroError(f"error parsing interval {interval}")
    return int(found[1]) * SECONDS[found[2]]


def fill(arguments: Sequence[str]) -> None:
    """The third argument is acted on after the query; here it is only checked."""
    if len(arguments) == 3 and arguments[2] not in ("NULL", "previous"):
        try:
            float(arguments[2])
        except ValueError:
            raise MacroError(f"error parsing fill value {arguments[2]}") from None


def time_group(arguments: list[str], _: Range) -> str:
    """A TimescaleDB bucket."""
    fill(arguments)
    return f"time_bucket('{seconds(arguments[1]):.3f}s',{arguments[0]})"


def epoch_group(arguments: list[str], _: Range) -> str:
    """A bucket of a column of seconds."""
    fill(arguments)
    size = f"{seconds(arguments[1]):g}"
    return f"floor(({arguments[0]})/{size})*{size}"


def epoch(moment: datetime, factor: int = 1) -> int:
    """Whole seconds since 1970 times a factor."""
    return int(moment.timestamp()) * factor


Make = Callable[[list[str], Range], str]
MACROS: dict[str, tuple[int, Make]] = {
    "__time": (1, lambda a, _: f'{a[0]} AS "time"'),
    "__timeEpoch": (1, lambda a, _: f'extract(epoch from {a[0]}) as "time"'),
    "__timeFilter": (1, lambda a, t: f"{a[0]} BETWEEN {instant(t.start)} AND {instant(t.end)}"),
    "__timeFrom": (0, lambda _, t: instant(t.start)),
    "__timeTo": (0, lambda _, t: instant(t.end)),
    "__timeGroup": (2, time_group),
    "__timeGroupAlias": (2, lambda a, t: time_group(a, t) + ' AS "time"'),
    "__unixEpochFilter": (1, lambda a, t: f"{a[0]} >= {epoch(t.start)} AND {a[0]} <= {epoch(t.end)}"),
    "__unixEpochFrom": (0, lambda _, t: str(epoch(t.start))),
    "__unixEpochTo": (0, lambda _, t: str(epoch(t.end))),
    "__unixEpochNanoFilter": (
        1,
        lambda a, t: f"{a[0]} >= {epoch(t.start, 10**9)} AND {a[0]} <= {epoch(t.end, 10**9)}",
    ),
    "__unixEpochNanoFrom": (0, lambda _, t: str(epoch(t.start, 10**9))),
    "__unixEpochNanoTo": (0, lambda _, t: str(epoch(t.end, 10**9))),
    "__unixEpochGroup": (2, epoch_group),
    "__unixEpochGroupAlias": (2, lambda a, t: epoch_group(a, t) + ' AS "time"'),
}
