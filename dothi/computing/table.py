"""A CSV file → columns of numbers, times and words; whatever cannot be read is named with its line and column."""

import csv
import io
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dothi.computing.kind import Column, Kind
from dothi.errors import WrongUsage
from dothi.output import LOCAL

SHOWN = 40  # characters of a cell in a message


def read_table(path: Path, kind: Kind) -> dict[str, npt.NDArray[Any]]:
    """The columns of a kind from a file (`-`: standard input). Raises WrongUsage."""
    named = "standard input" if path == Path("-") else str(path)
    head, lines = rows_in(text_of(path, named), named)
    missing = [column.name for column in kind.columns if column.needed and column.name not in head]
    if missing:
        asked = ",".join(column.name for column in kind.columns)
        raise WrongUsage(f"{named}: no column {', '.join(missing)}; {kind.name} reads {asked}")
    return {column.name: column_of(column, head, lines, named) for column in kind.columns}


def text_of(path: Path, named: str) -> str:
    """The whole file."""
    try:
        raw = sys.stdin.buffer.read() if path == Path("-") else path.read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{named}: byte {error.start + 1} is not UTF-8; save the file as CSV UTF-8") from None
    except OSError as error:
        raise WrongUsage(f"{named} cannot be read: {error.strerror}") from None


def rows_in(text: str, named: str) -> tuple[dict[str, int], list[tuple[int, list[str]]]]:
    """Column → its place, and the rows that are not empty with their line numbers."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise WrongUsage(f"{named} line {reader.line_num}: {error}") from None
    if not lines:
        raise WrongUsage(f"{named} is empty; its first line is to name the columns")
    names = [cell.strip().lower() for cell in lines[0][1]]
    if twice := {name for name in names if names.count(name) > 1 and name}:
        raise WrongUsage(f"{named}: column {min(twice)} is there twice")
    return {name: place for place, name in enumerate(names)}, lines[1:]


def column_of(column: Column, head: dict[str, int], lines: list[tuple[int, list[str]]], named: str) -> npt.NDArray[Any]:
    """One column, read as what it is."""
    place = head.get(column.name, -1)
    cells = [cells[place].strip() if 0 <= place < len(cells) else "" for _, cells in lines]
    read = {"number": number, "text": text, "time": time}[column.kind]
    found = []
    for (line, _), cell in zip(lines, cells, strict=True):
        if not cell and not column.gaps and column.needed:
            expected = f"a {column.kind}{unit_of(column, 'in ')}"
            raise WrongUsage(f"{named} line {line}, {column.name}: empty; expected {expected}")
        try:
            found.append(read(cell, column))
        except ValueError as error:
            shown = cell if len(cell) <= SHOWN else cell[:SHOWN] + "…"
            raise WrongUsage(f"{named} line {line}, {column.name}: {shown!r} is {error}") from None
    kinds = {"number": "f8", "text": "U", "time": "M8[us]"}
    return np.array(found, kinds[column.kind]) if found else np.zeros(0, kinds[column.kind])


def number(cell: str, column: Column) -> float:
    """A number within the column's bounds; NaN for an empty cell."""
    if not cell or (column.gaps and cell.lower() in ("nan", "na", "null")):
        return np.nan
    try:
        value = float(cell.replace("_", "x"))
    except ValueError:
        raise ValueError(f"no number{' (write 1.5, not 1,5)' if ',' in cell else ''}") from None
    if not column.low <= value <= column.high or not np.isfinite(value):
        raise ValueError(f"not between {column.low:g} and {column.high:g}{unit_of(column)}")
    return value


def text(cell: str, column: Column) -> str:
    """A word as it is."""
    return cell


def time(cell: str, column: Column) -> np.datetime64:
    """Local time; one with a zone is turned into it."""
    if not cell:
        return np.datetime64("NaT")
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("no time; write 2026-01-31 14:00 (local) or 2026-01-31T07:00:00Z") from None
    return np.datetime64(moment.astimezone(LOCAL).replace(tzinfo=None) if moment.tzinfo else moment, "us")


def unit_of(column: Column, before: str = "") -> str:
    """For a message."""
    return f" {before}{column.unit}" if column.unit else ""
