"""Keeps the indexes of the last day in the server's memory, as far as they fit.

A device's day is a look into the index of every chunk: dozens of single pages, and each that has to be read from the
disk is waited for. What was written lately is in memory anyway; it goes when much else is read, and a server that was
started anew has nothing. Asking again for pages that are there takes a third of a second for 5 GB, and tells the server
that they are in use.
"""

from collections.abc import Callable, Iterable
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
Index = tuple[str, int]
"""Name and bytes."""

SHARE = 0.7
"""So much of `shared_buffers` they may take: the rest is for registry, newest values, hours and the catalogue."""
THERE = "select to_regprocedure('public.pg_prewarm(regclass, text, text, int8, int8)') is not null"
ROOM = "select pg_size_bytes(current_setting('shared_buffers')) * %s::float8"
INDEXES = """
select x.indexrelid::regclass::text, pg_relation_size(x.indexrelid)
from timescaledb_information.chunks c
join pg_index x on x.indrelid = format('%I.%I', c.chunk_schema, c.chunk_name)::regclass and x.indisunique
where c.hypertable_schema = 'reading' and c.range_end > now() - interval '24 hours'
order by c.range_end desc, 1
"""


def warm(connection: Connection, step: Callable[[str], object] = lambda _: None) -> int:
    """Have the indexes in memory; bytes of them. 0 where the server has no pg_prewarm. Autocommit, of the owner.

    `step` is called before each and may raise.
    """
    if connection.execute(THERE).fetchone() != (True,):
        return 0
    row = connection.execute(ROOM, (SHARE,)).fetchone()
    assert row is not None  # a setting that every server has
    done = 0
    for name, size in fitting(connection.execute(INDEXES).fetchall(), row[0]):
        step(name)
        try:
            connection.execute("select public.pg_prewarm(%s::regclass)", (name,))
        except psycopg.errors.UndefinedTable:  # its chunk was dropped meanwhile
            continue
        done += size
    return done


def fitting(indexes: Iterable[Index], room: float) -> list[Index]:
    """As many from the first on as have room together.

    >>> fitting([("a", 5), ("b", 9), ("c", 1)], 10)
    [('a', 5), ('c', 1)]
    """
    found = []
    for name, size in indexes:
        if size <= room:
            found.append((name, size))
            room -= size
    return found
