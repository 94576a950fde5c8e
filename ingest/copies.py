"""Several COPYs in one message to the server: it begins the next when the last is done, and nobody asks it to.

psycopg's own COPY takes three times the CPU for a table of ten rows, and a batch has as many tables as families.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import pq

Connection = psycopg.AsyncConnection[Any]


class Copy(NamedTuple):
    """`copy … from stdin (format binary)`, and what goes in, piece by piece."""

    statement: bytes
    pieces: Iterable[bytes]


class CopyFailed(Exception):
    """The server refused one of them, and so all; `place`: which."""

    def __init__(self, place: int, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.place = place
        self.error = error


async def copy_all(connection: Connection, copies: Sequence[Copy]) -> None:
    """Carry them out in order, within the transaction that is open. Raises CopyFailed, or psycopg.OperationalError when
    the connection is lost. Given up in the middle, it closes the connection."""
    if not copies:
        return
    wire = Wire(connection.pgconn)
    try:
        connection.pgconn.send_query(b"; ".join(copy.statement for copy in copies))
        for place, copy in enumerate(copies):
            await wire.into(place, copy.pieces)
        while await wire.result(place) is not None:
            pass
    except (psycopg.Error, CopyFailed):
        raise
    except BaseException:
        await connection.close()
        raise
    finally:
        wire.leave()


async def copy_one(connection: Connection, copy: Copy) -> None:
    """One COPY; raises what the database says."""
    try:
        await copy_all(connection, [copy])
    except CopyFailed as failed:
        raise failed.error from None


class Wire:
    """libpq's connection, whose socket the event loop watches."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn, self._socket = pgconn, pgconn.socket
        self._loop, self._ready = asyncio.get_running_loop(), asyncio.Event()
        self._loop.add_reader(self._socket, self._ready.set)

    def leave(self) -> None:
        """Watch no more."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)

    async def into(self, place: int, pieces: Iterable[bytes]) -> None:
        """The next COPY, from its beginning to its end. A piece is made when the one before it is on its way."""
        await self.result(place)
        for number, piece in enumerate(pieces):
            if number:
                await self._flush()
            self._pgconn.put_copy_data(piece)
        self._pgconn.put_copy_end()
        await self.result(place)

    async def result(self, place: int) -> pq.abc.PGresult | None:
        """What the server says next; None: it has said all. Raises CopyFailed when it says no."""
        await self._flush()
        while self._pgconn.is_busy():
            await self._more()
        result = self._pgconn.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            while await self.result(place) is not None:
                pass
            raise CopyFailed(place, psycopg.errors.error_from_result(result))
        return result

    async def _flush(self) -> None:
        while self._pgconn.flush():
            self._loop.add_writer(self._socket, self._ready.set)
            await self._more()
            self._loop.remove_writer(self._socket)

    async def _more(self) -> None:
        """Wait until the socket can be read (or written, when that is watched), and take in what has come."""
        self._ready.clear()
        await self._ready.wait()
        self._pgconn.consume_input()
