"""Panels of numbers and rows as HTML: stat, gauge, bar gauge, table, text."""

import math
import re
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

from dashboards.preview.frame import Field, Frame
from dashboards.preview.style import Shown, Style, mapping, style_of, title_of

# Widths as shares of the height of a letter, a little generous: what does not fit would be cut.
WIDTHS = {"%": 1.0, ".": 0.34, ",": 0.34, ":": 0.36, " ": 0.32, "i": 0.32, "l": 0.32, "/": 0.38, "m": 0.98, "M": 0.9}
WIDTH, CAPITAL = 0.64, 0.74
MOST_ROWS = 200


class Tile(NamedTuple):
    """One number of a panel: its name, how it is shown, where it lies between least and most (0 to 1)."""

    title: str
    shown: Shown
    share: float


def reduced(values: list[Any], how: str) -> Any:
    """One value for a column."""
    known = [value for value in values if value is not None]
    numbers = [value for value in known if isinstance(value, int | float)]
    match how:
        case "last":
            return values[-1] if values else None
        case "first":
            return values[0] if values else None
        case "firstNotNull":
            return known[0] if known else None
        case "count":
            return len(values)
        case "sum" | "total":
            return sum(numbers)
        case "mean":
            return sum(numbers) / len(numbers) if numbers else None
        case "max" | "min":
            return {"max": max, "min": min}[how](numbers) if numbers else None
    return known[-1] if known else None


def tiles(panel: dict[str, Any], frames: list[Frame]) -> Iterator[Tile]:
    """The numbers of a stat or a gauge, one per column or one per row."""
    options = panel.get("options", {}).get("reduceOptions", {})
    how = (options.get("calcs") or ["lastNotNull"])[0]
    for frame in frames:
        columns = [field for field in frame.fields if wanted(field, options.get("fields", ""), panel)]
        if not options.get("values"):
            for field in columns:
                style = style_of(panel, field)
                yield tile(style, reduced(field.values, how), title_of(style, field), field.values)
            continue
        names = next((field for field in frame.fields if field.kind == "string"), None)
        for row in range(min(frame.rows, int(options.get("limit") or 25))):
            for field in columns:
                style = style_of(panel, field)
                own = title_of(style, field)
                told = names is not None and names is not field and not style.get("displayName")
                name = str(names.values[row]) if names and told else own
                yield tile(style, field.values[row], name if len(columns) < 2 else f"{name} {own}", field.values)


def wanted(field: Field, pattern: str, panel: dict[str, Any]) -> bool:
    """Whether a panel of numbers shows a column: numbers, or what its pattern asks for."""
    if pattern:
        title = title_of(style_of(panel, field), field)
        return bool(re.search(pattern.strip("/"), title) or pattern == title)
    return field.kind == "number"


def tile(style: Style, value: Any, title: str, values: list[Any]) -> Tile:
    """A number with its place between the least and the most of its column."""
    numbers = [float(one) for one in values if isinstance(one, int | float)]
    low = float(style.get("min", min(numbers, default=0.0)))
    high = float(style.get("max", max(numbers, default=1.0)))
    number = float(value) if isinstance(value, int | float) else low
    share = (number - low) / (high - low) if high > low else 0.0
    return Tile(title, style.show(value), max(0.0, min(1.0, share)))


def stat(panel: dict[str, Any], frames: list[Frame]) -> str:
    """Big numbers beside or below each other, as many columns as let them be largest."""
    shown = list(tiles(panel, frames)) or [nothing(panel)]
    options = panel.get("options", {})
    mode = options.get("textMode", "auto")
    named = mode in ("value_and_name", "name") or (mode == "auto" and len(shown) > 1)
    at = panel["gridPos"]
    wide, high = at["w"] * 78, at["h"] * 38 - 40
    across = across_of(len(shown), wide, high, options.get("orientation", "auto"))
    longest = max(wide_of(one.shown.text) for one in shown)
    filled = options.get("colorMode") == "background"
    cells = "".join(stat_cell(one, named, mode, filled) for one in shown)
    return f'<div class="stats" style="--across:{across};--long:{max(2.0, longest):.2f}">{cells}</div>'


def wide_of(text: str) -> float:
    """How wide a text is, in heights of its letters."""
    return sum(WIDTHS.get(letter, CAPITAL if letter.isupper() else WIDTH) for letter in text)


def across_of(number: int, wide: float, high: float, orientation: str) -> int:
    """How many numbers stand side by side."""
    if orientation == "vertical":
        return number
    if orientation == "horizontal":
        return 1
    return max(range(1, number + 1), key=lambda n: min(wide / n / 4, high / math.ceil(number / n)))


def stat_cell(one: Tile, named: bool, mode: str, filled: bool) -> str:
    """One number; on a coloured ground when the panel asks for that and there is something to say."""
    if mode == "none":
        return f'<div class="stat" style="background:{one.shown.colour}"></div>'
    wide = f"--wide:{max(1.0, wide_of(one.title)):.2f}"  # a name that is too long is written smaller
    name = f'<div class="name" style="{wide}">{escape(one.title)}</div>' if named else ""
    value = "" if mode == "name" else f'<div class="value">{escape(one.shown.text)}</div>'
    look = f"background:{one.shown.colour};color:#111217" if filled else f"color:{one.shown.colour}"
    return f'<div class="stat{" named" if named else ""}" style="{look}">{name}{value}</div>'


def nothing(panel: dict[str, Any]) -> Tile:
    """What stands where no row came."""
    style = Style(panel.get("fieldConfig", {}).get("defaults", {}))
    return Tile("", style.show(None), 0.0)


def bar_gauge(panel: dict[str, Any], frames: list[Frame]) -> str:
    """A bar per number; its length is the share between least and most."""
    bars = list(tiles(panel, frames))
    if not bars:
        return absent(panel)
    upright = panel.get("options", {}).get("orientation") == "vertical"
    rows = "".join(
        f'<div class="bar"><div class="name">{escape(one.title)}</div>'
        f'<div class="track"><div style="{"height" if upright else "width"}:{100 * one.share:.1f}%;'
        f'background:{one.shown.colour}"></div></div>'
        f'<div class="value" style="color:{one.shown.colour}">{escape(one.shown.text)}</div></div>'
        for one in bars
    )
    return f'<div class="bars{" upright" if upright else ""}">{rows}</div>'


def table(panel: dict[str, Any], frames: list[Frame]) -> str:
    """Rows as they come; says how many there are when not all are drawn."""
    if not frames or not frames[0].rows:
        return absent(panel)
    frame = frames[0]
    columns = [(field, style_of(panel, field)) for field in frame.fields]
    columns = [(field, style) for field, style in columns if not hidden(style)]
    head = "".join(f"<th{width(style)}>{escape(title_of(style, field))}</th>" for field, style in columns)
    rows = "".join(
        "<tr>" + "".join(cell(style, field.values[row], field.kind) for field, style in columns) + "</tr>"
        for row in range(min(frame.rows, MOST_ROWS))
    )
    shown = "" if panel.get("options", {}).get("showHeader") is False else f"<thead><tr>{head}</tr></thead>"
    return f'<div class="scroll"><table>{shown}<tbody>{rows}</tbody></table></div>'


def hidden(style: Style) -> bool:
    """Whether a column is not to be seen."""
    return bool(style.get("custom.hidden") or style.get("custom.hideFrom.viz"))


def width(style: Style) -> str:
    """The width that a column asks for."""
    return f' style="width:{style.get("custom.width")}px"' if style.get("custom.width") else ""


def cell(style: Style, value: Any, kind: str) -> str:
    """One cell of a table, coloured as its column says."""
    shown = style.show(value)
    form = style.get("custom.cellOptions.type", "auto")
    mapped = mapping(style.get("mappings", []), value)
    look = f"color:{shown.colour}" if form == "color-text" or (form == "auto" and mapped.get("color")) else ""
    if form == "color-background":
        look = f"background:{shown.colour};color:{'inherit' if shown.colour == 'transparent' else '#111217'}"
    align = style.get("custom.align") or ("right" if kind == "number" else "left")
    text = escape(shown.text)
    links = style.get("links", [])
    if links:
        text = f'<a href="{escape(near(links[0]["url"]))}" title="{escape(links[0].get("title", ""))}">{text}</a>'
    return f'<td style="text-align:{align};{look}">{text}</td>'


def near(url: str) -> str:
    """A link to another dashboard as a place on this page; what leads elsewhere leads nowhere here."""
    found = re.match(r"/d/([a-z0-9-]+)", url)
    return f"#{found[1]}" if found else "#"


def text(panel: dict[str, Any], frames: list[Frame]) -> str:
    """Text: HTML as it is, Markdown's headings, lists, emphasis and links."""
    content = str(panel.get("options", {}).get("content", ""))
    if panel.get("options", {}).get("mode") == "html":
        return f'<div class="text">{content}</div>'
    return f'<div class="text">{markdown(content)}</div>'


def markdown(content: str) -> str:
    """The little Markdown that dashboards use."""
    made: list[str] = []
    for line in escape(content, quote=False).splitlines():
        line = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", line)
        line = re.sub(r"`(.+?)`", r"<code>\1</code>", line)
        line = re.sub(r"\[(.+?)\]\((.+?)\)", lambda found: f'<a href="{near(found[2])}">{found[1]}</a>', line)
        heading = re.match(r"(#{1,4}) (.*)", line)
        item = re.match(r"\s*(?:[-*]|\d+\.) (.*)", line)
        if heading:
            made.append(f"<h{len(heading[1])}>{heading[2]}</h{len(heading[1])}>")
        else:
            made.append(f"<li>{item[1]}</li>" if item else f"<p>{line}</p>" if line.strip() else "")
    return "".join(made)


def absent(panel: dict[str, Any]) -> str:
    """What stands in a panel without rows."""
    return f'<div class="absent">{escape(nothing(panel).shown.text)}</div>'
