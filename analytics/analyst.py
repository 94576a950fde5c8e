"""The process that follows the stream of batches and keeps what is made from it."""

from datetime import datetime
from typing import Protocol

import psycopg

from analytics.columns import Columns


class Follower(Protocol):
    """What is kept from the stream. On any error the memory of all followers is thrown away and built anew."""

    name: str  # a word, the label of its metrics

    def reset(self, connection: psycopg.Connection) -> None:
        """Build the memory from the database: at the start and after every failed round.

        Runs in a transaction of its own in which `ops.take_batches` has been called, so that it sees every row taken.
        """
        ...

    def take(self, connection: psycopg.Connection, columns: Columns) -> None:
        """Take in new rows of one family, inside the transaction that moves the position."""
        ...

    def tick(self, connection: psycopg.Connection, now: datetime) -> None:
        """What time alone brings; after each round, also an empty one, in a transaction of its own."""
        ...
