"""The small vocabulary that boards are written in: a function per kind of panel.

A panel's `key` names its statement, its title in the catalogue of words, `<key>.about` its description,
`<key>.<column>` the title of a column of its answer. `w` is its width in columns of the grid of 24; the row gives place
and height.
"""

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.models import bargauge, common, stat, statetimeline, table, text, timeseries, units
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.column import COUNT, TEXT, Column, override, placement, thresholds, written
from dashboards.palette import TRANSPARENT, Steps
from dashboards.pen import Pen, Sql

FINEST = "1m"  # no panel asks for finer buckets than a wall can show
POINTS = 140  # Grafana may round up to twice as many: a line for each of 18 districts stays below 5,000 rows a query
IN_A_ROW = 10  # numbers that can be read side by side


class Look(NamedTuple):
    """A kind of panel: Grafana's name for it, its options, and how values are shown where the usual way does not do."""

    kind: str
    options: object
    defaults: grafana.FieldConfig | None = None
    named: bool = False  # also a single column has a title of its own
    absent: str = ""  # what stands for no value in one of many cells


def panel(pen: Pen, key: str, queries: Sequence[Sql], columns: Sequence[Column], w: int, look: Look) -> grafana.Panel:
    """What all panels share: words, data source, queries, how each column is written."""
    titled = len(columns) > 1 or look.named
    defaults = look.defaults or written(pen.words, columns[0])
    if pen.words.has(f"{key}.none"):
        defaults.no_value = pen.words(f"{key}.none")
    return grafana.Panel(
        type_val=look.kind,
        title=pen.say(key),
        description=pen.say(f"{key}.about"),
        datasource=pen.source.ref,
        targets=list(queries),
        grid_pos=grafana.GridPos(x=0, y=0, w=w, h=1),
        options=look.options,
        field_config=grafana.FieldConfigSource(
            defaults=defaults,
            overrides=[
                override(pen.words, column.title or pen.title(key, column.name), column, look.absent)
                for column in columns
                if titled
            ],
        ),
    )


def kpi(pen: Pen, key: str, columns: Sequence[Column], w: int) -> grafana.Panel:
    """Big numbers from the single row of the answer, one per column; named when there are several, and in a grid when
    they are many."""
    named = common.BigValueTextMode.VALUE_AND_NAME if len(columns) > 1 else common.BigValueTextMode.VALUE
    # By itself Grafana takes numbers alone.
    fields = "/.*/" if any(column.unit == TEXT for column in columns) else ""
    many = len(columns) > IN_A_ROW
    return panel(pen, key, [pen.rows(key)], columns, w, Look("stat", big(named, fields, many)))


def figure(pen: Pen, key: str, column: Column, w: int) -> grafana.Panel:
    """A big number that says what it is about: the answer is one row of time, metric (the words above the number) and
    the number, as a series whose name Grafana shows."""
    return panel(pen, key, [pen.lines(key)], [column], w, Look("stat", big(common.BigValueTextMode.VALUE_AND_NAME)))


def big(named: common.BigValueTextMode, fields: str = "", many: bool = False) -> stat.Options:
    """How big numbers are laid out: without a graph, coloured alone."""
    return stat.Options(
        color_mode=common.BigValueColorMode.VALUE,
        graph_mode=common.BigValueGraphMode.NONE,
        justify_mode=common.BigValueJustifyMode.CENTER,
        text_mode=named,
        orientation=common.VizOrientation.AUTO if many else common.VizOrientation.VERTICAL,
        reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], fields=fields, values=False),
    )


def top(pen: Pen, key: str, column: Column, w: int) -> grafana.Panel:
    """A bar per row of the answer, the longest first by the query's own order: columns `name` and the value."""
    options = bargauge.Options(
        display_mode=common.BarGaugeDisplayMode.BASIC,
        orientation=common.VizOrientation.HORIZONTAL,
        value_mode=common.BarGaugeValueMode.TEXT,
        reduce_options=common.ReduceDataOptions(calcs=[], fields="", values=True, limit=20),
        legend=common.VizLegendOptions(show_legend=False),
    )
    defaults = written(pen.words, column)
    defaults.min_val = 0
    # Its column has no title of its own, which Grafana would write at every bar.
    return panel(pen, key, [pen.rows(key)], [column], w, Look("bargauge", options, defaults))


def trend(
    pen: Pen,
    key: str,
    columns: Sequence[Column],
    w: int,
    limits: Steps = (),
    finest: str = FINEST,
    bars: bool = False,
    span: str | None = None,
    named: bool = False,
) -> grafana.Panel:
    """Lines over time, broken where readings are missing; `limits` draws a line at each value; `bars`: stacked; `span`:
    how far back it goes, whatever the board's range is; `named`: the only series has a title of its own."""
    options = timeseries.Options(
        legend=placement(),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING),
    )
    drawn = lines(pen, columns[0], limits, bars)
    built = panel(pen, key, [pen.lines(key)], columns, w, Look("timeseries", options, drawn, named))
    built.interval = finest
    built.max_data_points = POINTS
    built.time_from = span
    return built


def lines(pen: Pen, column: Column, limits: Steps, bars: bool) -> grafana.FieldConfig:
    """How a trend draws its series: by name in the same colour every time."""
    shown = written(pen.words, column)
    shown.color = grafana.FieldColor(mode=grafana.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    shown.min_val = 0 if column.unit == COUNT or bars else None
    style = common.GraphThresholdsStyleMode.OFF
    if limits:
        shown.thresholds = thresholds(((None, TRANSPARENT), *limits))
        style = common.GraphThresholdsStyleMode.DASHED
    shown.custom = common.GraphFieldConfig(
        draw_style=common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE,
        line_width=1 if bars else 2,
        fill_opacity=80 if bars else 0,
        stacking=common.StackingConfig(mode=common.StackingMode.NORMAL, group="A") if bars else None,
        show_points=common.VisibilityMode.NEVER if bars else common.VisibilityMode.AUTO,
        axis_soft_min=0 if column.unit == units.PercentUnit else None,
        span_nulls=False,  # statements give every bucket: what is missing is a gap
        thresholds_style=common.GraphThresholdsStyleConfig(mode=style),
    )
    return shown


def rows_of(pen: Pen, key: str, columns: Sequence[Column], w: int) -> grafana.Panel:
    """A table: rows as they come, in the query's own order."""
    options = table.Options(show_header=True, cell_height=common.TableCellHeight.SM)
    return panel(pen, key, [pen.rows(key)], columns, w, Look("table", options, named=True, absent="–"))


def state_timeline(pen: Pen, key: str, column: Column, w: int) -> grafana.Panel:
    """A band per series whose colour is its state, a number that the column has a word for: Grafana makes no series of
    texts. What nobody said is a gap."""
    options = statetimeline.Options(
        show_value=common.VisibilityMode.AUTO, legend=placement(), tooltip=common.VizTooltipOptions(), per_page=None
    )
    defaults = written(pen.words, column)
    defaults.custom = {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False}
    built = panel(pen, key, [pen.lines(key)], [column], w, Look("state-timeline", options, defaults))
    built.interval = FINEST
    built.max_data_points = POINTS
    return built


def note(pen: Pen, key: str, w: int) -> grafana.Panel:
    """Words that stand on the board."""
    options = text.Options(mode=text.TextMode.MARKDOWN, content=pen.say(f"{key}.text"))
    return panel(pen, key, [], [Column("text", TEXT)], w, Look("text", options))
