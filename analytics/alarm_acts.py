"""What staff do about alarms, each a function of the database, so that every client obeys one law."""

from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

UNLAWFUL = "DA001"  # SQLSTATE of what the law of alarms refuses


class Unlawful(Exception):
    """The law of alarms refuses; the message is one line that names the alarm, its state and what is allowed."""


def act(connection: Connection, function: str, *values: object) -> Any:
    """Call one of the functions of staff (ops.acknowledge_alarm, …); its answer. Raises Unlawful."""
    call = sql.SQL("select {}({})").format(
        sql.Identifier("ops", function), sql.SQL(", ").join([sql.Placeholder()] * len(values))
    )
    try:
        with connection.transaction():
            row = connection.execute(call, values).fetchone()
    except psycopg.Error as error:
        if error.sqlstate != UNLAWFUL:
            raise
        raise Unlawful(error.diag.message_primary or str(error)) from None
    return row[0] if row else None
