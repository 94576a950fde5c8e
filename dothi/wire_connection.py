"""A connection to PostgreSQL with what dothi.wire knows: the thin shell around it."""

import os
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from dothi import wire
from dothi.scram import MECHANISM, Proof
from dothi.wire import Refusal, Unanswered, Unusual

Row = dict[str, Any]
PATIENCE = 1.0  # seconds until a server that does not answer is left to psycopg


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
    """A connection of our own, each statement a transaction. `called`: its name in the database's list of sessions.

    Raises Unusual, Unproved and OSError for all that is not usual.
    """

    def __init__(self, address: Address, called: str) -> None:
        self._socket = socket.create_connection((address.host, address.port), PATIENCE)
        self._stream = self._socket.makefile("rb")
        try:
            self._log_in(address, called)
        except BaseException:
            self._leave()
            raise
        self._socket.settimeout(None)

    def _log_in(self, address: Address, called: str) -> None:
        self._socket.sendall(wire.ENCRYPTED)
        if self._stream.read(1) != b"N":
            raise Unusual("a server that offers TLS")
        settings = {"user": address.user, "database": address.database, "options": address.options}
        settings |= {"application_name": called, "client_encoding": "UTF8", "TimeZone": "UTC", "DateStyle": "ISO"}
        self._socket.sendall(wire.startup({name: value for name, value in settings.items() if value}))
        self._prove(Proof(address.password, b64encode(os.urandom(18)).decode()))
        if any(letter == b"E" for letter, _ in self._answer()):
            raise Unusual("a server that lets nobody in")

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
        """The rows of a statement. Raises Refusal when nothing was done, Unanswered when that is not known."""
        said = wire.question(statement, values)
        try:
            self._socket.sendall(said)
            answer = list(self._answer())
            for letter, body in answer:
                if letter == b"E":
                    raise Refusal(body)
            shape = [column for letter, body in answer if letter == b"T" for column in wire.columns(body)]
            return [wire.row(body, shape) for letter, body in answer if letter == b"D"]
        except Refusal:
            raise
        except (Unusual, OSError) as error:
            raise Unanswered(str(error)) from error

    def _answer(self) -> Iterator[tuple[bytes, bytes]]:
        """Messages until the server is ready for more."""
        while (said := self._next())[0] != b"Z":
            yield said

    def _next(self) -> tuple[bytes, bytes]:
        """The next message."""
        head = self._stream.read(5)
        length = int.from_bytes(head[1:]) - 4
        body = self._stream.read(length) if length > 0 else b""
        if len(head) < 5 or len(body) < length:
            raise Unusual("a connection that ended")
        return head[:1], body

    def close(self) -> None:
        """Say so, and end; one that has ended by itself is no trouble any more."""
        with suppress(OSError):
            self._socket.sendall(wire.BYE)
        self._leave()

    def _leave(self) -> None:
        self._stream.close()
        self._socket.close()
