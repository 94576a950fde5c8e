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
PIECE = 5_000
DECODER = msgspec.json.Decoder()


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


class Piece(NamedTuple):
    """Lines of a CSV as they stand, each with its number, under the names of a head that is right."""

    columns: tuple[str, ...]
    rows: list[tuple[int, list[str]]]


def records_of(piece: Piece | list[Record]) -> Iterator[Record]:
    """Number of each line, from 1, and its cells by column, without the blanks around them, or why it has none."""
    if not isinstance(piece, Piece):
        yield from piece
        return
    width = len(piece.columns)
    for line, cells in piece.rows:
        if len(cells) == width and any(cells):
            yield line, dict(zip(piece.columns, map(str.strip, cells), strict=True))
        elif any(cells):
            detail = f"more or fewer values than the first line names: {len(cells)}, not {width}"
            yield line, Unreadable("", "", detail)


def pieces(file: BinaryIO, size: int = PIECE) -> Iterator[Piece | list[Record]]:
    """A file in pieces of so many lines at most. What comes after a line that leaves the rest unclear is not read."""
    start = file.read(4096)
    file.seek(0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield [(1, Unreadable("", "", "the file is UTF-16 (Excel's Unicode text); save it as CSV UTF-8"))]
        return
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = json_pieces if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")) else csv_pieces
    try:
        yield from reader(text, size)
    except UnicodeDecodeError:
        yield [not_utf_8(file)]
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


def csv_pieces(text: io.TextIOWrapper, size: int) -> Iterator[Piece | list[Record]]:
    """Rows under the names of the first line."""
    try:
        columns, reader = head_of(text)
    except csv.Error as error:
        yield [(1, not_csv(error))]
        return
    mistakes = list(check_head(columns))
    if mistakes:
        yield [(1, mistake) for mistake in mistakes]
        return
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            rows.append((reader.line_num + 1, cells))
            if len(rows) == size:
                yield Piece(tuple(columns), rows)
                rows = []
    except (csv.Error, UnicodeDecodeError) as error:
        yield Piece(tuple(columns), rows)
        if not isinstance(error, csv.Error):
            raise
        rows = []
        yield [(reader.line_num + 1, not_csv(error))]
    yield Piece(tuple(columns), rows)


def not_csv(error: csv.Error) -> Unreadable:
    """What the reader found wrong."""
    return Unreadable("", "", f"not readable as CSV: {error}")


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


def json_pieces(text: io.TextIOWrapper, size: int) -> Iterator[list[Record]]:
    """One object per line; a null says that there is nothing."""
    found: list[Record] = []
    try:
        for line, content in enumerate(text, 1):
            if content.strip():
                found.append((line, json_cells(content)))
            if len(found) == size:
                yield found
                found = []
    except UnicodeDecodeError:
        yield found
        raise
    yield found


def json_cells(content: str) -> dict[str, str] | Unreadable:
    """The cells of a line."""
    try:
        return object_cells(DECODER.decode(content))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        return Unreadable("", content[:40].strip(), f"one JSON object per line is expected: {error}")


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
