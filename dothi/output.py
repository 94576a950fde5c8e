"""How commands speak: tables and colour for people, one JSON document for scripts, logs on stderr."""

import sys
from collections.abc import Iterable, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

console = Console()
stderr = Console(stderr=True)


def print_json(document: object) -> None:
    """Write one JSON document to stdout, indented, with a newline at the end."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; a column head carries its unit, a None is shown as a dash."""
    table = Table(*columns, title=title, title_justify="left", header_style="bold")
    for row in rows:
        table.add_row(*("–" if cell is None else str(cell) for cell in row))
    console.print(table)
