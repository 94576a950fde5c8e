"""What holds readers who lift their own limits: PostgreSQL lets every role set its timeouts as it likes."""

from datetime import timedelta
from typing import Any, NamedTuple

import psycopg


class ReaderLimits(NamedTuple):
    """How long sessions of dothi_reader may go on. `patience`: after a cancelled query, until its session is ended."""

    query: timedelta = timedelta(seconds=35)  # the role's statement_timeout of 30 s, and grace for what obeys it
    idle: timedelta = timedelta(seconds=60)  # a transaction that does nothing
    transaction: timedelta = timedelta(seconds=120)  # one that does this and that; its locks hold migrations back
    patience: timedelta = timedelta(seconds=5)


LIMITS = ReaderLimits()


def watch_readers(connection: psycopg.Connection[Any], limits: ReaderLimits = LIMITS) -> list[str]:
    """Stop what readers do beyond the limits; returns a line for each, which is in ops.event too. Call it every second.

    The connection is the owner's or dothi_admin's, in autocommit mode; it sees the sessions of its own database.
    """
    stopped = connection.execute("select ops.stop_readers(%s, %s, %s, %s)", limits)
    return [line for (line,) in stopped.fetchall()]
