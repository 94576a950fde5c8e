"""A dashboard from its rows of panels: places, time, refresh, variables, the ways to other boards and languages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.palette import RED
from dashboards.pen import Pen, Sql
from dashboards.words import Words
from devices.area import Zone

TIMEZONE = "Asia/Ho_Chi_Minh"
WIDE = 24  # columns of the grid


class Row(NamedTuple):
    """Panels side by side; a step of height is 30 pixels and a gap of 8."""

    height: int
    panels: tuple[grafana.Panel, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a board shows when it is opened."""

    since: str = "now-24h"
    refresh: str = "1m"
    alarms_drawn: bool = False  # raised alarms as marks on the trends


def row(height: int, *panels: grafana.Panel) -> Row:
    """A row of a board. Raises ValueError when its panels do not fill it."""
    if wide := WIDE - sum(width(panel) for panel in panels):
        raise ValueError(f"the row of {panels[0].title} is {abs(wide)} columns too {'narrow' if wide > 0 else 'wide'}")
    return Row(height, panels)


def width(panel: grafana.Panel) -> int:
    """Columns that a panel takes."""
    assert panel.grid_pos is not None  # the vocabulary gives every panel one
    return panel.grid_pos.w


def placed(rows: Sequence[Row]) -> list[grafana.Panel]:
    """All panels, numbered, each at its place."""
    panels: list[grafana.Panel] = []
    y = 0
    for height, side_by_side in rows:
        x = 0
        for panel in side_by_side:
            panel.grid_pos = grafana.GridPos(x=x, y=y, w=width(panel), h=height)
            panel.id_val = len(panels) + 1
            panels.append(panel)
            x += width(panel)
        y += height
    return panels


def board(
    pen: Pen, stem: str, key: str, variables: list[grafana.VariableModel], rows: Sequence[Row], sight: Sight = Sight()
) -> grafana.Dashboard:
    """A dashboard; panels are numbered in the order in which they are given."""
    words = pen.words
    return grafana.Dashboard(
        uid=words.uid(stem),
        title=words(f"{key}.title"),
        description=words(f"{key}.about"),
        tags=["dothi", words.language],
        timezone=TIMEZONE,
        week_start="monday",
        editable=False,
        refresh=sight.refresh,
        time=grafana.DashboardDashboardTime(from_val=sight.since, to="now"),
        timepicker=grafana.TimePickerConfig(refresh_intervals=["10s", "30s", "1m", "5m", "15m"]),
        graph_tooltip=grafana.DashboardCursorSync.CROSSHAIR,
        templating=grafana.DashboardDashboardTemplating(list_val=variables),
        annotations=grafana.AnnotationContainer(list_val=[raised(pen)] if sight.alarms_drawn else []),
        links=[other_language(words, stem), to_the_wall(words), all_boards(words)],
        panels=list(placed(rows)),
    )


# --- variables: what the statements are about ---


def province(pen: Pen, first: str) -> grafana.VariableModel:
    """Provinces; `first` is chosen to begin with."""
    option = grafana.VariableOption(selected=True, text=[pen.words(f"province.{first}")], value=[first])
    return choice(pen, "province", option)


def area(pen: Pen, first: Zone | None = None) -> grafana.VariableModel:
    """Districts of all provinces; `first`, or else all, chosen to begin with."""
    if first is None:
        return choice(pen, "area", grafana.VariableOption(selected=True, text=["All"], value=["$__all"]))
    name = first.name_vi if pen.words.language == "vi" else first.name_en
    return choice(pen, "area", grafana.VariableOption(selected=True, text=[name], value=[first.code]))


def choice(pen: Pen, name: str, current: grafana.VariableOption, several: bool = True) -> grafana.VariableModel:
    """A variable whose choices the statement `choices.<name>` gives."""
    sql = pen.text(f"choices.{name}")
    return grafana.VariableModel(
        type_val=grafana.VariableType.QUERY,
        name=name,
        label=pen.words(name),
        query=sql,
        definition=sql,
        datasource=pen.source.ref,
        current=current,
        multi=several,
        include_all=several,
        allow_custom_value=not several,
        refresh=grafana.VariableRefresh.ON_DASHBOARD_LOAD,
        sort=grafana.VariableSort.DISABLED,
    )


def typed(pen: Pen, name: str) -> grafana.VariableModel:
    """A variable that is typed in, empty to begin with."""
    return grafana.VariableModel(
        type_val=grafana.VariableType.TEXTBOX,
        name=name,
        label=pen.words(name),
        query="",
        current=grafana.VariableOption(selected=True, text="", value=""),
        options=[grafana.VariableOption(selected=True, text="", value="")],
    )


# --- ways ---


def link(title: str, kind: grafana.DashboardLinkType, url: str | None, tags: list[str]) -> grafana.DashboardLink:
    """A way that keeps time range and choices."""
    built = grafana.DashboardLink(
        title=title, type_val=kind, url=url, tags=tags, as_dropdown=bool(tags), keep_time=True, include_vars=True
    )
    # The SDK would move every link into a menu; on a wall it must be in sight.
    built.placement = None  # type: ignore[assignment]
    return built


def other_language(words: Words, stem: str) -> grafana.DashboardLink:
    """The same board in the other language."""
    return link(words("other_language"), grafana.DashboardLinkType.LINK, f"/d/{words.other.uid(stem)}", [])


def to_the_wall(words: Words) -> grafana.DashboardLink:
    """Back to where one came from."""
    return link(words("wall.title"), grafana.DashboardLinkType.LINK, f"/d/{words.uid('dothi-wall')}", [])


def all_boards(words: Words) -> grafana.DashboardLink:
    """Every board in this language."""
    return link(words("boards"), grafana.DashboardLinkType.DASHBOARDS, None, ["dothi", words.language])


def raised(pen: Pen) -> grafana.AnnotationQuery:
    """Alarms as marks on every trend: when they were raised, and how long they lasted."""
    query = Sql(pen.source, pen.text("marks"), "table", "Anno")
    built = grafana.AnnotationQuery(
        name=pen.words("marks"),
        datasource=pen.source.ref,
        enable=True,
        hide=False,
        icon_color=RED,
        target=query,
    )
    built.placement = None  # type: ignore[assignment]
    return built


def as_json(built: grafana.Dashboard) -> str:
    """The file that Grafana reads: the same dashboard always gives the same bytes."""
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
