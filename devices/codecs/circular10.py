"""Lines of Vietnam's automatic environmental stations (Circular 10/2021/TT-BTNMT, article 39 and annex 15) → documents.

One line a parameter: name, value, unit, time `YYYYMMDDhhmmss` (Vietnam's), status; between them a tab, CRLF or LF
after them. Status 00: measuring, 01: calibrating, 02: faulty; only 00 makes a value. Also taken: `;`, `|` or blanks
between the columns, a byte order mark, UTF-16, Windows-1258, a decimal comma, a heading line.
"""

import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from devices.codecs.circular10_words import SYMBOLS, UNIT_NAMES, folded
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected

MAX_LINES = 10_000
STATUS = {"00": "measuring", "01": "calibrating", "02": "faulty"}
_TIME = re.compile(r"(\d{4})[-/]?(\d\d)[-/]?(\d\d)[T ]?(\d\d):?(\d\d)(?::?(\d\d))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:[.,]\d{1,30})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_HEADINGS = frozenset(("value", "giatri", "ketqua", "gia tri"))
_SHAPE = "expected name, value, unit, YYYYMMDDhhmmss and status (00, 01 or 02) with a tab between them"


class Line(NamedTuple):
    """One parameter of one time: `time` in RFC 3339, `unit` a name that `units.py` knows or as it came, "" for none."""

    name: str
    value: str
    unit: str
    time: str
    status: str


def decode_circular10(payload: bytes) -> object:
    """A document per time, in the order of the times, or Rejected. Lines that cannot be read stand as one Rejected at
    the end of the list.

    A document: `time`, each parameter under its symbol of annex 15 (`PM25` for `PM2,5`) as a number, or as Rejected
    where the station says that it did not measure; `unitCode` by symbol, `status` where it is not 00.
    """
    text = as_text(payload)
    if isinstance(text, Rejected):
        return text
    rows = [(number, row.strip("\r\0 ")) for number, row in enumerate(text.split("\n"), 1) if row.strip("\r\0 \t;|")]
    if len(rows) > MAX_LINES:
        detail = f"{len(rows)} lines; expected at most {MAX_LINES}; send smaller files, more often"
        return Rejected("codec", Reason.TOO_LARGE, None, str(len(rows)), detail)
    read = [(number, line_of(row)) for number, row in rows if not is_heading(row)]
    bad = [(number, line) for number, line in read if isinstance(line, Rejected)]
    good = [line for _, line in read if isinstance(line, Line)]
    refused = unreadable(bad, len(rows)) if bad or not good else None
    if not good:
        return refused
    documents: list[object] = [document_of(lines) for _, lines in sorted(by_time(good).items())]
    return [*documents, refused] if refused else documents


def as_text(payload: bytes) -> str | Rejected:
    """The text of a file: UTF-8, UTF-16 with its mark, else Windows-1258; composed, so that names compare."""
    encoding = "utf-16" if payload[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    for name in (encoding, "cp1258"):
        try:
            return unicodedata.normalize("NFC", payload.decode(name))
        except UnicodeDecodeError:
            continue
    detail = "neither UTF-8 nor Windows-1258; send the lines of Circular 10/2021/TT-BTNMT as UTF-8 text"
    return Rejected("codec", Reason.INVALID_UTF8, None, shown(payload[:20]), detail)


def is_heading(row: str) -> bool:
    """Whether a line only names the columns."""
    columns = split(row)
    return len(columns) >= 4 and folded(columns[1]) in _HEADINGS


def split(row: str) -> list[str]:
    """The columns of a line, by tabs or whatever stands in their place."""
    for separator in ("\t", ";", "|"):
        if separator in row:
            return [column.strip() for column in row.rstrip(separator).split(separator)]
    words = row.split()
    if len(words) < 4:
        return words
    unit = "" if _NUMBER.fullmatch(words[-3]) else words[-3]
    rest = words[:-3] if unit else words[:-2]
    return [" ".join(rest[:-1]), rest[-1], unit, *words[-2:]]


def line_of(row: str) -> Line | Rejected:
    """One line, or what is wrong with it."""
    columns = split(row)
    if len(columns) != 5:
        return bad_line(row, f"{len(columns)} columns; {_SHAPE}")
    name, value, unit, stamp, status = columns
    if not name:
        return bad_line(row, f"no name; {_SHAPE}")
    match = _TIME.fullmatch(stamp)
    if match is None:
        return bad_line(stamp, f"the time {shown(stamp)} is not YYYYMMDDhhmmss; {_SHAPE}")
    year, month, day, hour, minute, second = match.groups()
    if not re.fullmatch(r"\d{1,2}", status, re.ASCII):
        return bad_line(status, f"the status {shown(status)} is no number; expected 00 (measuring), 01 or 02")
    time = f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}+07:00"
    return Line(symbol(name), value, unit_name(unit), time, status.zfill(2))


def bad_line(value: str, detail: str) -> Rejected:
    """A line that cannot be read."""
    return Rejected("codec", Reason.MALFORMED, None, shown(value), detail)


def symbol(name: str) -> str:
    """A parameter's symbol of annex 15 by any of its spellings; another name as it came, without dots."""
    return SYMBOLS.get(folded(name)) or clean(name[:80]).replace(".", "_")


def unit_name(unit: str) -> str:
    """A unit in the spelling of `units.py`; as it came when it is unknown, "" when there is none."""
    text = unit.strip()
    return UNIT_NAMES.get(folded(text), text) if text.strip("-–/ ") else ""


def by_time(lines: list[Line]) -> dict[str, list[Line]]:
    """The lines of each time."""
    times: dict[str, list[Line]] = {}
    for line in lines:
        times.setdefault(line.time, []).append(line)
    return times


def document_of(lines: list[Line]) -> dict[str, object]:
    """The document of one time. Of a parameter that is stated twice the first line that measures counts, the others
    get a number behind their name."""
    document: dict[str, object] = {"time": lines[0].time}
    units: dict[str, object] = {}
    statuses: dict[str, object] = {}
    seen: Counter[str] = Counter()
    for line in sorted(lines, key=lambda line: line.status != "00"):
        seen[line.name] += 1
        name = line.name if seen[line.name] == 1 else f"{line.name}_{seen[line.name]}"
        document[name] = value_of(line)
        if line.unit:
            units[name] = line.unit
        if line.status != "00":
            statuses[name] = line.status
    return {**document, **({"unitCode": units} if units else {}), **({"status": statuses} if statuses else {})}


def value_of(line: Line) -> object:
    """The number that a line states; Rejected when the station says that it is none; odd text as it came."""
    if line.status != "00":
        meaning = STATUS.get(line.status, "unknown to the circular")
        detail = f"{line.name}: status {line.status} ({meaning}); only status 00 (measuring) makes a value"
        return Rejected("values", Reason.NOT_MEASURED, line.name, f"{line.value} (status {line.status})"[:200], detail)
    return float(line.value.replace(",", ".")) if _NUMBER.fullmatch(line.value) else clean(line.value[:200]) or None


def unreadable(bad: list[tuple[int, Rejected]], count: int) -> Rejected:
    """All lines that could not be read, as one: the first of them says why."""
    if not bad:
        return Rejected("codec", Reason.MALFORMED, None, None, f"no line of a parameter; {_SHAPE}")
    number, first = bad[0]
    return first._replace(detail=f"line {number} ({len(bad)} of {count} lines cannot be read): {first.detail}")
