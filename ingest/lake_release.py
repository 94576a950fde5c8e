"""Letting go of chunks whose rows the lake has, and looking after the files that are then alone."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from devices.family import FAMILIES, Family
from ingest import lake_files as files
from ingest.chunks import Chunk, drop_chunk, local_days
from ingest.lake import Lake, alone, export_day, trusted
from ingest.lake_files import LakeRefused, one_line, require_lake
from ingest.retention import Kept, Outcome, retain
from ingest.slices import kept, note_dropped

CHUNK_LOCK = "1s"

Connection = psycopg.Connection[Any]


def release(connection: Connection, lake: Lake, chunk: Chunk) -> bool:
    """Drop a chunk of readings whose rows are all in the lake; what the lake lacks of it is exported first.

    False: it is in use just now, or rows keep coming; try again later. Raises LakeRefused.
    """
    require_lake(lake.folder)
    family = FAMILIES[chunk.table]
    for day in local_days(chunk.span):
        with one_line(lake.folder):
            trusted(connection, family, day, files.day_folder(lake.folder, family.name, day))
    for _ in range(2):
        try:
            if drop_if_kept(connection, family, chunk):
                return True
        except psycopg.errors.LockNotAvailable:
            return False
        for day in local_days(chunk.span):
            export_day(connection, lake, family, day)
    return False


def drop_if_kept(connection: Connection, family: Family, chunk: Chunk) -> bool:
    """Drop a chunk if the lake is known to have its rows as they are now; writers wait meanwhile, readers do not."""
    with connection.transaction():
        connection.execute(f"set local lock_timeout = '{CHUNK_LOCK}'")
        name = sql.Identifier(*chunk.name.split(".", 1))
        connection.execute(sql.SQL("lock table only {} in share row exclusive mode").format(name))
        if not all(kept(connection, family, day, chunk) for day in local_days(chunk.span)):
            return False
        drop_chunk(connection, chunk)
        note_dropped(connection, family, chunk)
    return True


def check(connection: Connection, lake: Lake, family: Family | None = None) -> list[str]:
    """Every file of the lake against its checksum; returns what is wrong, a line each."""
    require_lake(lake.folder)
    wrong = []
    for file, size, digest in connection.execute(
        "select file, bytes, encode(sha256, 'hex') from ops.lake"
        " where %(family)s::text in (family) or %(family)s is null"
        " order by file",
        {"family": family.name if family else None},
    ).fetchall():
        path = lake.folder / file
        lake.step("block")
        with one_line(lake.folder):
            if not path.is_file():
                wrong.append(f"{file}: gone")
            elif path.stat().st_size != size or files.sha256(path) != digest:
                wrong.append(f"{file}: changed since it was written")
    return wrong


def retain_exported(connection: Connection, lake: Lake, kept: Kept, now: datetime) -> Outcome:
    """Retention where readings go only once the lake is proved to have them.

    Raises LakeRefused, after all other chunks were seen to, when the lake is not fit to take over some of them.
    """
    require_lake(lake.folder)
    refusals: list[LakeRefused] = []

    def release_or_leave(chunk: Chunk) -> bool:
        try:
            return release(connection, lake, chunk)
        except LakeRefused as refusal:
            refusals.append(refusal)
            return False

    with alone(connection):
        done = retain(connection, kept, now, release_or_leave)
    if refusals:
        raise LakeRefused(f"{refusals[0]} ({len(refusals)} chunks stay)")
    return done
