"""Tables of the alarm desk, laid out for the width of a terminal. Pure but for what asks the terminal.

Importing rich and drawing fifty alarms with it takes as long as all else that such a command does. What a letter takes
on a terminal is its knowledge all the same.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

GAP = "  "
LEAST = 8  # columns of a cell that folds, however narrow the terminal is
STYLES = {
    **{"bold white on red": "1;37;41", "bold red": "1;31", "yellow": "33", "cyan": "36"},
    **{"green": "32", "bold": "1", "dim": "2", "italic": "3"},
}


class Part(NamedTuple):
    """Some lines of a cell. `text`: nothing in it moves the cursor but line ends."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """`head`: its lines; `folds`: it gives way when all are too wide; `most`: no wider than that, None: any."""

    head: tuple[str, ...]
    folds: bool = True
    most: int | None = None


class Screen(NamedTuple):
    """What is written to: its width in columns, and whether it shows colours."""

    width: int
    colours: bool


def screen() -> Screen:
    """Standard output. 80 columns where it is no terminal; COLUMNS and NO_COLOR count."""
    shows = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")
    return Screen(shutil.get_terminal_size().columns, shows)


Cell = Sequence[Part]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], on: Screen, title: str = "") -> Iterator[str]:
    """The lines of a table: its heads, a rule, its rows."""
    heads = [[Part(line, "bold") for line in column.head] for column in columns]
    natural = [widest(cells) for cells in zip(heads, *rows, strict=True)]
    widths = fitted(natural, columns, on.width)
    if title:
        yield from ("", painted(title, "italic", on))
    else:
        yield ""
    yield from drawn(heads, widths, on)
    yield "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    for row in rows:
        yield from drawn(row, widths, on)
    yield ""


def widest(cells: Iterable[Cell]) -> int:
    """Columns that the longest line of these takes."""
    return max((cell_len(line) for cell in cells for part in cell for line in part.text.split("\n")), default=0)


def fitted(natural: Sequence[int], columns: Sequence[Column], width: int) -> list[int]:
    """How wide each is: what folds shares what the others leave, the narrow ones first.

    >>> fitted([5, 60, 10], [Column((), folds=False), Column(()), Column(())], 49)
    [5, 30, 10]
    """
    widths = [min(one, column.most or one) for one, column in zip(natural, columns, strict=True)]
    folding = sorted((place for place, column in enumerate(columns) if column.folds), key=lambda place: widths[place])
    left = width - len(GAP) * (len(widths) - 1) - sum(widths) + sum(widths[place] for place in folding)
    for number, place in enumerate(folding):
        widths[place] = min(widths[place], max(left // (len(folding) - number), LEAST))
        left -= widths[place]
    return widths


def drawn(cells: Sequence[Cell], widths: Sequence[int], on: Screen) -> Iterator[str]:
    """The lines of a row."""
    folded_ones = [
        [Part(line, part.style) for part in cell for line in folded(part.text, width)]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for number in range(max(map(len, folded_ones), default=0)):
        line = ""
        for lines, width in zip(folded_ones, widths, strict=True):
            part = lines[number] if number < len(lines) else Part("")
            line += painted(part.text, part.style, on) + " " * (width - cell_len(part.text)) + GAP
        yield line.rstrip()


def folded(text: str, width: int) -> list[str]:
    """Text in lines of at most so many columns, broken between words where that can be.

    >>> folded("mực nước cao", 8), folded("abcdefgh", 3)
    (['mực nước', 'cao'], ['abc', 'def', 'gh'])
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if cell_len(longer) <= width:
                line = longer
                continue
            whole = [line] if line else []
            *pieces, line = chop_cells(word, width) or [""]
            lines += whole + pieces
        lines.append(line)
    return lines


def painted(text: str, style: str, on: Screen) -> str:
    """Text in a style, where the screen has any."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if on.colours and style and text else text
