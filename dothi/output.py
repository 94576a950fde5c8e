"""How commands speak: tables and colour for people, one JSON document for scripts, logs on stderr."""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    console: Console
    stderr: Console

LOCAL = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # no summer time since 1975; needs no zone files
MOVING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def __getattr__(name: str) -> Any:
    """`console` and `stderr`, made when somebody writes there: an answer in JSON needs no library for it."""
    if name not in ("console", "stderr"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rich.console import Console

    made = globals()[name] = Console(stderr=name == "stderr")
    return made


def print_json(document: object) -> None:
    """Write one JSON document to stdout, indented, with a newline at the end."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def terminal() -> "Console":
    """Where people read."""
    made: Console = sys.modules[__name__].console
    return made


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table; a column head carries its unit, a None is shown as a dash."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title, title_justify="left", header_style="bold")
    for row in rows:
        table.add_row(*(Text(visible(shown(cell), "\n")) for cell in row))
    terminal().print(table)


def print_line(text: str, style: str | None = None, to: "Console | None" = None) -> None:
    """One line of text as it is: nothing in it is markup, and nothing reaches the terminal as a command."""
    if style is None and to is None:
        sys.stdout.write(visible(text) + "\n")
        return
    from rich.text import Text

    (to or terminal()).print(Text(visible(text)), highlight=False, soft_wrap=True, style=style)


def print_lines(lines: Iterable[str]) -> None:
    """Lines of a table as they are laid out."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def visible(text: str, besides: str = "") -> str:
    """Text with characters that would move the cursor, colour the screen or turn the direction of what follows, spelt.

    Devices choose their names. `besides`: such characters that stay.

    >>> visible("a\\x1b[31mb")
    'a<U+001B>[31mb'
    """
    return MOVING.sub(lambda found: found[0] if found[0] in besides else f"<U+{ord(found[0]):04X}>", text)


def shown(cell: object) -> str:
    """A cell as people in the province read it: times are theirs, nothing is a dash."""
    if isinstance(cell, datetime):
        return cell.astimezone(LOCAL).strftime("%d/%m/%Y %H:%M:%S")
    return "–" if cell is None else str(cell)
