"""Bands of states over time, one row per series."""

from datetime import datetime, timedelta
from html import escape
from typing import Any

from dashboards.macros import Range
from dashboards.preview.blocks import absent
from dashboards.preview.frame import Field, Frame
from dashboards.preview.style import LOCAL, Style, style_of, title_of

TICKS = 6


def timeline(panel: dict[str, Any], frames: list[Frame], time: Range) -> str:
    """A row per series: where its value stays the same, one band."""
    rows = [
        (title_of(style, field), bands(frame.fields[0], field, style, time))
        for frame in frames
        if frame.rows
        for field in frame.fields[1:]
        for style in [style_of(panel, field)]
    ]
    if not rows:
        return absent(panel)
    drawn = "".join(f'<div class="name">{escape(name)}</div><div class="bands">{made}</div>' for name, made in rows)
    return f'<div class="states">{drawn}<div></div><div class="ticks">{ticks(time)}</div></div>'


def bands(clock: Field, field: Field, style: Style, time: Range) -> str:
    """The bands of one series; NULL ends a band and draws none."""
    merged: list[tuple[datetime, Any]] = []
    for moment, value in zip(clock.values, field.values, strict=True):
        if moment is not None and (not merged or merged[-1][1] != value):
            merged.append((moment, value))
    ends = [moment for moment, _ in merged[1:]] + [time.end]
    return "".join(
        band(place(start, time), place(end, time), style, value)
        for (start, value), end in zip(merged, ends, strict=True)
        if value is not None
    )


def band(left: float, right: float, style: Style, value: Any) -> str:
    """One band, with its text where there is room."""
    shown = style.show(value)
    room = right - left > 0.9 * len(shown.text)
    look = f"left:{left:.2f}%;width:{max(0.1, right - left):.2f}%;background:{shown.colour}"
    return f'<div style="{look}" title="{escape(shown.text)}">{escape(shown.text) if room else ""}</div>'


def place(moment: datetime, time: Range) -> float:
    """Percent of the way through the time range."""
    whole = (time.end - time.start) / timedelta(seconds=1)
    return max(0.0, min(100.0, 100 * ((moment - time.start) / timedelta(seconds=1)) / whole))


def ticks(time: Range) -> str:
    """Times below the bands."""
    step = (time.end - time.start) / TICKS
    form = "%H:%M" if time.end - time.start <= timedelta(days=1) else "%d/%m %H:%M"
    return "".join(f"<span>{(time.start + n * step).astimezone(LOCAL).strftime(form)}</span>" for n in range(TICKS + 1))
