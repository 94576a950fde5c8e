"""The list of pending devices as a CSV that a person edits: written by `devices pending`, read by `devices accept`."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from dothi.errors import WrongUsage
from dothi.output import shown, visible

TO_EDIT = ("pending", "device", "profile", "area", "name")
TO_READ = ("likely", "messages", "last (Asia/Ho_Chi_Minh)", "holds")
COLUMNS = TO_EDIT + TO_READ
FORMULA = tuple("=+-@\t\r")
"""With what a cell begins that a spreadsheet would calculate; who names a device must not have it done."""


class Line(NamedTuple):
    """What a person wrote of one device; None where nothing stands. `number` counts from 1, the head included."""

    number: int
    pending: str
    device: str | None
    profile: str | None
    area: str | None
    name: str | None


def write(file: TextIO, documents: Iterable[dict[str, Any]]) -> None:
    """Each device as `devices pending --json` has it. What is not sure stays empty: a person must choose it."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in documents:
        said = one["proposal"]
        likely = [name for name in (said["profile"], *said["others"]) if name]
        holds = ", ".join(f"{name} {value}" for name, value in said["metrics"].items()) or one["sample"]
        edited = (one["name"], said["device"], said["profile"] if said["sure"] else None, said["area"], None)
        told = (" ".join(likely[:6]), one["messages"], shown(one["last"]), holds)
        writer.writerow([harmless(visible("" if cell is None else str(cell))) for cell in (*edited, *told)])


def harmless(cell: str) -> str:
    """A cell that a spreadsheet takes for text."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def as_named(cell: str) -> str:
    """The text of a cell that was made harmless."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def read(path: Path) -> list[Line]:
    """Every line that names a device. Raises WrongUsage: no such file, another head, a device on two lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(lines_of(file, path))
    except UnicodeDecodeError as error:
        raise WrongUsage(f"file {path}: byte {error.start} is not UTF-8; save it as CSV UTF-8") from None
    except csv.Error as error:
        raise WrongUsage(f"file {path}: not readable as CSV: {error}") from None
    except OSError as error:
        raise WrongUsage(f"file {path}: {error.strerror}") from None
    first: dict[str, int] = {}
    for line in lines:
        if first.setdefault(line.pending, line.number) != line.number:
            raise WrongUsage(f"file {path}, line {line.number}: {line.pending} stands on line {first[line.pending]}")
    if not lines:
        raise WrongUsage(f"file {path}: no line names a device; write one with: dothi devices pending --csv")
    return lines


def lines_of(file: TextIO, path: Path) -> Iterator[Line]:
    """Lines by the names of the first one; a spreadsheet may have written semicolons or tabs."""
    start = file.readline()
    delimiter = max(",;\t", key=start.count)
    head = [name.strip() for name in next(csv.reader([start], delimiter=delimiter), [])]
    strange = [name for name in head if name not in COLUMNS]
    if "pending" not in head or strange:
        said = f"unknown column {strange[0][:40]!r}" if strange else "no column pending"
        raise WrongUsage(f"file {path}: {said}; allowed: {', '.join(COLUMNS)}")
    reader = csv.reader(file, delimiter=delimiter)
    for cells in reader:
        said_of = dict(zip(head, map(str.strip, cells), strict=False))
        if said_of.get("pending"):
            edited = [as_named(said_of.get(column, "")) or None for column in TO_EDIT]
            yield Line(reader.line_num + 1, edited[0] or "", *edited[1:])
