"""`make demo` in a terminal: a city that moves, or a plain line every few seconds where stdout is no terminal."""

import threading
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from devices.family import FAMILIES, Metric
from devices.units import WRITTEN
from dothi.output import LOCAL, console
from dothi.snapshot import EMPTY, FamilyLine, Newest, Reader, Snapshot

ROUND_S = 1.0
PLAIN_EVERY_S = 5.0
SIDE_BY_SIDE = 100
"""Columns from which the two tables stand beside each other."""
HEAD_LINES = 3
FEWEST = 3
"""Lines for families in the smallest terminal."""
PREFIXES = ("Thành phố ", "Thị xã ", "Huyện ")


def watch(stack_document: dict[str, Any], stop: threading.Event, until: float | None) -> None:
    """Show the stack until `stop` is set or `until` (s since 1970) has come; a database that restarts is waited for."""
    reader = Reader(stack_document["reader"])
    begun = time.time()
    try:
        if console.is_terminal:
            _watch_live(reader, stack_document, stop, begun, until)
        else:
            _watch_plain(reader, stack_document, stop, begun, until)
    finally:
        reader.close()


def _watch_live(
    reader: Reader, document: dict[str, Any], stop: threading.Event, begun: float, until: float | None
) -> None:
    first = render(EMPTY, document, 0.0, console.width, console.height)
    with Live(first, console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while not stop.is_set() and not _past(until):
            picture = render(reader.snapshot(), document, time.time() - begun, console.width, console.height)
            live.update(picture, refresh=True)
            stop.wait(_pause(until))


def _watch_plain(
    reader: Reader, document: dict[str, Any], stop: threading.Event, begun: float, until: float | None
) -> None:
    for line in _foot(document):
        console.print(line.plain, soft_wrap=True, highlight=False)
    while not stop.wait(_pause(until, PLAIN_EVERY_S)):
        console.print(plain(reader.snapshot(), time.time() - begun), soft_wrap=True, highlight=False)
        if _past(until):
            return


def _past(until: float | None) -> bool:
    return until is not None and time.time() >= until


def _pause(until: float | None, most: float = ROUND_S) -> float:
    return most if until is None else min(max(until - time.time(), 0.0), most)


def plain(snapshot: Snapshot, seconds: float) -> str:
    """One line for a log."""
    totals, flow = snapshot.totals, snapshot.flow
    figures = (
        f"received {totals.received:,}  stored {totals.stored:,}  {flow.rate_per_s:,.0f} messages/s  "
        f"lag {flow.lag_s:.1f} s  in flight {flow.in_flight:,}  quarantined {totals.quarantined:,}  "
        f"duplicates {totals.duplicate:,}  partial {totals.partial:,}"
    )
    return f"{seconds:.0f} s  {snapshot.trouble or figures}"


def render(snapshot: Snapshot, document: dict[str, Any], seconds: float, width: int, height: int) -> RenderableType:
    """The whole picture in at most `width` × `height` cells; `seconds`: how long the view has been up."""
    foot = _foot(document)
    wide = width >= SIDE_BY_SIDE
    room = height - HEAD_LINES - len(foot)
    families = _fitting(snapshot, room - 1 - (0 if wide else len(snapshot.newest) + 1))
    if not wide:
        room -= len(families) + 1
    gap = [Text()] if room > max(len(snapshot.newest), len(families) if wide else 0) + 3 else []
    tables = [_families(families), _districts(snapshot, room - 1 - 2 * len(gap))]
    if wide:
        both = Table.grid(padding=(0, 3))
        both.add_row(*tables)
        tables = [both]
    return Group(_head(snapshot, document, seconds), _figures(snapshot, width), *gap, *tables, *gap, *foot)


def _head(snapshot: Snapshot, document: dict[str, Any], seconds: float) -> Text:
    clock = snapshot.taken.astimezone(LOCAL).strftime("%H:%M:%S") if snapshot.taken else "--:--:--"
    if snapshot.trouble:
        return Text(
            f"dothi  {_span(seconds)}  {snapshot.trouble}", style="bold yellow", no_wrap=True, overflow="ellipsis"
        )
    brokers = [entry["url"] for entry in document.get("brokers") or [{"url": document.get("broker") or ""}]]
    addresses = "  ".join(_address(url) for url in [*brokers, document["reader"]] if url)
    line = Text.assemble(("dothi", "bold"), f"  up {_span(seconds)}  {clock}  {addresses}")
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _figures(snapshot: Snapshot, width: int) -> Table:
    totals, flow = snapshot.totals, snapshot.flow
    cells = [
        ("messages/s", f"{flow.rate_per_s:,.0f}", "bold green" if flow.rate_per_s else "bold"),
        ("rows stored", f"{totals.stored:,}", "bold"),
        ("lag s", f"{flow.lag_s:.1f}", "bold" if flow.lag_s < 5 else "bold red"),
        ("in flight", f"{flow.in_flight:,}", "bold"),
        ("quarantined", f"{totals.quarantined:,}", "bold"),
        ("duplicates", f"{totals.duplicate:,}", "bold"),
        ("partial", f"{totals.partial:,}", "bold"),
    ]
    table = Table.grid(expand=True)
    for _ in cells:
        table.add_column(justify="right", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name, _, _ in cells))
    table.add_row(*(Text(value, style=style) for _, value, style in cells))
    table.width = min(width, 96)
    return table


def _fitting(snapshot: Snapshot, room: int) -> list[tuple[str, FamilyLine]]:
    """Label and figures of as many families as there is room for: those with the most devices, the rest as one."""
    lines, most = list(snapshot.families), max(room, FEWEST)
    if len(lines) > most:
        lines.sort(key=lambda line: line.devices, reverse=True)
    shown, rest = (lines, []) if len(lines) <= most else (lines[: most - 1], lines[most - 1 :])
    named = [(FAMILIES[line.family].label["en"], line) for line in shown]
    if rest:
        devices, online = sum(line.devices for line in rest), sum(line.reporting for line in rest)
        every = FamilyLine("", devices, online, sum(line.per_minute for line in rest))
        named.append((f"{len(rest)} more families", every))
    return named


def _families(lines: list[tuple[str, FamilyLine]]) -> Table:
    table = _table("family", "devices >", "online >", "readings/min >")
    for label, line in lines:
        table.add_row(label, f"{line.devices:,}", f"{line.reporting:,}", f"{line.per_minute:,.0f}")
    return table


def _districts(snapshot: Snapshot, room: int) -> Table:
    table = _table("district", "newest reading", "age >")
    for newest in snapshot.newest[: max(room, 0)]:
        age = (snapshot.taken - newest.received).total_seconds() if snapshot.taken else 0.0
        table.add_row(_short(newest.name), _reading(newest), _age(max(age, 0.0)))
    return table


def _foot(document: dict[str, Any]) -> list[Text]:
    """Where the dashboards are: a running Grafana, or the folder and how to hand it to one."""
    if grafana := document.get("grafana"):
        lines = [f"Grafana: {grafana}"]
    elif folder := document.get("dashboards"):
        lines = [
            f"dashboards: {folder}",
            "in a Grafana: GF_PATHS_PROVISIONING=<that folder>/provisioning grafana server",
        ]
    else:
        lines = ["dashboards for your Grafana: dothi dashboards build FOLDER --dir STACK"]
    return [Text(line, style="cyan", no_wrap=True, overflow="ellipsis") for line in lines]


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        name, mark, _ = head.partition(" >")
        table.add_column(name, justify="right" if mark else "left", no_wrap=True)
    return table


def _reading(newest: Newest) -> Text:
    family = FAMILIES[newest.family]
    metric = family.metrics[family.index[newest.metric]]
    return Text.assemble((f"{metric.label['en']} ", "dim"), _value(metric, newest.value))


def _value(metric: Metric, value: float | str) -> str:
    if isinstance(value, str):
        return value
    if (metric.unit, metric.low, metric.high) == ("1", 0.0, 1.0):
        return f"{100 * value:.0f} %"
    digits = 0 if abs(value) >= 1000 or float(value).is_integer() else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {'' if metric.unit == '1' else WRITTEN.get(metric.unit, metric.unit)}".rstrip()


def _short(name: str) -> str:
    for prefix in PREFIXES:
        if name.startswith(prefix) and prefix != "Thành phố ":
            return name.removeprefix(prefix)
    return name.replace("Thành phố ", "TP ")


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme} {parts.hostname}:{parts.port}"


def _span(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


def _age(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )
