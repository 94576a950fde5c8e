"""The messenger's connection to the database: one for all that it writes, made anew after every loss."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg

T = TypeVar("T")
Connection = psycopg.AsyncConnection[Any]

ALONE = 0x64656C69766572  # "deliver": the advisory lock of who tells receivers
AGAIN_S = 0.5
# A network that is gone without a word is noticed after about 15 s; a server that is only slow is waited for.
NETWORK: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
    "connect_timeout": 5,
}


AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""What a connection ends with when it, its server or its transaction is gone: the same is done again on another."""


class Busy(Exception):
    """Somebody else tells the receivers of this database; two would each tell them."""


async def connect(url: str, name: str) -> Connection:
    """A connection in autocommit mode; its times are UTC, as programs are told them."""
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, application_name=f"dothi messenger {name}", **NETWORK
    )
    await connection.execute("set timezone to 'UTC'; set idle_in_transaction_session_timeout = '60s'")
    return connection


class Store:
    """Used by many tasks, by one at a time. Whoever holds it is the only one that tells receivers."""

    def __init__(self, url: str, *, alone: bool = True, name: str = "outbox") -> None:
        self._url = url
        self._alone = alone
        self._name = name
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Connects with the first work."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back."""
        await self._drop()

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in one transaction. Raises AWAY, after which the next work has a new connection, and Busy."""
        async with self._lock:
            connection = await self._connected()
            try:
                async with connection.transaction():
                    return await work(connection)
            except AWAY:
                await self._drop()
                raise

    async def surely(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work that must be done before anything else may be: again until the database has taken it.

        What a receiver has answered is written down even when somebody else tells the receivers by now.
        """
        while True:
            try:
                return await self.run(work)
            except Busy:
                with contextlib.suppress(*AWAY):
                    async with await connect(self._url, self._name) as connection:
                        return await work(connection)
            except AWAY:
                pass
            await asyncio.sleep(AGAIN_S)

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = await connect(self._url, self._name)
            if self._alone:
                row = await (await connection.execute("select pg_try_advisory_lock(%s)", (ALONE,))).fetchone()
                if row != (True,):
                    await connection.close()
                    raise Busy("another messenger tells the receivers of this database")
            self._connection = connection
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()
