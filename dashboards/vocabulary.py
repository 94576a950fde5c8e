"""The small vocabulary that dashboards are written in: a function per kind of panel.

A panel's `key` names its title in the catalogue of words, `<key>.about` its description, `<key>.<column>` the title of
a column of its answer.
"""

from dataclasses import dataclass
from typing import NamedTuple

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common, geomap, stat, table, timeseries, units
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.words import Words

SOURCE_UID = "dothi-timescaledb"
QUIET, AMBER, RED, ABSENT = "text", "orange", "red", "#6E7785"  # only the abnormal has colour
MARKER = "#C7D0D9"  # what is in order on a map
FINEST = "1m"  # no panel asks for finer buckets than a wall can show
POINTS = 140  # Grafana may round up to twice as many: a line for each of 18 districts stays below 5,000 rows a query

IN_A_ROW = 10  # numbers that can be read side by side

Steps = tuple[tuple[float | None, str], ...]
NEVER: Steps = ((None, QUIET),)


def too_high(amber: float, red: float, quiet: str = QUIET) -> Steps:
    """Colour from `amber` and from `red` upwards."""
    return ((None, quiet), (amber, AMBER), (red, RED))


def too_low(amber: float, red: float, quiet: str = QUIET, absent: str = QUIET) -> Steps:
    """Colour below `amber` and below `red`; `absent` where there is no value."""
    return ((None, absent), (0, RED), (red, AMBER), (amber, quiet))


class Place(NamedTuple):
    """Where a panel lies on the grid of 24 columns; a row is 30 pixels and a gap of 8."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a panel's answer: how its number is written and when it is coloured.

    `width` is in pixels and for tables only; `title` replaces the one of the catalogue.
    """

    name: str
    unit: str = units.LocaleFormat
    decimals: int = 0
    steps: Steps = NEVER
    width: int | None = None
    title: str | None = None


class Look(NamedTuple):
    """A kind of panel: Grafana's name for it, its options, and how values are shown where the usual way does not do."""

    kind: str
    options: object
    defaults: grafana.FieldConfig | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The data source that every panel asks; `kind` is the plugin id, which differs between Grafana versions."""

    kind: str

    @property
    def ref(self) -> common.DataSourceRef:
        """What panels and queries carry."""
        return common.DataSourceRef(type_val=self.kind, uid=SOURCE_UID)


@dataclass(frozen=True, slots=True)
class Sql(variants.Dataquery):
    """A query in Grafana's SQL editor format; the SDK has no class for PostgreSQL. `form`: `table` or `time_series`."""

    source: Source
    sql: str
    form: str

    def to_json(self) -> dict[str, object]:
        """The shape that the data source reads."""
        return {
            "refId": "A",
            "datasource": self.source.ref,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.sql,
        }


def thresholds(steps: Steps) -> grafana.ThresholdsConfig:
    """Absolute thresholds."""
    marks = [grafana.Threshold(value=value, color=color) for value, color in steps]
    return grafana.ThresholdsConfig(mode=grafana.ThresholdsMode.ABSOLUTE, steps=marks)


def override(words: Words, key: str, column: Column) -> grafana.DashboardFieldConfigSourceOverrides:
    """A column's title, unit, decimals, thresholds and width."""
    properties: dict[str, object] = {
        "displayName": column.title or words(f"{key}.{column.name}"),
        "unit": column.unit,
        "decimals": column.decimals,
        "thresholds": thresholds(column.steps),
    }
    if column.width:
        properties["custom.width"] = column.width
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
    )


def panel(words: Words, key: str, query: Sql, columns: list[Column], at: Place, look: Look) -> grafana.Panel:
    """What all panels share: words, place, data source, one query, how each column is written."""
    return grafana.Panel(
        type_val=look.kind,
        title=words(key),
        description=words(f"{key}.about"),
        datasource=query.source.ref,
        targets=[query],
        grid_pos=grafana.GridPos(x=at.x, y=at.y, w=at.w, h=at.h),
        options=look.options,
        field_config=grafana.FieldConfigSource(
            defaults=look.defaults or written(words, columns[0]),
            overrides=[override(words, key, column) for column in columns] if len(columns) > 1 else [],
        ),
    )


def kpi(words: Words, key: str, query: Sql, columns: list[Column], at: Place) -> grafana.Panel:
    """Big numbers from the single row of the answer, one per column; named only when there are several, and in a grid
    when they are many."""
    named = common.BigValueTextMode.VALUE_AND_NAME if len(columns) > 1 else common.BigValueTextMode.VALUE
    options = stat.Options(
        color_mode=common.BigValueColorMode.VALUE,
        graph_mode=common.BigValueGraphMode.NONE,
        justify_mode=common.BigValueJustifyMode.CENTER,
        text_mode=named,
        orientation=common.VizOrientation.VERTICAL if len(columns) <= IN_A_ROW else common.VizOrientation.AUTO,
        reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], fields="", values=False),
    )
    return panel(words, key, query, columns, at, Look("stat", options))


def trend(
    words: Words, key: str, query: Sql, columns: list[Column], at: Place, limit: float | None = None
) -> grafana.Panel:
    """Lines over time, broken where readings are missing; `limit` draws a red line at a value."""
    options = timeseries.Options(
        legend=common.VizLegendOptions(
            display_mode=common.LegendDisplayMode.LIST,
            placement=common.LegendPlacement.BOTTOM,
            show_legend=True,
            calcs=[],
        ),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING),
    )
    built = panel(words, key, query, columns, at, Look("timeseries", options, lines(words, columns[0], limit)))
    built.interval = FINEST
    built.max_data_points = POINTS
    return built


def lines(words: Words, column: Column, limit: float | None) -> grafana.FieldConfig:
    """How a trend draws its series: by name in the same colour every time."""
    shown = written(words, column)
    shown.color = grafana.FieldColor(mode=grafana.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    shown.min_val = 0
    style = common.GraphThresholdsStyleMode.OFF
    if limit is not None:
        shown.thresholds = thresholds(((None, "transparent"), (limit, RED)))
        style = common.GraphThresholdsStyleMode.LINE
    shown.custom = common.GraphFieldConfig(
        draw_style=common.GraphDrawStyle.LINE,
        line_width=2,
        fill_opacity=0,
        show_points=common.VisibilityMode.AUTO,
        span_nulls=180_000,  # three of the finest buckets, in ms: a gap that is longer is a gap
        thresholds_style=common.GraphThresholdsStyleConfig(mode=style),
    )
    return shown


def newest_table(words: Words, key: str, query: Sql, columns: list[Column], at: Place) -> grafana.Panel:
    """Rows as they come, newest first by the query's own order."""
    options = table.Options(show_header=True, cell_height=common.TableCellHeight.SM)
    return panel(words, key, query, columns, at, Look("table", options))


def district_map(words: Words, key: str, query: Sql, columns: list[Column], at: Place) -> grafana.Panel:
    """A marker per row: place `lat`, `lon`, text `label`, size `devices`, colour by the first of `columns`.

    The base map is the server's own default, so that a centre without internet can set its own or none.
    """
    layer = common.MapLayerOptions(
        type_val="markers",
        name=words(key),
        location=common.FrameGeometrySource(
            mode=common.FrameGeometrySourceMode.COORDS, latitude="lat", longitude="lon"
        ),
        config={
            "showLegend": False,
            "style": {
                "color": {"field": columns[0].name, "fixed": MARKER},
                "opacity": 0.8,
                "rotation": {"fixed": 0, "max": 360, "min": -360, "mode": "mod"},
                "size": {"field": "devices", "fixed": 12, "max": 26, "min": 8},
                "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
                "text": {"field": "label", "fixed": "", "mode": "field"},
                "textConfig": {
                    "fontSize": 14,
                    "offsetX": 0,
                    "offsetY": 24,
                    "textAlign": "center",
                    "textBaseline": "middle",
                },
            },
        },
        tooltip=True,
    )
    options = geomap.Options(
        # The view fits what is chosen; `zoom` is only how near that may come.
        view=geomap.MapViewConfig(id_val="fit", lat=None, lon=None, zoom=11, padding=20),
        controls=geomap.ControlsOptions(show_zoom=True, mouse_wheel_zoom=False, show_attribution=True),
        basemap=common.MapLayerOptions(type_val="default", name="base", config={}),
        layers=[layer],
        tooltip=geomap.TooltipOptions(mode=geomap.TooltipMode.DETAILS),
    )
    return panel(words, key, query, columns, at, Look("geomap", options))
