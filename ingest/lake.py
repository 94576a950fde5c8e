"""History lake: days of readings as Parquet, and proof that a chunk's rows are all there before it is dropped.

Exporting a day means writing those of its rows that the lake lacks as another part: all of them at first, later what
came late or through a replay. A part gets its name after it was read back and compared with the table, row by row.
What the table then held is noted (`ops.lake_slice`: rows and the sum of their hashes, per chunk); a chunk is dropped
only under a lock that keeps writers out, and only while that note is still true. So it does not matter where an export
is interrupted, or what arrives in between.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg import sql

from devices.family import FAMILIES, Family
from ingest import lake_files as files
from ingest.chunks import chunks, local_days, local_span
from ingest.lake_blocks import blocks
from ingest.lake_compare import missing
from ingest.lake_files import LakeRefused, Part, one_line, require_lake
from ingest.slices import Slice, measure

LOCK = 0x6C616B65  # "lake": one process at a time exports, verifies or drops
STEPS = ("written", "verified", "named", "listed")
"""Where an export is told to others: `step` of Lake is called with these, in this order."""

log = structlog.get_logger("ingest.lake")

Connection = psycopg.Connection[Any]


class Lake(NamedTuple):
    """A lake as it is worked on. `step` is called between the steps of an export and between blocks; it may raise."""

    folder: Path
    version: str
    step: Callable[[str], None] = lambda _: None


class Exported(NamedTuple):
    """What exporting a day did: rows and bytes of the new part (0: nothing was missing), all rows of the day."""

    family: str
    day: date
    new_rows: int
    new_bytes: int
    rows: int


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Hold the lake for this process; whoever comes second is told."""
    row = connection.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    if row != (True,):
        raise LakeRefused("another process exports or drops readings just now; wait until it is done")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def due_days(connection: Connection, family: Family, late: timedelta, now: datetime) -> list[date]:
    """Days whose late limit is over and that were not compared with the lake since."""
    seen = dict(
        connection.execute(
            "select day, max(verified) from ops.lake_slice where family = %s group by day", (family.name,)
        ).fetchall()
    )
    due = []
    for day in sorted({day for chunk in chunks(connection, family.name) for day in local_days(chunk.span)}):
        closed = local_span(day).end + late
        if closed <= now and (day not in seen or seen[day] < closed) and holds_rows(connection, family, day):
            due.append(day)
    return due


def holds_rows(connection: Connection, family: Family, day: date) -> bool:
    """Whether the table has any reading of a day."""
    statement = sql.SQL("select exists (select from {} where time >= %s and time < %s)")
    row = connection.execute(statement.format(sql.Identifier("reading", family.name)), local_span(day)).fetchone()
    return row == (True,)


def export_due(
    connection: Connection, lake: Lake, late: Mapping[str, int], now: datetime, families: Iterable[Family] | None = None
) -> Iterator[Exported]:
    """Bring every due day into the lake, one by one. `late`: late limits in µs by family, the default under ""."""
    require_lake(lake.folder)
    for family in families or FAMILIES.values():
        limit = timedelta(microseconds=late.get(family.name, late[""]))
        for day in due_days(connection, family, limit, now):
            yield export_day(connection, lake, family, day)


def export_day(connection: Connection, lake: Lake, family: Family, day: date) -> Exported:
    """Bring a day's rows into the lake, those that it lacks. Autocommit connection, of the owner; `alone` is held.

    Raises LakeRefused; whatever ends it, nothing half written keeps a file's name and nothing is dropped.
    """
    require_lake(lake.folder)
    folder = files.day_folder(lake.folder, family.name, day)
    with one_line(lake.folder):
        with snapshot(connection):
            slices = list(measure(connection, family, local_span(day)))
            if not any(one.rows for one in slices) and not folder.exists():
                return Exported(family.name, day, 0, 0, 0)
            files.prepare_folder(lake.folder, folder)
            before = trusted(connection, family, day, folder)
            new = write_missing(connection, lake, family, day, folder, before)
        parts = [*before, *([files.part(new)] if new else [])]
        lake.step("named")
        files.write_manifest(folder, family, day, parts, lake.version)
    lake.step("listed")
    note(connection, lake, family, day, parts, slices)
    added = parts[len(before) :]
    done = Exported(
        family.name, day, sum(p.rows for p in added), sum(p.bytes for p in added), sum(p.rows for p in parts)
    )
    log.info("day exported", **{**done._asdict(), "day": day.isoformat()})
    return done


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One unchanging view of the tables. It only reads, so consumers of batches do not wait for it."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        yield


def trusted(connection: Connection, family: Family, day: date, folder: Path) -> list[Part]:
    """The day's parts, each still what it was when it was noted."""
    parts = [files.part(path) for path in files.existing(folder)]
    found = {part.number: part.sha256 for part in parts}
    noted = connection.execute(
        "select part, file, encode(sha256, 'hex') from ops.lake where family = %s and day = %s", (family.name, day)
    ).fetchall()
    for number, file, digest in noted:
        if found.get(number) != digest:
            what = "has changed since it was written" if number in found else "is gone"
            raise LakeRefused(
                f"lake {folder.parent.parent / file}: {what}; put it back, nothing of that day was dropped"
            )
    return parts


def write_missing(
    connection: Connection, lake: Lake, family: Family, day: date, folder: Path, before: list[Part]
) -> Path | None:
    """Another part with what the lake lacks, read back and compared; None when it lacks nothing."""
    number = before[-1].number + 1 if before else 0
    writer = files.Writer(folder, family, number)
    try:
        rows = copy_missing(connection, lake, family, day, [part.path for part in before], writer)
        writer.close()
        lake.step("written")
        if not writer.rows:
            writer.discard()
            return None
        verify(connection, lake, family, day, [*(part.path for part in before), writer.partial], rows)
        lake.step("verified")
        return writer.finish()
    except BaseException:
        writer.discard()
        raise


def copy_missing(
    connection: Connection, lake: Lake, family: Family, day: date, before: list[Path], writer: files.Writer
) -> int:
    """Write what the lake lacks of a day; returns the rows that the table has."""
    reader = files.Reader(before, family)
    total = 0
    try:
        for block in blocks(connection, family, local_span(day)):
            lake.step("block")
            total += block.num_rows
            writer.write(missing(block, reader.around(block)) if before else block)
    finally:
        reader.close()
    return total


def verify(connection: Connection, lake: Lake, family: Family, day: date, paths: list[Path], rows: int) -> None:
    """Read the files back: every row of the table must be there with every value. Raises LakeRefused."""
    reader = files.Reader(paths, family)
    lacking, seen = 0, 0
    try:
        for block in blocks(connection, family, local_span(day)):
            lake.step("block")
            seen += block.num_rows
            lacking += missing(block, reader.around(block)).num_rows
        if lacking or seen != rows or reader.rows < rows:
            raise LakeRefused(
                f"lake {paths[-1].parent}: {lacking or 'some'} rows do not read back as they were written; "
                "nothing was dropped"
            )
    finally:
        reader.close()


def note(connection: Connection, lake: Lake, family: Family, day: date, parts: list[Part], slices: list[Slice]) -> None:
    """Record what the lake has of a day, and what the table had when all of it was there."""
    with connection.transaction():
        for part in parts:
            file = str(part.path.relative_to(lake.folder))
            connection.execute(
                "insert into ops.lake (family, day, part, file, rows, bytes, sha256, verified)"
                " values (%s, %s, %s, %s, %s, %s, decode(%s, 'hex'), now())"
                " on conflict (family, day, part) do update set dropped = null",
                (family.name, day, part.number, file, part.rows, part.bytes, part.sha256),
            )
        for one in slices:
            connection.execute(
                "insert into ops.lake_slice (family, day, from_time, to_time, rows, digest, verified)"
                " values (%s, %s, %s, %s, %s, %s, now()) on conflict (family, day, from_time) do update set"
                " (to_time, rows, digest, verified, dropped)"
                " = (excluded.to_time, excluded.rows, excluded.digest, excluded.verified, null)",
                (family.name, day, *one.span, one.rows, one.digest),
            )
