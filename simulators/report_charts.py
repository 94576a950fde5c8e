"""The charts of a report, drawn by plotly's own library inside the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulators.report_words import PARTS

COLOURS = ("#1f6feb", "#d97706", "#1a7f4b", "#9333ea", "#b3261e", "#0e7490", "#6b7280")
HEIGHT = 340
Line = tuple[str, Sequence[Any], Sequence[Any]]
"""Name, x, y."""


def library() -> str:
    """plotly.js, to stand inside the page."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def charts(document: Mapping[str, Any]) -> dict[str, str]:
    """By section, the charts as HTML that needs `library`."""
    processes, flow = document["processes"], document["processes"]["platform"]
    at, delays, steps = processes["at_s"], document["delays"]["over_time_s"], document["rates"]["at_s"]
    rates = [(name, steps, values) for name, values in document["rates"]["per_s"].items()]
    waits = [
        ("sent → PUBACK, 99 %", steps, delays["answer"]["p99"]),
        ("sent → PUBACK, half", steps, delays["answer"]["p50"]),
        ("sent → received, 99 %", steps, delays["received"]["p99"]),
        ("due → sent, 99 %", steps, delays["late"]["p99"]),
    ]
    cores = [(PARTS.get(name, name), at, values) for name, values in processes["cores"].items()]
    memory = [(PARTS.get(name, name), at, values) for name, values in processes["memory_mib"].items()]
    return {
        "rates": chart(rates, "messages/s"),
        "delays": chart(waits, "s", logarithmic=True),
        "processes": chart(cores, "cores in use", stacked=True)
        + chart(memory, "memory, MiB")
        + chart([("lag of the workers", at, flow["lag_s"])], "lag, s")
        + chart([("in the hands of the workers", at, flow["in_flight"])], "messages"),
    }


def chart(lines: Sequence[Line], unit: str, *, stacked: bool = False, logarithmic: bool = False) -> str:
    """Lines over the seconds of the run."""
    import plotly.graph_objects as go
    from plotly.io import to_html

    figure = go.Figure(
        [
            go.Scatter(
                name=name,
                x=list(x),
                y=list(y),
                mode="lines",
                line={"color": COLOURS[place % len(COLOURS)], "width": 2},
                stackgroup="one" if stacked else None,
            )
            for place, (name, x, y) in enumerate(lines)
        ]
    )
    axis = {"title": {"text": unit}, "gridcolor": "#e6ebf0"}
    axis |= {"type": "log"} if logarithmic else {"rangemode": "tozero"}
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 70, "r": 20, "t": 20, "b": 50},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.12},
        xaxis={"title": {"text": "seconds since the start"}, "gridcolor": "#e6ebf0"},
        yaxis=axis,
        template="none",
    )
    config = {"displayModeBar": False}
    return str(to_html(figure, include_plotlyjs=False, full_html=False, config=config))
