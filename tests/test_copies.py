"""Several COPYs in one message: all or none, and the one that was refused is named."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from ingest.copies import Copy, CopyFailed, copy_all
from tests.stack import RunningStack

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


@pytest.fixture
async def connection(stack: RunningStack) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(stack.document["database"], autocommit=True) as connection:
        for table in "abc":
            await connection.execute(f"create temporary table copy_{table} (n int unique check (n <> 13))".encode())
        yield connection


def copy(table: str, *numbers: int) -> Copy:
    """Numbers into a table."""
    rows = b"".join(struct.pack(">hii", 1, 4, number) for number in numbers)
    return Copy(f"copy copy_{table} (n) from stdin (format binary)".encode(), [HEADER + rows + b"\xff\xff"])


def in_pieces(table: str, rows: int, first: int = 100) -> Copy:
    """Numbers from 100 on, a thousand in a piece, after `first` has come twice where it is another."""
    again = [] if first == 100 else [first, first]
    parts = [again, *(range(at, at + 1_000) for at in range(100, 100 + rows, 1_000))]
    packed = [b"".join(struct.pack(">hii", 1, 4, number) for number in part) for part in parts]
    return Copy(copy(table).statement, iter([HEADER, *packed, b"\xff\xff"]))


async def stored(connection: psycopg.AsyncConnection[Any]) -> list[int]:
    """Rows by table."""
    counts = [await connection.execute(f"select count(*) from copy_{table}".encode()) for table in "abc"]
    return [(await cursor.fetchall())[0][0] for cursor in counts]


async def test_all_are_carried_out(connection: psycopg.AsyncConnection[Any]) -> None:
    async with connection.transaction():
        await copy_all(connection, [])
        await copy_all(connection, [copy("a", 1, 2), copy("b"), copy("c", *range(100_000, 900_000))])
    assert await stored(connection) == [2, 0, 800_000]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("fault", ["taken", "refused", "no table", "no rows of that form"])
async def test_the_refused_one_is_named_and_the_connection_serves_on(
    connection: psycopg.AsyncConnection[Any], place: int, fault: str
) -> None:
    bad = {
        "taken": copy("abc"[place], 5, 5),
        "refused": copy("abc"[place], 12, 13),
        "no table": Copy(b"copy copy_nowhere (n) from stdin (format binary)", [b""]),
        "no rows of that form": Copy(copy("abc"[place]).statement, [b"what"]),
    }[fault]
    copies = [copy(table, 1, 2, 3) for table in "abc"]
    copies[place] = bad
    with pytest.raises(CopyFailed) as failed:
        async with connection.transaction():
            await copy_all(connection, copies)
    assert failed.value.place == place
    states = {"taken": "23505", "refused": "23514", "no table": "42P01", "no rows of that form": "22P04"}
    assert failed.value.error.sqlstate == states[fault]
    assert await stored(connection) == [0, 0, 0]


async def test_rows_go_in_piece_by_piece(connection: psycopg.AsyncConnection[Any]) -> None:
    async with connection.transaction():
        await copy_all(connection, [copy("a", 1), in_pieces("b", 300_000), copy("c", 2)])
    assert await stored(connection) == [1, 300_000, 1]


async def test_what_the_server_refuses_early_may_be_followed_by_many_pieces(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    with pytest.raises(CopyFailed) as failed:
        async with connection.transaction():
            await copy_all(connection, [copy("a", 1), in_pieces("b", 300_000, first=7), in_pieces("c", 300_000)])
    assert (failed.value.place, failed.value.error.sqlstate) == (1, "23505")
    assert await stored(connection) == [0, 0, 0]


async def test_given_up_in_the_middle_the_connection_is_closed(
    stack: RunningStack, connection: psycopg.AsyncConnection[Any]
) -> None:
    async with await psycopg.AsyncConnection.connect(stack.document["database"]) as holder:
        await holder.execute("lock table ops.inbox")
        statement = b"copy ops.inbox (inbox) from stdin (format binary)"

        async def attempt() -> None:
            async with connection.transaction():
                await copy_all(connection, [Copy(statement, [HEADER + b"\xff\xff"])])

        waiting = asyncio.create_task(attempt())
        waits = "select count(*) > 0 from pg_locks where pid = %s and not granted"
        await asyncio.to_thread(stack.wait_for, waits, connection.info.backend_pid)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert connection.closed


async def test_a_server_that_goes_away_is_an_operational_error(
    stack: RunningStack, connection: psycopg.AsyncConnection[Any]
) -> None:
    stack.query("select pg_terminate_backend(%s)", connection.info.backend_pid)
    with pytest.raises((psycopg.OperationalError, CopyFailed)) as failed:
        async with connection.transaction():
            await copy_all(connection, [copy("a", 1)])
    error = failed.value.error if isinstance(failed.value, CopyFailed) else failed.value
    assert isinstance(error, psycopg.OperationalError)
