"""How commands speak: tables and colour for people, one JSON document for scripts, logs on stderr."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone

import msgspec
from rich.console import Console
from rich.table import Table

LOCAL = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # no summer time since 1975; needs no zone files
console = Console()
stderr = Console(stderr=True)


def print_json(document: object) -> None:
    """Write one JSON document to stdout, indented, with a newline at the end."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; a column head carries its unit, a None is shown as a dash."""
    table = Table(*columns, title=title, title_justify="left", header_style="bold")
    for row in rows:
        table.add_row(*map(shown, row))
    console.print(table)


def shown(cell: object) -> str:
    """A cell as people in the province read it: times are theirs, nothing is a dash."""
    if isinstance(cell, datetime):
        return cell.astimezone(LOCAL).strftime("%d/%m/%Y %H:%M:%S")
    return "–" if cell is None else str(cell)
