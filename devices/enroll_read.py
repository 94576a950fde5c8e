"""An enrolment file as lines of cells, in one pass: CSV (comma, semicolon or tab) or JSON lines, in UTF-8."""

import csv
import io
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import BinaryIO, NamedTuple, Protocol

import msgspec

REQUIRED = ("device", "profile", "area")
OPTIONAL = (
    *("name", "lat", "lon", "alias"),
    *("owner", "installed", "serial", "firmware", "tags", "eui", "state"),
)
COLUMNS = REQUIRED + OPTIONAL
LISTS = ("alias", "tags")
LONGEST_LINE = 65_536


class Reader(Protocol):
    """What csv.reader makes."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...


class Unreadable(NamedTuple):
    """Why a line, or a column of the head, says nothing."""

    column: str
    value: str
    detail: str


Record = tuple[int, dict[str, str] | Unreadable]


def records(file: BinaryIO) -> Iterator[Record]:
    """Number of the line, from 1, and its cells by column, without the blanks around them, or why it has none.

    What comes after a line that leaves the rest unclear is not read.
    """
    start = file.read(4096)
    file.seek(0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield 1, Unreadable("", "", "the file is UTF-16 (Excel's Unicode text); save it as CSV UTF-8")
        return
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = json_records if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")) else csv_records
    try:
        yield from reader(text)
    except UnicodeDecodeError:
        yield not_utf_8(file)
    finally:
        text.detach()  # the file is the caller's to close


def not_utf_8(file: BinaryIO) -> Record:
    """The first line with a byte that is not UTF-8."""
    file.seek(0)
    for line, content in enumerate(file, 1):
        try:
            content.decode()
        except UnicodeDecodeError as error:
            byte = f"byte {error.start + 1} of the line, 0x{content[error.start]:02x}"
            detail = f"{byte}, is not UTF-8; save the file as UTF-8"
            return line, Unreadable("", "", detail)
    return 1, Unreadable("", "", "the file is not UTF-8; save it as UTF-8")


def csv_records(text: io.TextIOWrapper) -> Iterator[Record]:
    """Rows under the names of the first line."""
    reader: Reader | None = None
    try:
        columns, reader = head_of(text)
        mistakes = list(check_head(columns))
        if mistakes:
            yield from ((1, mistake) for mistake in mistakes)
            return
        width = len(columns)
        for cells in reader:
            if len(cells) == width and any(cells):
                yield reader.line_num + 1, dict(zip(columns, map(str.strip, cells), strict=True))
            elif any(cells):
                detail = f"more or fewer values than the first line names: {len(cells)}, not {width}"
                yield reader.line_num + 1, Unreadable("", "", detail)
    except csv.Error as error:
        line = reader.line_num + 1 if reader else 1
        yield line, Unreadable("", "", f"not readable as CSV: {error}")


def head_of(text: io.TextIOWrapper) -> tuple[list[str], Reader]:
    """Names of the columns, and a reader of the lines that follow."""
    first = text.readline(LONGEST_LINE)
    delimiter = max(",;\t", key=first.count)
    head = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    return [name.strip().lower() for name in head], csv.reader(text, delimiter=delimiter, strict=True)


def check_head(columns: Sequence[str]) -> Iterator[Unreadable]:
    """The first line must name the required columns and nothing unknown; `area` may be left to the position."""
    for column in REQUIRED:
        if column not in columns and (column != "area" or not {"lat", "lon"} <= set(columns)):
            said = ",".join(columns)[:80]
            yield Unreadable(column, said, f"column missing; needed: {', '.join(REQUIRED)}")
    for place, column in enumerate(columns):
        if column not in COLUMNS:
            near = get_close_matches(column, COLUMNS, 1)
            hint = f"; {near[0]} is meant?" if near else ""
            yield Unreadable(column[:80], column[:80], f"unknown column; allowed: {', '.join(COLUMNS)}{hint}")
        elif column in columns[:place]:
            yield Unreadable(column, column, "stands in the first line twice")


def json_records(text: io.TextIOWrapper) -> Iterator[Record]:
    """One object per line; a null says that there is nothing."""
    decode = msgspec.json.Decoder().decode
    for line, content in enumerate(text, 1):
        if content.strip():
            try:
                said = decode(content)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
                yield line, Unreadable("", content[:40].strip(), f"one JSON object per line is expected: {error}")
            else:
                yield line, object_cells(said)


def object_cells(said: object) -> dict[str, str] | Unreadable:
    """The members of an object as cells."""
    if not isinstance(said, dict):
        return Unreadable("", str(said)[:40], "one JSON object per line is expected")
    cells = {}
    for column, value in said.items():
        if column not in COLUMNS:
            return Unreadable(column[:80], column[:80], f"unknown column; allowed: {', '.join(COLUMNS)}")
        cell = cell_of(column, value)
        if cell is None:
            return Unreadable(column, str(value)[:40], f"a text{' or a list of texts' * (column in LISTS)} is expected")
        cells[column] = cell
    return cells


def cell_of(column: str, value: object) -> str | None:
    """A JSON value as it would stand in a CSV; None when it is nothing of the kind."""
    if value is None:
        return ""
    if isinstance(value, list) and column in LISTS and all(isinstance(one, str) for one in value):
        return ";".join(value)
    if column in ("lat", "lon") and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.9f}".rstrip("0") + "0" if abs(value) < 1000 else str(value)
    return value.strip() if isinstance(value, str) else None
