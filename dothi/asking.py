"""How the desk asks the database: by itself where all is usual, else with psycopg.

Importing psycopg takes longer than all else that such a command does. What is usual is an address with a user, a
password, a host and a database, and a server that asks for SCRAM-SHA-256 and offers no TLS: the embedded one. Whatever
else there is, and every mistake, is psycopg's, which asks again and says what it says.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

from analytics.alarm_desk import UNLAWFUL, Unlawful
from dothi.errors import Refused
from dothi.scram import Unproved
from dothi.wire import Refusal, Unanswered, Unusual
from dothi.wire_connection import Connection, Row, usual

if TYPE_CHECKING:
    import psycopg

    from analytics.alarm_desk import Ask

CALLED = "dothi alarms"


class Asking:
    """A database that is asked statement by statement. `acts`: a statement may change something, so that none is sent
    again unless the server refused it."""

    def __init__(self, url: str, acts: bool = False) -> None:
        self._url = url
        self._acts = acts
        self._open = ExitStack()
        self._ask: Ask

    def __enter__(self) -> Self:
        address = usual(self._url, os.environ)
        try:
            self._ask = self._by_psycopg() if address is None else Connection(address, CALLED)
        except (Unusual, Unproved, OSError):
            self._ask = self._by_psycopg()
        if isinstance(self._ask, Connection):
            self._open.callback(self._ask.close)
        return self

    def __exit__(self, *failed: object) -> None:
        self._open.close()

    def __call__(self, statement: str, values: Sequence[object] = (), /) -> list[Row]:
        """Rows of a statement with a value for each `%s`. Raises Unlawful, Refused and psycopg.Error."""
        try:
            return self._ask(statement, values)
        except Refusal as refusal:
            if refusal.state == UNLAWFUL:
                raise Unlawful(str(refusal)) from None
        except Unanswered as lost:
            if self._acts:
                raise Refused(
                    f"database: whether it was done is not known ({lost}); see: dothi alarms history --since 5m"
                ) from None
        except Unusual:
            pass
        self._ask = self._by_psycopg()
        return self._ask(statement, values)

    def _by_psycopg(self) -> "Ask":
        return asked(self._open.enter_context(connected(self._url)))


def asked(connection: "psycopg.Connection[Any]") -> "Ask":
    """Questions on a connection of psycopg."""
    import psycopg
    from psycopg.rows import dict_row

    def ask(statement: str, values: Sequence[object] = (), /) -> list[Row]:
        with connection.cursor(row_factory=dict_row) as cursor:
            try:
                return cursor.execute(statement.encode(), values).fetchall()
            except psycopg.Error as error:
                if error.sqlstate != UNLAWFUL:
                    raise
                raise Unlawful(error.diag.message_primary or str(error)) from None

    return ask


@contextmanager
def connected(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """A connection of psycopg in autocommit mode whose times come in UTC."""
    import psycopg

    said = psycopg.conninfo.conninfo_to_dict(url)
    said |= {"options": f"{said.get('options') or ''} -c timezone=UTC".strip(), "application_name": CALLED}
    with psycopg.connect(**said, autocommit=True, connect_timeout=5) as connection:  # type: ignore[arg-type]
        yield connection
