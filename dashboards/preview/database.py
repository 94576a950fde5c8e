"""The live database as panels ask it: one round trip a query, as the reader, nothing written."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from dashboards.preview.asking import Answer, QueryError

READER = "dothi_reader"
TIMEOUT_MS = 30_000


class Database:
    """A connection that sees what a dashboard sees; close it. Raises psycopg.OperationalError where none can be had."""

    def __init__(self, url: str) -> None:
        settings = f"-c default_transaction_read_only=on -c statement_timeout={TIMEOUT_MS} -c timezone=UTC"
        # ClientCursor sends the text as Grafana does, so that a percent sign in it is a percent sign.
        self._connection = psycopg.connect(
            url, autocommit=True, options=settings, connect_timeout=10, cursor_factory=psycopg.ClientCursor
        )
        if self._connection.info.user != READER:
            self._connection.execute(sql.SQL("set role {}").format(sql.Identifier(READER)))

    def ask(self, text: str) -> Answer:
        """Column names and rows. Raises QueryError with the database's first line."""
        try:
            cursor = self._connection.execute(text.encode())
            rows: Sequence[Sequence[Any]] = cursor.fetchall()
        except psycopg.Error as error:
            raise QueryError(str(error).strip().split("\n")[0]) from None
        return [column.name for column in cursor.description or ()], rows

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
