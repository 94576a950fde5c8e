"""A dashboard's questions put to the database: variables first, then each panel's queries, as Grafana would."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboards.macros import SECONDS, MacroError, Range, Value, expand
from dashboards.preview.frame import Frame, filled, frame_of
from dashboards.preview.repeat import repeated
from dashboards.preview.style import LOCAL

Answer = tuple[Sequence[str], Sequence[Sequence[Any]]]
Ask = Callable[[str], Answer]
"""Column names and rows of an SQL text. Raises QueryError."""

AGO = re.compile(r"now(?:-(\d+)([smhdwMy]))?(?:/([dwM]))?")
POINTS_PER_COLUMN = 70  # pixels of one of 24 columns on a wall of 1,920
SHARED = "-- Dashboard --"
VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)(?::\w+)?\}")


class QueryError(Exception):
    """The database refused a query; the message is its own first line."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A panel with what its queries gave, or why they gave nothing; `took_s` is the database's time for all of them."""

    panel: dict[str, Any]
    frames: list[Frame]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A dashboard with the choices made for its variables, its time range and its panels' answers."""

    board: dict[str, Any]
    chosen: dict[str, tuple[str, ...]]
    time: Range
    panels: list[Answered]


def time_range(board: dict[str, Any], now: datetime) -> Range:
    """The dashboard's own time range, seen from `now`."""
    time = board.get("time", {})
    return Range(instant(time.get("from", "now-6h"), now), instant(time.get("to", "now"), now))


def instant(text: str, now: datetime) -> datetime:
    """A moment as dashboards write it: `now-3h`, `now/d`, or RFC 3339."""
    ago = AGO.fullmatch(text)
    if not ago:
        return datetime.fromisoformat(text).astimezone(UTC)
    moment = now - timedelta(seconds=int(ago[1] or 0) * SECONDS[ago[2] or "s"])
    if ago[3]:
        local = moment.astimezone(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)
        back = {"d": 0, "w": local.weekday(), "M": local.day - 1}[ago[3]]
        moment = (local - timedelta(days=back)).astimezone(UTC)
    return moment


def ask_board(board: dict[str, Any], ask: Ask, now: datetime, wanted: Mapping[str, Sequence[str]]) -> Asked:
    """Every query of a dashboard. `wanted` replaces the choices that the dashboard begins with."""
    time = time_range(board, now)
    values: dict[str, Value] = {}
    shown: dict[str, tuple[str, ...]] = {}
    for variable in board.get("templating", {}).get("list", []):
        values[variable["name"]], shown[variable["name"]] = choice(variable, ask, time, values, wanted)
    answered: dict[Any, Answered] = {}
    placed = sorted(repeated(flat(board["panels"]), values, shown), key=lambda one: shares(one[0]))
    for panel, own in placed:
        named = titled(panel, shown | {name: (text,) for name, (_, text) in own.items()})
        # One choice of a variable that allows several is still written as a list of one.
        single: dict[str, Value] = {name: (value,) for name, (value, _) in own.items()}
        answered[panel["id"]] = ask_panel(named, ask, time, values | single, answered)
    return Asked(board, shown, time, list(answered.values()))


def titled(panel: dict[str, Any], shown: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """The panel with the choices of variables written into its title."""
    texts: dict[str, Value] = {name: " + ".join(texts) for name, texts in shown.items()}
    title = VARIABLE.sub(lambda found: str(texts.get(found[1] or found[2], found[0])), panel.get("title", ""))
    return panel | {"title": title}


def flat(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Panels with those inside rows."""
    return [one for panel in panels for one in (panel, *panel.get("panels", []))]


def shares(panel: dict[str, Any]) -> bool:
    """Whether a panel shows the answer of another, which has to come before it."""
    return (panel.get("datasource") or {}).get("uid") == SHARED


def choice(
    variable: dict[str, Any], ask: Ask, time: Range, values: Mapping[str, Value], wanted: Mapping[str, Sequence[str]]
) -> tuple[Value, tuple[str, ...]]:
    """The value of a variable and the texts it is shown by."""
    options = options_of(variable, ask, time, values)
    current = variable.get("current", {}).get("value", [])
    begun = list(wanted.get(variable["name"], [current] if isinstance(current, str) else current))
    known = [one for one in begun if one in dict(options) or not options]
    several = bool(variable.get("multi") or variable.get("includeAll"))
    if not known:
        known = [value for value, _ in options][: None if several else 1]
    texts = tuple(dict(options).get(value, value) for value in known)
    every = several and "$__all" in begun
    if every and variable.get("allValue"):
        return variable["allValue"], texts
    return (tuple(known) if several else (known or [""])[0]), texts


def options_of(variable: dict[str, Any], ask: Ask, time: Range, values: Mapping[str, Value]) -> list[tuple[str, str]]:
    """What a variable can be: (value, text). A text box can be anything: none are named."""
    query = variable.get("query", "")
    if variable["type"] == "custom":
        pairs = [part.strip().partition(" : ") for part in str(query).split(",")]
        return [(value or text, text) for text, _, value in pairs]
    if variable["type"] != "query":
        return [(str(query), str(query))] if variable["type"] == "constant" else []
    try:
        names, rows = ask(expand(query if isinstance(query, str) else query["query"], time, 60_000, values))
    except (QueryError, MacroError):
        return []
    at = list(names).index("__value") if "__value" in names else 0
    text = list(names).index("__text") if "__text" in names else 0
    return [(str(row[at]), str(row[text])) for row in rows]


def ask_panel(
    panel: dict[str, Any], ask: Ask, time: Range, values: Mapping[str, Value], before: Mapping[int, Answered]
) -> Answered:
    """One panel's answers."""
    interval = time.interval_ms(points(panel), least_ms(panel))
    frames: list[Frame] = []
    try:
        for target in panel.get("targets", []):
            if "panelId" in target:
                frames += before[target["panelId"]].frames
            elif not target.get("hide"):
                sql, form = target["rawSql"], target["format"]
                frame = frame_of(*ask(expand(sql, time, interval, values)), form)
                frames.append(filled(frame, sql, time, interval) if form == "time_series" else frame)
    except (QueryError, MacroError) as error:
        return Answered(panel, [], str(error))
    return Answered(panel, frames)


def points(panel: dict[str, Any]) -> int:
    """How many points a panel asks for: its own wish, or its width."""
    return int(panel.get("maxDataPoints") or panel["gridPos"]["w"] * POINTS_PER_COLUMN)


def least_ms(panel: dict[str, Any]) -> int:
    """The finest bucket that a panel allows, in ms."""
    found = re.fullmatch(r"(\d+)(ms|[smhdw])", panel.get("interval") or "1m")
    return int(1000 * int(found[1]) * SECONDS[found[2]]) if found else 60_000
