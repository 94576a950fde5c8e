"""What changed in the registry since a worker last looked, in columns."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import sql

from devices.arrays import Ints, cut, elements

AsyncConnection = psycopg.AsyncConnection[Any]
Query = sql.SQL | sql.Composed

PIECE = 25_000
"""Ids of devices that are looked at at once: a worker that takes in millions reads messages in between."""


class Standing(NamedTuple):
    """What many devices have in common."""

    profile: str
    area: str
    area_id: int
    retired: bool


class Devices(NamedTuple):
    """Devices as ingest needs them, each once. `standing`: place in `standings`, of each."""

    names: list[bytes]
    ids: Ints
    standing: Ints
    standings: list[Standing]


class Aliases(NamedTuple):
    """Foreign names, each once, as `alias_key` spells them, and the devices that they stand for."""

    keys: list[bytes]
    devices: list[bytes]


def alias_key(route: str, foreign_id: str) -> bytes:
    """A foreign name under its kind of route. What is no text of the database (lone surrogates) equals none of it."""
    return f"{route}\n{foreign_id}".encode(errors="surrogatepass")


async def snapshot_xmin(connection: AsyncConnection) -> str:
    """To be asked first in a transaction, for everything in it to be of one moment: the xmin to look from next time.

    Every transaction below it has ended, so nothing that commits late is missed; a change may come twice.
    """
    await connection.execute("set transaction isolation level repeatable read")
    cursor = await connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text")
    row = await cursor.fetchone()
    assert row is not None  # a select of a function always gives a row
    return str(row[0])


async def changed_devices(connection: AsyncConnection, xmin: str) -> AsyncIterator[Devices]:
    """Devices that changed in transactions from `xmin` on, in pieces; "0" asks for all."""
    words: tuple[dict[int, str], dict[int, str]] | None = None
    async for wanted in pieces(connection, DEVICES_BETWEEN, xmin):
        words = words or (await named(connection, PROFILES), await named(connection, AREAS))
        names, ids, codes = await columns(connection, DEVICES, wanted)
        if names:
            found, standing = np.unique(elements(codes), return_inverse=True)
            yield Devices(names.split(b"\n"), elements(ids), standing, [standing_of(int(one), *words) for one in found])


def standing_of(code: int, profiles: dict[int, str], areas: dict[int, str]) -> Standing:
    """What DEVICES packs into a number."""
    area = code >> 1 & 0xFFFF
    return Standing(profiles[code >> 17], areas[area], area, bool(code & 1))


async def changed_aliases(connection: AsyncConnection, xmin: str) -> AsyncIterator[Aliases]:
    """Foreign names that changed in transactions from `xmin` on, and all those of devices that changed: what such a
    device was called and is not among them leads to it no more. In pieces."""
    async for wanted in pieces(connection, ALIASES_BETWEEN, xmin):
        keys, lengths, names = await columns(connection, ALIASES, wanted)
        if names:
            yield Aliases(cut(keys, elements(lengths)), names.split(b"\n"))


async def pieces(connection: AsyncConnection, between: Query, xmin: str) -> AsyncIterator[dict[str, object]]:
    """Ranges of device ids that hold what changed, few when little did."""
    cursor = await connection.execute(between, {"xmin": xmin})
    row = await cursor.fetchone()
    assert row is not None  # an aggregate has one row
    first, last, count = row
    step = PIECE if count > PIECE else max(last or 0, 1)
    for start in range(first, last + 1, step) if count else ():
        yield {"xmin": xmin, "first": start, "last": min(start + step - 1, last)}


async def named(connection: AsyncConnection, query: Query) -> dict[int, str]:
    """Names by number."""
    cursor = await connection.execute(query)
    return dict(await cursor.fetchall())


async def columns(connection: AsyncConnection, query: Query, wanted: dict[str, object]) -> list[bytes | None]:
    """The one row of a query, each value in its binary form."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(query, wanted)
        assert cursor.pgresult is not None  # a select gives a result
        return [cursor.pgresult.get_value(0, place) for place in range(cursor.pgresult.nfields)]


PROFILES = sql.SQL("select id, profile from registry.profile")
AREAS = sql.SQL("select id, code from registry.area")
DEVICES_BETWEEN = sql.SQL("select min(id), max(id), count(*) from registry.device where changed >= %(xmin)s::xid8")
# Aggregates of one query take its rows in one order. No name of a device has a line break in it.
DEVICES = sql.SQL("""
select string_agg(device, e'\\n'), array_agg(id::int8),
       array_agg((profile::int8 << 17) | (area::int8 << 1) | (state = 'retired')::int)
from registry.device where changed >= %(xmin)s::xid8 and id between %(first)s and %(last)s
""")
# All names of a device that changed: one that was taken away is missing among them.
TOLD = sql.SQL("""(
select l.route, l.foreign_id, l.device from registry.alias l where l.changed >= %(xmin)s::xid8
union all
select l.route, l.foreign_id, l.device from registry.device d join registry.alias l on d.id = l.device
where d.changed >= %(xmin)s::xid8 and l.changed < %(xmin)s::xid8
) l""")
ALIASES_BETWEEN = sql.SQL("select min(device), max(device), count(*) from {}").format(TOLD)
ALIASES = sql.SQL("""
select string_agg(key, ''), array_agg(length(key)::int8), string_agg(device, e'\\n')
from (select convert_to(l.route || e'\\n' || l.foreign_id, 'UTF8') as key, d.device
      from {} join registry.device d on d.id = l.device where l.device between %(first)s and %(last)s) told
""").format(TOLD)
