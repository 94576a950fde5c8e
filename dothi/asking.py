"""How a short command asks the database: by itself where all is usual, else with psycopg.

Importing psycopg takes longer than all else that such a command does. What is usual is an address with a user, a
password, a host and a database, and a server that asks for SCRAM-SHA-256 and offers no TLS: the embedded one. Whatever
else there is, and every mistake, is psycopg's, which asks again and says what it says.
"""

import os
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from dothi import wire
from dothi.scram import MECHANISM, Proof, Unproved
from dothi.wire import Unusual

if TYPE_CHECKING:
    import psycopg

    from analytics.alarm_desk import Ask

Row = dict[str, Any]
PATIENCE = 1.0  # seconds until a server that does not answer is left to psycopg
CALLED = "dothi alarms"


class Address(NamedTuple):
    """Where a database is, and how one logs in. `options` as libpq has them."""

    host: str
    port: int
    user: str
    password: str
    database: str
    options: str


def usual(url: str, environment: Mapping[str, str]) -> Address | None:
    """The address, when nothing of it is left to libpq: its defaults, its variables, its files."""
    if any(name.startswith("PG") for name in environment) or not (url.isascii() and url.isprintable()) or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 5432
    except ValueError:
        return None
    user, password, database = (unquote(part or "") for part in (parts.username, parts.password, parts.path[1:]))
    name, _, options = parts.query.partition("=")
    of_libpq = name not in ("", "options") or "&" in options or "," in host or "%" in host
    if of_libpq or not all((host, user, password, database)) or not password.isascii():
        return None
    return Address(host, port, user, password, database, unquote(options))


class Connection:
    """A connection of our own. Raises Unusual and OSError for all that is not usual."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection((address.host, address.port), PATIENCE)
        try:
            self._log_in(address)
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(None)

    def _log_in(self, address: Address) -> None:
        self._socket.sendall(wire.ENCRYPTED)
        if self._socket.recv(1) != b"N":
            raise Unusual("a server that offers TLS")
        self._read = self._socket.makefile("rb").read
        settings = {"user": address.user, "database": address.database, "options": address.options}
        settings |= {"application_name": CALLED, "client_encoding": "UTF8", "TimeZone": "UTC", "DateStyle": "ISO"}
        self._socket.sendall(wire.startup({name: value for name, value in settings.items() if value}))
        self._prove(Proof(address.password, b64encode(os.urandom(18)).decode()))
        for _ in self._answer():
            pass

    def _prove(self, proof: Proof) -> None:
        """Log in with SCRAM, and with nothing else."""
        if MECHANISM.encode() not in self._asked(10).split(b"\0"):
            raise Unusual(f"a server without {MECHANISM}")
        first = proof.first()
        self._say(wire.word(MECHANISM), len(first).to_bytes(4), first)
        self._say(proof.final(self._asked(11)))
        proof.check(self._asked(12))
        self._asked(0)

    def _say(self, *parts: bytes) -> None:
        self._socket.sendall(wire.message(b"p", *parts))

    def _asked(self, step: int) -> bytes:
        """What the server says at a step of the login."""
        letter, body = self._next()
        if letter != b"R" or int.from_bytes(body[:4]) != step:
            raise Unusual(f"a login that goes another way than {MECHANISM}")
        return body[4:]

    def __call__(self, statement: str, values: Sequence[object] = (), /) -> list[Row]:
        """The rows of a statement."""
        self._socket.sendall(wire.question(statement, values))
        rows: list[Row] = []
        shape: list[wire.Column] = []
        for letter, body in self._answer():
            if letter == b"T":
                shape = wire.columns(body)
            elif letter == b"D":
                rows.append(wire.row(body, shape))
        return rows

    def _answer(self) -> Iterator[tuple[bytes, bytes]]:
        """Messages until the server is ready for more."""
        while (said := self._next())[0] != b"Z":
            yield said

    def _next(self) -> tuple[bytes, bytes]:
        """The next message; an error is none."""
        head = self._read(5)
        body = self._read(int.from_bytes(head[1:]) - 4) if len(head) == 5 else b""
        if len(head) + len(body) != 1 + int.from_bytes(head[1:]):
            raise Unusual("a connection that ended")
        if head[:1] == b"E":
            raise Unusual(wire.refusal(body).get("M", "an error"))
        return head[:1], body

    def close(self) -> None:
        """Say so, and end."""
        with self._socket:
            self._socket.sendall(wire.BYE)


class Asking:
    """A database that is only read: what failed in the one way is asked again in the other."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = ExitStack()
        self._ask: Ask

    def __enter__(self) -> Self:
        address = usual(self._url, os.environ)
        try:
            self._ask = self._by_itself(address) if address else self._by_psycopg()
        except (Unusual, Unproved, OSError):
            self._ask = self._by_psycopg()
        return self

    def __exit__(self, *failed: object) -> None:
        self._open.close()

    def __call__(self, statement: str, values: Sequence[object] = (), /) -> list[Row]:
        """Rows of a statement that changes nothing. Raises psycopg.Error."""
        try:
            return self._ask(statement, values)
        except (Unusual, OSError):
            self._ask = self._by_psycopg()
            return self._ask(statement, values)

    def _by_itself(self, address: Address) -> "Ask":
        connection = Connection(address)
        self._open.callback(closed, connection)
        return connection

    def _by_psycopg(self) -> "Ask":
        return asked(self._open.enter_context(connected(self._url)))


def closed(connection: Connection) -> None:
    """End a connection; one that has ended by itself is no trouble any more."""
    with suppress(OSError):
        connection.close()


def asked(connection: "psycopg.Connection[Any]") -> "Ask":
    """Questions on a connection of psycopg."""
    from psycopg.rows import dict_row

    def ask(statement: str, values: Sequence[object] = (), /) -> list[Row]:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), values).fetchall()

    return ask


@contextmanager
def connected(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """A connection of psycopg in autocommit mode whose times come in UTC."""
    import psycopg

    said = psycopg.conninfo.conninfo_to_dict(url)
    said |= {"options": f"{said.get('options') or ''} -c timezone=UTC".strip(), "application_name": CALLED}
    with psycopg.connect(**said, autocommit=True, connect_timeout=5) as connection:  # type: ignore[arg-type]
        yield connection
