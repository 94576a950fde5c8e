"""WAL archiving of a running stack, switched by a file that the database includes.

PostgreSQL's own module basic_archive copies: it writes beside, flushes, renames, and never overwrites a segment with
another content.
"""

import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.stack.account import Account
from dothi.stack.cluster import ARCHIVE
from dothi.stack.passwords import write_private

LIBRARY = "basic_archive"
EVERY_S = 60
"""At the latest so often a segment is closed and archived while something is written: the most that is lost."""
PATIENCE = 60.0
TRIES = 3
"""So often the database tries to archive a segment before it rests for a minute."""
SEGMENT = 24
"""Characters in the name of a segment: timeline, and its number in two parts."""
SEGMENT_BYTES = 16 * 2**20


class Archiving(NamedTuple):
    """`folder` None: WAL is not archived. `waiting`: segments that are closed and not yet archived."""

    folder: str | None
    waiting: int
    last: str | None
    last_at: datetime | None
    failing: bool


def state(connection: psycopg.Connection) -> Archiving:
    """How archiving goes; asked as the owner of the database."""
    row = connection.execute(
        "select nullif(current_setting('basic_archive.archive_directory', true), ''), "
        "(select count(*) from pg_ls_archive_statusdir() where name like '%.ready'), last_archived_wal, "
        "last_archived_time, "
        "coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) "
        "from pg_stat_archiver"
    ).fetchone()
    assert row is not None  # the view always has its one row
    found = Archiving(*row)
    return found._replace(failing=found.failing and found.folder is not None)


def text(wal: Path) -> str:
    """The file that the database includes.

    >>> print(text(Path("/b/it's")).splitlines()[-2])
    basic_archive.archive_directory = '/b/it''s'
    """
    quoted = str(wal).replace("\\", "\\\\").replace("'", "''")
    return (
        "# Written by dothi storage backup, removed by dothi storage archive --off.\n"
        "archive_command = ''\n"
        f"archive_library = '{LIBRARY}'\n"
        f"basic_archive.archive_directory = '{quoted}'\n"
        f"archive_timeout = '{EVERY_S}s'\n"
    )


def switch_on(connection: psycopg.Connection, runtime: Runtime, stack: Path, account: Account, wal: Path) -> None:
    """Archive into `wal` from now on; returns when a segment has arrived there.

    Raises Refused, with everything as it was, when the database cannot write there.
    """
    if not (runtime.postgres_bin.parent / f"lib/{LIBRARY}.so").exists():
        raise Refused(f"PostgreSQL's module {LIBRARY} is missing in {runtime.postgres_bin.parent}/lib; install it")
    if connection.execute("show archive_mode").fetchone() != ("on",):
        raise Refused(f"the database in {stack} was started by an older dothi; stop that dothi up and start it again")
    wal.mkdir(mode=0o700, exist_ok=True)
    account.give(wal)
    require_writable(connection, wal)
    file = stack / ARCHIVE
    before = file.read_text() if file.exists() else None
    try:
        put(file, account, text(wal))
        reload(connection, str(wal))
        wait_archived(connection, wal)
    except BaseException:
        put(file, account, before)
        connection.execute("select pg_reload_conf()")
        raise


def switch_off(connection: psycopg.Connection, stack: Path) -> None:
    """Archive no more; what waits is let go."""
    (stack / ARCHIVE).unlink(missing_ok=True)
    reload(connection, None)


def put(file: Path, account: Account, content: str | None) -> None:
    """Rename the file into place, or remove it."""
    if content is None:
        return file.unlink(missing_ok=True)
    write_private(file, content)
    return account.give(file)


def reload(connection: psycopg.Connection, wanted: str | None) -> None:
    """Let the database read its files again, and wait until it has."""
    connection.execute("select pg_reload_conf()")
    until = time.monotonic() + 10
    while state(connection).folder != wanted and time.monotonic() < until:
        time.sleep(0.05)


def require_writable(connection: psycopg.Connection, wal: Path) -> None:
    """Let the database itself write there: it may run as another user than we."""
    probe = wal / ".probe"
    try:
        connection.execute(sql.SQL("copy (select 1) to {}").format(sql.Literal(str(probe))))
    except psycopg.Error as error:
        reason = (error.diag.message_primary or str(error)).rpartition(": ")[2]
        raise Refused(
            f"the database cannot archive into {wal}: {reason}; choose a folder that its user may enter and write"
        ) from None
    finally:
        probe.unlink(missing_ok=True)


def wait_archived(connection: psycopg.Connection, wal: Path) -> str:
    """Close the current segment and wait until it lies in the archive; returns its name.

    Raises Refused when it cannot be archived, or when nothing has been for a minute.
    """
    row = connection.execute("select pg_walfile_name(pg_create_restore_point('dothi archive'))").fetchone()
    assert row is not None  # a function's one row
    segment = str(row[0])
    connection.execute("select pg_switch_wal()")
    archived, failed = counted(connection)
    until = time.monotonic() + PATIENCE
    while not (wal / segment).exists():
        now = counted(connection)
        if now[0] != archived:
            (archived, failed), until = now, time.monotonic() + PATIENCE
        if now[1] - failed >= TRIES or time.monotonic() > until:
            raise Refused(f"WAL does not arrive in {wal}: {reason(wal)}")
        time.sleep(0.1)
    return segment


def counted(connection: psycopg.Connection) -> tuple[int, int]:
    """Segments archived, and attempts that failed, since the database was made."""
    row = connection.execute("select archived_count, failed_count from pg_stat_archiver").fetchone()
    assert row is not None  # the view always has its one row
    return row[0], row[1]


def reason(wal: Path) -> str:
    """What is wrong with a folder, as far as can be seen from here."""
    if not wal.is_dir():
        return "the folder is gone"
    free = shutil.disk_usage(wal).free
    return f"only {free // 2**20} MB are free" if free < 2 * SEGMENT_BYTES else "see the log of the database"


def number(segment: str) -> int:
    """Place of a segment of 16 MB in the whole stream, whatever its timeline.

    >>> number("000000010000000000000002"), number("000000020000000100000000")
    (2, 256)
    """
    return int(segment[8:16], 16) * 256 + int(segment[16:24], 16)


def segments(wal: Path) -> list[str]:
    """Names of the archived segments, in the order of the stream."""
    names = [path.name for path in wal.iterdir()] if wal.is_dir() else []
    found = [name for name in names if len(name) == SEGMENT and all(c in "0123456789ABCDEF" for c in name)]
    return sorted(found, key=lambda name: (number(name), name))


def gap(found: list[str], first: str) -> str | None:
    """Name of the segment after which one is missing, counted from `first`; None: none is missing.

    >>> gap([f"00000001000000000000000{n}" for n in (1, 2, 3, 5)], "000000010000000000000002")
    '000000010000000000000003'
    """
    wanted, last = number(first), first
    for name in found:
        if number(name) > wanted:
            return last
        if number(name) == wanted:
            wanted, last = wanted + 1, name
    return None
