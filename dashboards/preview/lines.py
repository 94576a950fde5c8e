"""Panels that plotly draws: lines and bars over time, bars by name, heat maps."""

from datetime import datetime, timedelta
from typing import Any

from dashboards.macros import Range
from dashboards.preview.frame import Field, Frame
from dashboards.preview.palette import FAINT, TEXT, colour
from dashboards.preview.style import LOCAL, Style, series_colours, style_of, title_of
from dashboards.preview.unit import SUFFIX

Figure = dict[str, Any]
GRID = "rgba(204,204,220,0.10)"
DASHES = {"dash": "dash", "dot": "dot"}


def over_time(panel: dict[str, Any], frames: list[Frame], time: Range) -> Figure | None:
    """Lines, or bars where a panel asks for them; None when no row came."""
    series = [
        (field, frame.fields[0], style_of(panel, field))
        for frame in frames
        if frame.rows
        for field in frame.fields[1:]
        if field.kind == "number"
    ]
    if not series:
        return None
    tints = series_colours([(title_of(style, field), style) for field, _, style in series])
    traces = [trace(*one, tint) for one, tint in zip(series, tints, strict=True)]
    shown = frame_of_chart(panel, series[0][2], time)
    shown["shapes"] = limits(series[0][2])
    styles = {style.get("custom.drawStyle") for *_, style in series}
    stacked = any(style.get("custom.stacking.mode", "none") != "none" for *_, style in series)
    if styles == {"bars"}:
        shown["barmode"] = "stack" if stacked else "overlay"
    return {"data": traces, "layout": shown}


def trace(field: Field, clock: Field, style: Style, tint: str) -> Figure:
    """One series."""
    name = title_of(style, field)
    times, values = unbroken(clock.values, field.values, style.get("custom.spanNulls", False))
    common = {"x": times, "y": values, "name": name, "hovertemplate": "%{y} %{fullData.name}<extra></extra>"}
    if style.get("custom.drawStyle") == "bars":
        return common | {"type": "bar", "marker": {"color": tint}}
    steps = {"stepAfter": "hv", "stepBefore": "vh", "smooth": "spline"}
    line = {
        "color": tint,
        "width": style.get("custom.lineWidth", 1),
        "shape": steps.get(style.get("custom.lineInterpolation", "linear"), "linear"),
        "dash": DASHES.get(style.get("custom.lineStyle.fill", ""), "solid"),
    }
    alone = sum(value is not None for value in values) <= 2
    mode = "markers" if style.get("custom.drawStyle") == "points" else "lines+markers" if alone else "lines"
    made = common | {"type": "scatter", "mode": mode, "line": line, "connectgaps": False}
    if style.get("custom.stacking.mode", "none") != "none":
        made["stackgroup"] = style.get("custom.stacking.group", "A")
    if style.get("custom.fillOpacity"):
        made |= {"fill": "tozeroy"} if "stackgroup" not in made else {}
        made["fillcolor"] = transparent(tint, style.get("custom.fillOpacity") / 100)
    return made


def unbroken(times: list[Any], values: list[Any], span: Any) -> tuple[list[str], list[Any]]:
    """Points with breaks: at every NULL, or only at gaps longer than `span` ms, or nowhere."""
    made: list[tuple[datetime, Any]] = []
    for moment, value in zip(times, values, strict=True):
        if value is None and span is not False:
            continue
        if made and isinstance(span, int | float) and span is not True and span is not False:
            last = made[-1][0]
            if moment - last > timedelta(milliseconds=span):
                made.append((last + (moment - last) / 2, None))
        made.append((moment, value))
    return [local(moment) for moment, _ in made], [value for _, value in made]


def local(moment: datetime) -> str:
    """A time on the axis: the centre's own clock."""
    return moment.astimezone(LOCAL).strftime("%Y-%m-%d %H:%M:%S")


def transparent(tint: str, share: float) -> str:
    """A colour that lets through what lies behind."""
    if not tint.startswith("#") or len(tint) != 7:
        return tint
    red, green, blue = (int(tint[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share:.2f})"


def limits(style: Style) -> list[Figure]:
    """Thresholds as lines, where the panel draws them."""
    if style.get("custom.thresholdsStyle.mode", "off") == "off":
        return []
    return [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": step["value"],
            "y1": step["value"],
            "line": {"color": colour(step["color"]), "width": 1.5},
        }
        for step in style.get("thresholds.steps", [])
        if step["value"] is not None
    ]


def frame_of_chart(panel: dict[str, Any], style: Style, time: Range) -> Figure:
    """Axes, legend and margins of a chart."""
    legend = panel.get("options", {}).get("legend", {})
    right = legend.get("placement") == "right"
    axis = {"gridcolor": GRID, "zeroline": False, "tickfont": {"color": FAINT, "size": 12}, "automargin": True}
    low, high = style.get("min", style.get("custom.axisSoftMin")), style.get("max")
    upright = axis | written(style)
    if (low, high) == (0, None):
        upright["rangemode"] = "tozero"
    elif (low, high) != (None, None):
        upright["range"] = [low, high]
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": TEXT, "family": "Inter, Helvetica, Arial, sans-serif", "size": 12},
        "margin": {"l": 8, "r": 12, "t": 6, "b": 8},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#22252B", "bordercolor": "#34363D"},
        "showlegend": bool(legend.get("showLegend", True)),
        "legend": {"x": 1.02, "y": 1} if right else {"orientation": "h", "x": 0, "y": -0.08, "yanchor": "top"},
        "xaxis": axis | {"type": "date", "range": [local(time.start), local(time.end)], "tickformat": clock_of(time)},
        "yaxis": upright,
    }


def clock_of(time: Range) -> str:
    """How times are written on an axis: the day only where there are several."""
    return "%H:%M" if time.end - time.start <= timedelta(days=1) else "%d/%m %H:%M"


def written(style: Style) -> Figure:
    """How the figures of an axis are written: with their unit, shares in percent."""
    unit = str(style.get("unit", "none"))
    if unit == "percentunit":
        return {"tickformat": ".0%"}
    if unit.startswith("suffix:"):
        return {"ticksuffix": f" {unit.removeprefix('suffix:')}"}
    return {"ticksuffix": SUFFIX.get(unit, "")}


def by_name(panel: dict[str, Any], frames: list[Frame]) -> Figure | None:
    """Bars over the texts of the first column."""
    if not frames or not frames[0].rows:
        return None
    names = next((field for field in frames[0].fields if field.kind in ("string", "time")), frames[0].fields[0])
    numbers = [field for field in frames[0].fields if field.kind == "number" and field is not names]
    texts = [local(one) if isinstance(one, datetime) else str(one) for one in names.values]
    lying = panel.get("options", {}).get("orientation") == "horizontal"
    styles = [style_of(panel, field) for field in numbers]
    titles = [title_of(style, field) for style, field in zip(styles, numbers, strict=True)]
    tints = series_colours(list(zip(titles, styles, strict=True)))
    traces: list[Figure] = []
    for field, title, tint in zip(numbers, titles, tints, strict=True):
        one = {"type": "bar", "name": title, "marker": {"color": tint}}
        across = {"y": texts, "x": field.values, "orientation": "h"} if lying else {"x": texts, "y": field.values}
        traces.append(one | across)
    now = datetime.now(LOCAL)
    shown = frame_of_chart(panel, styles[0] if styles else Style({}), Range(now, now))
    category = {"type": "category", "automargin": True, "tickfont": {"color": FAINT}}
    shown |= {"yaxis": category, "xaxis": {"gridcolor": GRID}} if lying else {"xaxis": category}
    return {"data": traces, "layout": shown}
