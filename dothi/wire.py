"""PostgreSQL's protocol 3.0 as far as a short command needs it: log in, ask, read rows. Pure.

Values go and come as text, so that the server judges them as it judges what people type.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

ENCRYPTED = (8).to_bytes(4) + (80877103).to_bytes(4)  # may this be TLS?
END = b"S\0\0\0\4"  # Sync: the end of a question
BYE = b"X\0\0\0\4"


class Unusual(Exception):
    """Something that is not known here, or went wrong; the message says what. Who reads this asks psycopg instead."""


class Refusal(Unusual):
    """The server refuses. `state`: its SQLSTATE."""

    def __init__(self, body: bytes) -> None:
        said = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0")}
        super().__init__(said.get(b"M", "an error"))
        self.state = said.get(b"C", "")


class Unanswered(Unusual):
    """A statement was sent, and what came of it is not known."""


class Column(NamedTuple):
    """A column of an answer. `kind`: number of its type."""

    name: str
    kind: int


def message(letter: bytes, *parts: bytes) -> bytes:
    """One message of ours."""
    body = b"".join(parts)
    return letter + (len(body) + 4).to_bytes(4) + body


def word(text: str) -> bytes:
    """A text with its end. Raises Unusual when it holds one."""
    if "\0" in text:
        raise Unusual("a text with NUL")
    return text.encode() + b"\0"


def startup(settings: dict[str, str]) -> bytes:
    """What opens a connection: user, database, and settings of the session."""
    said = (word(part) for setting in settings.items() for part in setting)
    return message(b"", (3 << 16).to_bytes(4), *said, b"\0")


def question(statement: str, values: Sequence[object]) -> bytes:
    """One statement with a value for each `%s`, executed at once; the answer ends with `Z`."""
    given = b"".join(field(value) for value in values)
    count = len(values).to_bytes(2)
    return b"".join(
        (
            message(b"P", b"\0", word(numbered(statement, len(values))), b"\0\0"),
            message(b"B", b"\0\0", b"\0\0", count, given, b"\0\0"),
            message(b"D", b"P\0"),
            message(b"E", b"\0", b"\0\0\0\0"),
            END,
        )
    )


def numbered(statement: str, values: int) -> str:
    """A statement whose places have numbers. Raises Unusual when there are not as many as values.

    >>> numbered("select %s where a = %s", 2)
    'select $1 where a = $2'
    """
    first, *others = statement.split("%s")
    if len(others) != values or "%" in first + "".join(others):
        raise Unusual(f"a statement with {len(others)} places for {values} values")
    return first + "".join(f"${place}{part}" for place, part in enumerate(others, 1))


def field(value: object) -> bytes:
    """A value with its length before it."""
    if value is None:
        return b"\xff\xff\xff\xff"
    said = word(written(value))[:-1]
    return len(said).to_bytes(4) + said


def written(value: object) -> str:
    """A value as PostgreSQL reads it. Raises Unusual for kinds that are not known here.

    >>> written(['a', 'b "c"']), written(12)
    ('{"a","b \\\\"c\\\\""}', '12')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        escaped = (written(one).replace("\\", "\\\\").replace('"', '\\"') for one in value)
        return "{" + ",".join(f'"{one}"' for one in escaped) + "}"
    raise Unusual(f"a value of {type(value).__name__}")


def columns(body: bytes) -> list[Column]:
    """Names and types of an answer's columns."""
    found, at = [], 2
    for _ in range(int.from_bytes(body[:2])):
        end = body.index(0, at)
        found.append(Column(body[at:end].decode(), int.from_bytes(body[end + 7 : end + 11])))
        at = end + 19
    return found


def row(body: bytes, shape: Sequence[Column]) -> dict[str, Any]:
    """A row of an answer by column. Raises Unusual for types that are not known here."""
    return {column.name: read(column, text) for column, text in zip(shape, texts(body), strict=True)}


def texts(body: bytes) -> Iterator[str | None]:
    """Values of a row as they come."""
    at = 2
    for _ in range(int.from_bytes(body[:2])):
        length = int.from_bytes(body[at : at + 4], signed=True)
        at += 4
        yield None if length < 0 else body[at : at + length].decode()
        at += max(length, 0)


def read(column: Column, text: str | None) -> Any:
    """A value of a column. Raises Unusual when Python has no such value, or its type is not known here."""
    if text is None:
        return None
    if column.kind not in KINDS:
        raise Unusual(f"column {column.name} of type {column.kind}")
    try:
        return KINDS[column.kind](text)
    except ValueError:
        raise Unusual(f"column {column.name}: {text[:80]!r}") from None


# By number of the type, as in pg_type: boolean; integers; texts; numbers with a point; times; JSON; nothing.
KINDS: dict[int, Callable[[str], Any]] = {
    **{16: lambda text: text == "t"},
    **dict.fromkeys((20, 21, 23), int),
    **dict.fromkeys((19, 25, 1043), str),
    **dict.fromkeys((700, 701), float),
    **dict.fromkeys((1184,), datetime.fromisoformat),
    **dict.fromkeys((114, 3802), json.loads),
    **{2278: lambda text: ""},
}
