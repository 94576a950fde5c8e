"""What is wrong with the dashboards, said in lines: what no schema sees and a person would only see on the wall."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from dashboards.lint_sql import sql_faults, variable_faults
from dashboards.macros import MacroError, Range, expand
from dashboards.pen import SOURCE_UID

Board = dict[str, Any]
Boards = Mapping[str, Board]
"""Every dashboard by uid: what links may lead to."""

DRAWS = {"stat", "gauge", "timeseries", "table", "geomap", "bargauge", "barchart", "state-timeline", "status-history"}
SAYS = {"text", "row", "dashlist"}  # panels that ask nothing
UNITLESS = {"string", "dthms", "dtdurations", "bool"}  # units whose values have no decimals to choose
FIXED = {"timezone": "Asia/Ho_Chi_Minh", "weekStart": "monday", "editable": False, "graphTooltip": 1}
SHARED = "-- Dashboard --"
LONG_ENOUGH = 40  # letters of a description that says something
BUILT_IN = {
    "__interval",
    "__interval_ms",
    "__from",
    "__to",
    "__url_time_range",
    "__data",
    "__field",
    "__value",
    "__series",
}
VARIABLE = re.compile(r"\$\{(\w+)|\$(?!__\w+\()(\w+)")
OPEN_CELL = re.compile(r"\$\{__(?:data|field|value|series)(?![^}]*:percentencode\})[^}]*\}")
HOUR = Range(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1))


def every_fault(boards: Boards) -> dict[str, list[str]]:
    """The faults of each dashboard, and of each pair of languages; a dashboard without faults is not in it."""
    found = {
        uid: [*faults(board, boards), *pair_faults(board, boards.get(f"{uid}-en"))] for uid, board in boards.items()
    }
    return {uid: lines for uid, lines in found.items() if lines}


def faults(board: Board, boards: Boards) -> Iterator[str]:
    """What is wrong with a dashboard, a line each."""
    for name, wanted in FIXED.items():
        if board.get(name) != wanted:
            yield f"{name} is {board.get(name)}"
    if not re.fullmatch(r"[1-9]\d+s|[1-9]\d*m", board.get("refresh") or ""):
        yield f"refresh {board.get('refresh')} is not 10 s or more"
    if (
        not re.fullmatch(r"[a-z0-9-]{1,40}", board.get("uid", ""))
        or not board.get("title")
        or not board.get("description")
    ):
        yield "no uid, title or description"
    if "dothi" not in board.get("tags", []):
        yield "without the tag dothi it would be pruned by nobody"
    panels = [one for panel in board["panels"] for one in (panel, *panel.get("panels", []))]
    if len({panel["id"] for panel in panels}) != len(panels):
        yield "panel ids are not unique"
    yield from overlaps(board["panels"])
    for panel in panels:
        yield from (f"{panel.get('title')}: {fault}" for fault in panel_faults(panel, board, boards))
    yield from control_faults(board, boards)


def control_faults(board: Board, boards: Boards) -> Iterator[str]:
    """Variables, annotations and links of a whole dashboard."""
    for variable in board["templating"]["list"]:
        if not variable.get("label") and variable.get("hide") != 2:
            yield f"variable {variable['name']} has no label"
        if variable["type"] == "query":
            if variable["datasource"]["uid"] != SOURCE_UID:
                yield f"variable {variable['name']} asks another data source"
            yield from asked(variable["query"], board)
    for annotation in board.get("annotations", {}).get("list", []):
        yield from asked(annotation_sql(annotation), board)
    for link in board["links"]:
        if link["type"] == "link":
            yield from link_faults(link["url"], board, boards)
        elif not any(set(link["tags"]) <= set(other["tags"]) for other in boards.values()):
            yield f"link {link['title']} lists no dashboard"
        if link.get("placement"):
            yield f"link {link['title']} is hidden in a menu"


def annotation_sql(annotation: dict[str, Any]) -> str:
    """The query of an annotation, which old and new versions keep in different places."""
    return str(annotation.get("rawQuery") or annotation.get("target", {}).get("rawSql", ""))


def overlaps(panels: list[Board]) -> Iterator[str]:
    """Panels that leave the grid or lie on each other."""
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        at, title = panel["gridPos"], str(panel.get("title"))
        if at["x"] < 0 or at["y"] < 0 or at["w"] < 1 or at["h"] < 1 or at["x"] + at["w"] > 24:
            yield f"{title} is off the grid"
        cells = [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
        yield from {f"{title} lies on {taken[cell]}" for cell in cells if cell in taken}
        taken |= dict.fromkeys(cells, title)


def panel_faults(panel: Board, board: Board, boards: Boards) -> Iterator[str]:
    """One panel: its words, how values are written, its links, its queries."""
    if panel["type"] in SAYS:
        if panel.get("targets"):
            yield "asks although nothing of it is shown"
        return
    if panel["type"] not in DRAWS:
        yield f"type {panel['type']}"
    if not panel.get("title") or len(panel.get("description") or "") < LONG_ENOUGH:
        yield "no title or no description"
    yield from value_faults(panel["fieldConfig"])
    for url in panel_links(panel):
        yield from link_faults(url, board, boards)
    yield from query_faults(panel, board)


def value_faults(config: Board) -> Iterator[str]:
    """Unit, decimals, what stands for no value, thresholds in order."""
    defaults = config["defaults"]
    if not defaults.get("noValue"):
        yield "no noValue"
    for override in [None, *config["overrides"]]:
        own = {entry["id"]: entry.get("value") for entry in override["properties"]} if override else {}
        shown = {**defaults, **own}
        name = override["matcher"]["options"] if override else "defaults"
        if not unit_known(shown.get("unit")):
            yield f"{name}: unit {shown.get('unit')}"
        if not isinstance(shown.get("decimals"), int) and shown.get("unit") not in UNITLESS:
            yield f"{name}: no decimals"
        steps = (shown.get("thresholds") or {}).get("steps", [{"value": None}])
        if steps[0]["value"] is not None or [s["value"] for s in steps[1:]] != sorted(s["value"] for s in steps[1:]):
            yield f"{name}: thresholds are not in order"


@cache
def known_units() -> frozenset[str]:
    """The ids of Grafana's units."""
    from grafana_foundation_sdk.models import units

    return frozenset(getattr(units, name) for name in dir(units) if name[0].isupper())


def unit_known(unit: object) -> bool:
    """Whether Grafana knows a unit."""
    return isinstance(unit, str) and (unit in known_units() or bool(re.match(r"(suffix|prefix|time):.*\S", unit)))


def panel_links(panel: Board) -> Iterator[str]:
    """Every address that a panel leads to: its own links, those of values, those in mappings' place."""
    yield from (link["url"] for link in panel.get("links", []))
    yield from (link["url"] for link in panel["fieldConfig"]["defaults"].get("links", []))
    for override in panel["fieldConfig"]["overrides"]:
        for entry in override["properties"]:
            if entry["id"] == "links":
                yield from (link["url"] for link in entry["value"])


def link_faults(url: str, board: Board, boards: Boards) -> Iterator[str]:
    """A link to a dashboard leads to one of ours, sets variables that it has, and says where its own come from."""
    yield from (f"link {url}: {cell} is not :percentencode" for cell in OPEN_CELL.findall(url))
    to = re.match(r"/d/([\w-]+)", url)
    if not to:
        if not url.startswith(("http://", "https://", "#", "/alerting", "/playlists")):
            yield f"link {url} leads nowhere"
        return
    if to[1] not in boards:
        yield f"link {url} leads nowhere"
        return
    there = {variable["name"] for variable in boards[to[1]]["templating"]["list"]}
    for name in re.findall(r"[?&]var-(\w+)=", url):
        if name not in there:
            yield f"link {url}: {to[1]} has no variable {name}"
    yield from unknown_variables(url, board)


def unknown_variables(text: str, board: Board) -> Iterator[str]:
    """Names behind a dollar sign that are neither a variable of the dashboard nor Grafana's own."""
    here = {variable["name"] for variable in board["templating"]["list"]} | BUILT_IN
    for braced, plain in VARIABLE.findall(text):
        name = braced or plain
        if name not in here and not name.isdigit():
            yield f"{name} is no variable"


def query_faults(panel: Board, board: Board) -> Iterator[str]:
    """A panel's queries."""
    targets = panel.get("targets") or []
    refs = [target["refId"] for target in targets]
    if not refs or len(set(refs)) != len(refs):
        yield "no query, or refIds are not unique"
    for target in targets:
        sources = {(one.get("datasource") or {}).get("uid") for one in (panel, target)}
        if sources == {SHARED}:
            if target.get("panelId") not in {one["id"] for one in board["panels"]}:
                yield f"shares the answer of panel {target.get('panelId')}, which is not there"
            continue
        if sources != {SOURCE_UID}:
            yield "another data source"
        if target["format"] not in ("table", "time_series"):
            yield f"format {target['format']}"
        yield from asked(target["rawSql"], board)


def asked(sql: str, board: Board) -> Iterator[str]:
    """A query as the data source would take it."""
    yield from sql_faults(sql)
    yield from unknown_variables(sql, board)
    yield from variable_faults(sql, several(board))
    names = {variable["name"]: ("x",) for variable in board["templating"]["list"]}
    try:
        expand(sql, HOUR, 60_000, names)
    except MacroError as error:
        yield str(error)


def several(board: Board) -> dict[str, bool]:
    """The variables of a dashboard, and whether each allows several values."""
    return {
        variable["name"]: bool(variable.get("multi") or variable.get("includeAll"))
        for variable in board["templating"]["list"]
    }


def pair_faults(board: Board, other: Board | None) -> Iterator[str]:
    """The same dashboard in two languages: the same panels in the same places, every description said in both."""
    if other is None:
        return
    here, there = ([(p["id"], p["type"], p["gridPos"]) for p in one["panels"]] for one in (board, other))
    if here != there:
        yield f"{other['uid']} has other panels or places"
    for one, two in zip(board["panels"], other["panels"], strict=False):
        if one.get("description") and one["description"] == two.get("description"):
            yield f"{one.get('title')}: the description is not translated"
