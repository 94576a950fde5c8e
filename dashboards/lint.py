"""What is wrong with a dashboard, said in lines: the lint that every generated dashboard passes."""

import re
from collections.abc import Iterator
from typing import Any

SOURCE_UID = "dothi-timescaledb"
PANEL_TYPES = {"stat", "timeseries", "table", "geomap"}
UNITS = {"locale", "percent", "dthms", "conμgm3"}


def faults(board: dict[str, Any], uids: set[str]) -> Iterator[str]:
    """What is wrong with a dashboard, a line each."""
    for name, wanted in {"timezone": "Asia/Ho_Chi_Minh", "weekStart": "monday", "editable": False}.items():
        if board.get(name) != wanted:
            yield f"{name} is {board.get(name)}"
    if not re.fullmatch(r"[1-9]\d+s|\d+m", board.get("refresh") or ""):
        yield f"refresh {board.get('refresh')} is not 10 s or more"
    if not re.fullmatch(r"[a-z0-9-]{1,40}", board.get("uid", "")) or not board.get("title"):
        yield "no uid or title"
    panels = board["panels"]
    if len({panel["id"] for panel in panels}) != len(panels):
        yield "panel ids are not unique"
    yield from overlaps(panels)
    for panel in panels:
        yield from (f"{panel['title']}: {fault}" for fault in panel_faults(panel))
    for variable in board["templating"]["list"]:
        if variable["datasource"]["uid"] != SOURCE_UID or not variable["label"]:
            yield f"variable {variable['name']} has no label or another data source"
        yield from sql_faults(variable["query"])
    for link in board["links"]:
        if link["url"].removeprefix("/d/") not in uids or link.get("placement"):
            yield f"link {link['url']} leads nowhere or is hidden"


def overlaps(panels: list[dict[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        at = panel["gridPos"]
        if at["x"] < 0 or at["w"] < 1 or at["h"] < 1 or at["x"] + at["w"] > 24:
            yield f"{panel['title']} is off the grid"
        cells = [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
        yield from {f"{panel['title']} lies on {taken[cell]}" for cell in cells if cell in taken}
        taken |= dict.fromkeys(cells, panel["title"])


def panel_faults(panel: dict[str, Any]) -> Iterator[str]:
    config = panel["fieldConfig"]
    if panel["type"] not in PANEL_TYPES:
        yield f"type {panel['type']}"
    if len(panel.get("description", "")) < 40:
        yield "no description"
    if not config["defaults"].get("noValue"):
        yield "no noValue"
    shown_as = [config["defaults"], *({p["id"]: p.get("value") for p in o["properties"]} for o in config["overrides"])]
    for settings in shown_as:
        if settings.get("unit") not in UNITS or not isinstance(settings.get("decimals"), int):
            yield "no unit or decimals"
    refs = [target["refId"] for target in panel["targets"]]
    if not refs or len(set(refs)) != len(refs):
        yield "no query, or refIds are not unique"
    for target in panel["targets"]:
        if target["datasource"]["uid"] != SOURCE_UID or panel["datasource"]["uid"] != SOURCE_UID:
            yield "another data source"
        yield from sql_faults(target["rawSql"])


def sql_faults(sql: str) -> Iterator[str]:
    ctes = set(re.findall(r"(\w+) AS (?:MATERIALIZED )?\(", sql))
    read = set(re.findall(r"\b(?:FROM|JOIN)\s+([a-z_.0-9]+)(?!\w*\()\b", re.sub(r"extract\(epoch FROM", "", sql)))
    if foreign := {name for name in read if not name.startswith("city.") and name not in ctes}:
        yield f"reads {foreign}"
    if not re.search(r"\bLIMIT \d+\s*$|\$__timeFilter\(", sql):
        yield "is not bounded"
    if "{" in sql or "}" in sql:
        yield "has a place that was not filled in"
