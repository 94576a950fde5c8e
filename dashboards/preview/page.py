"""The page of a preview: every dashboard that was asked, one at a time on the screen."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

from dashboards.preview import blocks
from dashboards.preview.asking import Answered, Asked
from dashboards.preview.frame import Frame
from dashboards.preview.geomap import geomap
from dashboards.preview.lines import by_name, over_time
from dashboards.preview.states import timeline
from dashboards.preview.style import LOCAL
from dashboards.words import Language

Drawing = Callable[[dict[str, Any], list[Frame]], str]
DRAWN: dict[str, Drawing] = {
    "stat": blocks.stat,
    "gauge": blocks.stat,
    "bargauge": blocks.bar_gauge,
    "table": blocks.table,
    "text": blocks.text,
    "geomap": geomap,
}
SAID = {
    "vi": "BẢN XEM TRƯỚC, không phải Grafana · dữ liệu lúc {at} · khoảng thời gian và lựa chọn cố định",
    "en": "PREVIEW, not Grafana · data as of {at} · time range and choices are fixed",
}


def page(asked: Sequence[Asked], at: datetime, language: Language) -> str:
    """One HTML document that asks nothing of the network."""
    from plotly.offline import get_plotlyjs

    figures: dict[str, Any] = {}
    said = SAID[language].format(at=at.astimezone(LOCAL).strftime("%Y-%m-%d %H:%M:%S"))
    boards = "".join(section(one, figures, said) for one in asked)
    links = "".join(f'<a href="#{one.board["uid"]}">{escape(one.board["title"])}</a>' for one in asked)
    # Nothing that a device sent may end the script it stands in.
    data = json.dumps(figures, ensure_ascii=False).replace("</", "<\\/")
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f"<title>dothi · {escape(asked[0].board['title'])}</title>"
        f"<style>{resource('page.css')}</style><script>{get_plotlyjs()}</script></head>\n"
        f"<body>{f'<nav>{links}</nav>' if len(asked) > 1 else ''}\n{boards}\n"
        f"<script>const FIGURES = {data};\n{resource('page.js')}</script></body></html>\n"
    )


def resource(name: str) -> str:
    """A file of this package."""
    return files("dashboards.preview").joinpath(name).read_text("utf-8")


def section(asked: Asked, figures: dict[str, Any], said: str) -> str:
    """One dashboard: its variables and what the page is above its grid."""
    board = asked.board
    labels = {
        v["name"]: v.get("label") or v["name"]
        for v in board.get("templating", {}).get("list", [])
        if v.get("hide") != 2
    }
    chosen = "".join(
        f"<span>{escape(labels[name])} <b>{escape(some(texts))}</b></span>"
        for name, texts in asked.chosen.items()
        if name in labels
    )
    span = "{} → {}".format(
        *(moment.astimezone(LOCAL).strftime("%d/%m %H:%M") for moment in (asked.time.start, asked.time.end))
    )
    panels = "".join(cell(one, asked, figures) for one in asked.panels)
    told = f'<b class="said">{escape(said)}</b><span>{span}</span>'
    head = f"<header><h1>{escape(board['title'])}</h1>{chosen}{told}</header>"
    return f'<section data-uid="{board["uid"]}">{head}<div class="grid">{panels}</div></section>'


def some(texts: tuple[str, ...]) -> str:
    """The choices of a variable in a few words."""
    return " + ".join(texts[:3]) + (f" + {len(texts) - 3}" if len(texts) > 3 else "")


def cell(answered: Answered, asked: Asked, figures: dict[str, Any]) -> str:
    """One panel at its place on the grid of 24 columns."""
    panel, at = answered.panel, answered.panel["gridPos"]
    place = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
    if panel["type"] == "row":
        return f'<h3 style="{place}">{escape(panel.get("title", ""))}</h3>'
    bare = " bare" if panel.get("transparent") else ""
    title = escape(panel.get("title", ""))
    about = escape(panel.get("description", ""))
    head = f'<h2 title="{about}">{title}</h2>' if title else ""
    return f'<div class="panel{bare}" style="{place}">{head}{body(answered, asked, figures)}</div>'


def body(answered: Answered, asked: Asked, figures: dict[str, Any]) -> str:
    """What is inside a panel."""
    panel, frames = answered.panel, answered.frames
    if answered.error:
        return f'<div class="error">{escape(answered.error)}</div>'
    kind = panel["type"]
    if kind in DRAWN:
        return DRAWN[kind](panel, frames)
    if kind in ("state-timeline", "status-history"):
        return timeline(panel, frames, asked.time)
    if kind in ("timeseries", "barchart"):
        figure = over_time(panel, frames, asked.time) if kind == "timeseries" else by_name(panel, frames)
        if figure is None:
            return blocks.absent(panel)
        name = f"{asked.board['uid']}-{panel['id']}"
        figures[name] = figure
        return f'<div class="chart" id="chart-{name}"></div>'
    return f'<div class="absent">{escape(kind)}: only in Grafana</div>'
