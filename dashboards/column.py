"""One column of a panel's answer: its title, how its value is written, coloured and linked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.palette import NEVER, QUIET, TRANSPARENT, Shown, Steps
from dashboards.words import Words

CLOCK = units.DurationInHoursMinutesSeconds  # 00:01:30 reads the same in every language
TEXT = units.String
COUNT = units.LocaleFormat
SHARE = units.Percent
MOMENT = "dateTimeAsIso"

Cell = Literal["plain", "ink", "fill", "bar"]  # how a table shows the colour of a value
CELLS: dict[Cell, dict[str, str]] = {
    "ink": {"type": "color-text"},
    "fill": {"type": "color-background", "mode": "basic"},
    "bar": {"type": "gauge", "mode": "basic"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """`width` is in pixels and for tables only; `title` replaces the one of the catalogue; `link`: the stem of the
    board about what the row names, see `LINKS`; `shown`: values that are written otherwise."""

    name: str
    unit: str = COUNT
    decimals: int = 0
    steps: Steps = NEVER
    width: int | None = None
    title: str | None = None
    cell: Cell = "plain"
    link: str | None = None
    shown: Mapping[str, Shown] = field(default_factory=dict)
    color: str | None = None
    hidden: bool = False


# What a link hands over beside the time range: variables by the columns of the row it stands in.
LINKS: dict[str, str] = {
    "dothi-device": "var-find=${__data.fields.device:percentencode}&var-device=${__data.fields.device:percentencode}",
    "dothi-district": "var-area=${__data.fields.area:percentencode}",
}


def thresholds(steps: Steps) -> grafana.ThresholdsConfig:
    """Absolute thresholds."""
    marks = [grafana.Threshold(value=value, color=color) for value, color in steps]
    return grafana.ThresholdsConfig(mode=grafana.ThresholdsMode.ABSOLUTE, steps=marks)


def mapping(shown: Mapping[str, Shown]) -> list[dict[str, object]]:
    """Values and how they are written, in order."""
    options = {
        value: {"text": one.text, "index": index} | ({"color": one.color} if one.color else {})
        for index, (value, one) in enumerate(shown.items())
    }
    return [{"type": "value", "options": options}] if options else []


def data_link(words: Words, stem: str) -> dict[str, object]:
    """The way from a row to the board about it, with the time range."""
    url = f"/d/{words.uid(stem)}?{LINKS[stem]}&${{__url_time_range}}"
    return {"title": words(f"{stem}.open"), "url": url, "targetBlank": False}


def override(words: Words, title: str, column: Column, absent: str = "") -> grafana.DashboardFieldConfigSourceOverrides:
    """A column's title, unit, decimals, thresholds, and what it has beyond that. `absent`: what stands for no value in
    a cell, where the panel's own words would be too many."""
    # What is in order leaves a filled cell as it is.
    steps = tuple((at, TRANSPARENT if color == QUIET else color) for at, color in column.steps)
    properties: dict[str, object] = {
        "displayName": title,
        "unit": column.unit,
        "decimals": column.decimals,
        "thresholds": thresholds(steps if column.cell == "fill" else column.steps),
    }
    if absent:
        properties["noValue"] = absent
    if column.shown:
        properties["mappings"] = mapping(column.shown)
    if column.cell in CELLS:
        properties["custom.cellOptions"] = CELLS[column.cell]
    if column.link:
        properties["links"] = [data_link(words, column.link)]
    if column.color:
        properties["color"] = {"mode": "fixed", "fixedColor": column.color}
    if column.width:
        properties["custom.width"] = column.width
    if column.hidden:
        properties["custom.hidden"] = True
    return grafana.DashboardFieldConfigSourceOverrides(
        matcher=grafana.MatcherConfig(id_val="byName", options=column.name),
        properties=[grafana.DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()],
    )


def written(words: Words, column: Column) -> grafana.FieldConfig:
    """How values without an override of their own are shown."""
    return grafana.FieldConfig(
        unit=column.unit,
        decimals=column.decimals,
        no_value=words("no_reading"),
        thresholds=thresholds(column.steps),
        color=grafana.FieldColor(mode=grafana.FieldColorModeId.THRESHOLDS),
        mappings=mapping(column.shown) or None,  # type: ignore[arg-type]
    )


def plain(name: str, width: int | None = None, link: str | None = None, hidden: bool = False) -> Column:
    """A column of text."""
    return Column(name, TEXT, width=width, link=link, hidden=hidden)


def placement() -> common.VizLegendOptions:
    """A legend below, without figures."""
    return common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.LIST,
        placement=common.LegendPlacement.BOTTOM,
        show_legend=True,
        calcs=[],
    )
