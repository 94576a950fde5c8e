"""Registry → the gates' tables: every change of a token within a second, revoked sessions ended, rotations finished."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import structlog

from devices.credentials import changed_since, finish_rotation, note_seen, rotating
from devices.gate.table import Hashes, Table, create

log = structlog.get_logger("dothi.stack")

NOTE_SEEN_S = 60.0
Connection = psycopg.AsyncConnection[Any]


def losing(table: Table, changes: Sequence[tuple[str, Hashes]]) -> list[str]:
    """Devices of which a token counts no more: whoever came in by it must leave."""
    if not len(table):
        return []
    return [device for device, hashes in changes if {*table.tokens(device)} - {*hashes, None}]


def put_all(table: Table, changes: Sequence[tuple[str, Hashes]]) -> None:
    """Write what changed."""
    for device, hashes in changes:
        table.put(device, hashes)


class Admission:
    """The tables of all brokers of a stack, kept as the registry says. One writer: this."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """`paths`: where the tables lie; each must exist, an empty one will do."""
        self._tables = [Table(path) for path in paths]
        self._xmin = min((table.synced for table in self._tables), default=0)
        self._kicks: list[list[str]] = [[] for _ in self._tables]
        self._noted = 0.0
        self._noted_until = 0

    @property
    def tables(self) -> list[Table]:
        """One per broker."""
        return self._tables

    async def follow(self, connection: Connection, now: float) -> None:
        """Take over what changed; `now`: seconds of any clock that does not jump."""
        if not self._tables:
            return
        xmin, changes = await changed_since(connection, self._xmin)
        if changes:
            await self._take(connection, changes)
        for table in self._tables:
            table.synced = xmin
        self._xmin = xmin
        self._end_sessions()
        await self._finish_rotations(connection)
        if now - self._noted >= NOTE_SEEN_S:
            self._noted = now
            await self._note_seen(connection)

    async def _take(self, connection: Connection, changes: list[tuple[str, Hashes]]) -> None:
        everything = changes if self._xmin == 0 else None
        for place, table in enumerate(self._tables):
            self._kicks[place] += await asyncio.to_thread(losing, table, changes)
            if len(table) + len(changes) >= table.room:
                if everything is None:  # once for all brokers
                    everything = (await changed_since(connection, 0))[1]
                self._tables[place] = await asyncio.to_thread(create, table.path, dict(everything), 0, table)
                table.close()
            else:
                await asyncio.to_thread(put_all, table, changes)
        log.info("credentials taken over", devices=len(changes))

    def _end_sessions(self) -> None:
        """Ask the gates to disconnect whoever was revoked, as many as they take at once."""
        for place, table in enumerate(self._tables):
            if self._kicks[place]:
                del self._kicks[place][: table.kick(self._kicks[place])]

    async def _finish_rotations(self, connection: Connection) -> None:
        """A rotation ends when the new token was used."""
        used = {
            device: new
            for device in await rotating(connection)
            for table in self._tables
            if (seen := table.seen(device)) and seen.used_at[1] and (new := table.tokens(device)[1])
        }
        if used:
            await finish_rotation(connection, used)
            log.info("rotation finished", devices=len(used), first=next(iter(used)))

    async def _note_seen(self, connection: Connection) -> None:
        """What the gates saw since the last time, into the registry."""
        until = int(time.time())
        used = [one for table in self._tables for one in await asyncio.to_thread(table.used_since, self._noted_until)]
        if used:
            await note_seen(connection, used)
        self._noted_until = until
