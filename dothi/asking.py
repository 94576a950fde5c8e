"""How the desk asks the database: with psycopg2, the only place of dothi that does.

Staff and scripts call these commands often, and importing psycopg, which everything else uses, takes longer than all
else that they do (docs/decisions/0018). Both are the same libpq: addresses, encryption and ways to log in are the same.
Where nobody can be reached psycopg says so, in the words of all other commands.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from select import select
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions

from analytics.alarm_desk import UNLAWFUL, Row, Unlawful

if TYPE_CHECKING:
    import psycopg

    from analytics.alarm_desk import Ask

CALLED = "dothi alarms"
# In brackets: a cast binds tighter than a minus, and the lowest bigint has no positive twin.
extensions.register_adapter(int, lambda number: extensions.AsIs(f"({number})"))
PATIENCE = 5  # seconds until a server that does not answer is given up


@contextmanager
def asking(url: str) -> Iterator["Ask"]:
    """Questions to a database, each a transaction of its own; times come in UTC. Raises psycopg.Error."""
    try:
        connection = reached(url)
    except psycopg2.Error:
        with connected(url) as other:  # it says why, or has come just now
            yield asked(other)
        return
    try:
        yield asked(connection)
    finally:
        connection.close()


def reached(url: str) -> extensions.connection:
    """A connection in autocommit mode. Raises psycopg2.Error."""
    extensions.set_wait_callback(None)  # with one, a connection waits for ever
    connection: extensions.connection = psycopg2.connect(
        url, connect_timeout=PATIENCE, **session(extensions.parse_dsn(url))
    )
    connection.autocommit = True
    extensions.set_wait_callback(awaited)
    return connection


def session(said: dict[str, Any]) -> dict[str, Any]:
    """What a session is called and how it shows times, beside what an address says."""
    return {"options": f"{said.get('options') or ''} -c timezone=UTC".strip(), "application_name": CALLED}


def awaited(connection: extensions.connection) -> None:
    """Wait until a statement is done. libpq alone would not hear Ctrl-C before that."""
    try:
        while (state := connection.poll()) != extensions.POLL_OK:
            ours = [connection.fileno()]
            select(ours if state == extensions.POLL_READ else [], ours if state == extensions.POLL_WRITE else [], [])
    except KeyboardInterrupt:
        connection.cancel()
        raise


def asked(connection: "extensions.connection | psycopg.Connection[Any]") -> "Ask":
    """Questions on a connection of either library."""

    def ask(statement: str, values: Sequence[object] = (), /) -> list[Row]:
        with connection.cursor() as cursor:
            try:
                cursor.execute(statement, values)
            except Exception as error:
                if getattr(error, "sqlstate", getattr(error, "pgcode", None)) != UNLAWFUL:
                    raise
                raise Unlawful(error.diag.message_primary or str(error)) from None  # type: ignore[attr-defined]
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return ask


@contextmanager
def connected(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """A connection of psycopg in autocommit mode whose times come in UTC."""
    import psycopg

    said = psycopg.conninfo.conninfo_to_dict(url)
    said |= session(said)
    with psycopg.connect(**said, autocommit=True, connect_timeout=PATIENCE) as connection:  # type: ignore[arg-type]
        yield connection
