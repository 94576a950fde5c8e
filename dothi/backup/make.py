"""One backup: WAL archiving on, a base backup beside it, old ones away."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import psycopg

from dothi import __version__
from dothi.backup import archive, store, tools
from dothi.backup.source import Source, look, without_secret
from dothi.backup.store import Backup, Store
from dothi.errors import Refused
from dothi.migrations import connected
from dothi.runtime import Runtime
from dothi.stack.account import account_for
from dothi.stack.passwords import write_private
from ingest.durable import sync_path

START = re.compile(r"^START WAL LOCATION: .* \(file ([0-9A-F]{24})\)$", re.MULTILINE)
PASSING = 0o711
"""Others pass through to the archive, which may belong to the database's user, and see nothing on the way."""


class Wanted(NamedTuple):
    """What is backed up, and how. `stack`: folder of the stack when the database is its own, else None.

    `keep`: so many backups stay, None: all. `rate`: MB/s read from the database at most, None: no limit.
    """

    url: str
    stack: Path | None
    to: Path
    archive: bool = True
    keep: int | None = None
    rate: int | None = None


class Made(NamedTuple):
    """The new backup and the names of those that went for it."""

    backup: Backup
    removed: list[str]


def make(wanted: Wanted, runtime: Runtime, progress: tools.Progress) -> Made:
    """Make a backup. Raises Refused; what was begun is removed then."""
    require_apart(wanted)
    with connected(wanted.url, "dothi backup") as connection:
        source = look(connection, runtime)
        mode = PASSING if wanted.stack and account_for(wanted.stack).switch else 0o700
        with store.for_writing(wanted.to, source.system, mode) as kept:
            tools.require_space(wanted.to, source.size, "the backup")
            tell_of_shared_disk(wanted, progress)
            archived = archive_into(wanted, connection, runtime, kept, progress)
            made = base_backup(wanted, source, runtime, kept, archived, connection, progress)
            return Made(made, retire(kept, runtime, wanted.keep, progress))


def require_apart(wanted: Wanted) -> None:
    """Backups do not lie in the folder that they save."""
    if wanted.stack and wanted.to.resolve().is_relative_to(wanted.stack.resolve()):
        raise Refused(f"--to {wanted.to} lies inside the stack's own folder {wanted.stack}; choose one outside")
    if not str(wanted.to).isprintable():
        raise Refused(f"--to {str(wanted.to)!r}: allowed: a path of printable characters")


def tell_of_shared_disk(wanted: Wanted, progress: tools.Progress) -> None:
    """A copy on the same disk does not outlive it."""
    if wanted.stack and wanted.stack.stat().st_dev == wanted.to.stat().st_dev:
        progress.say(f"note: {wanted.to} is on the same disk as the database; a loss of that disk takes both")


def archive_into(
    wanted: Wanted, connection: psycopg.Connection, runtime: Runtime, kept: Store, progress: tools.Progress
) -> bool:
    """Let the stack archive its WAL beside the backup; returns whether it does."""
    if not wanted.stack or not wanted.archive:
        return False
    if archive.state(connection).folder == str(kept.wal):
        archive.wait_archived(connection, kept.wal)
    else:
        archive.switch_on(connection, runtime, wanted.stack, account_for(wanted.stack), kept.wal)
        progress.say(f"WAL is archived into {kept.wal} from now on")
    return True


def base_backup(
    wanted: Wanted,
    source: Source,
    runtime: Runtime,
    kept: Store,
    archived: bool,
    connection: psycopg.Connection,
    progress: tools.Progress,
) -> Backup:
    """Copy the cluster into a folder that gets its name when all is there, flushed."""
    name = free_name(kept, source.now)
    part = kept.folder / (name + store.PART)
    part.mkdir(mode=0o700)
    try:
        copy_cluster(wanted, runtime, part / store.DATABASE, progress)
        ended = connection.execute("select clock_timestamp()").fetchone()
        assert ended is not None  # a select without a table has one row
        if wanted.stack:
            copy_secrets(wanted.stack, part)
        backup = describe(name, part, source, ended[0], archived, wanted.stack is not None)
        write_private(part / store.ABOUT, msgspec.json.format(msgspec.json.encode(backup)).decode() + "\n")
        for path in (*part.glob("*.json"), part):
            sync_path(path)
        part.rename(kept.folder / name)
        sync_path(kept.folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return backup


def free_name(kept: Store, now: datetime) -> str:
    """The time in UTC, with a number when that is taken."""
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    taken = {path.name for path in kept.folder.iterdir()}
    return next(one for one in (name, *(f"{name}-{n}" for n in range(2, 1000))) if one not in taken)


def copy_cluster(wanted: Wanted, runtime: Runtime, place: Path, progress: tools.Progress) -> None:
    """pg_basebackup: pages with their checksums verified, the WAL that makes them consistent, and a manifest."""
    address, secret = without_secret(wanted.url)
    arguments = [
        f"--dbname={address}",
        f"--pgdata={place}",
        "--format=plain",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--label=dothi",
        "--progress",
        "--no-password",
        *([f"--max-rate={wanted.rate}M"] if wanted.rate else []),
    ]
    tools.run(runtime, "pg_basebackup", arguments, progress, "copying the database", secret)


def copy_secrets(stack: Path, part: Path) -> None:
    """The passwords: gateways and devices keep theirs when the database is restored elsewhere."""
    write_private(part / store.SECRETS, (stack / store.SECRETS).read_text())


def describe(name: str, part: Path, source: Source, ended: datetime, archived: bool, own: bool) -> Backup:
    """backup.json's content."""
    found = START.search((part / store.DATABASE / "backup_label").read_text())
    if not found:
        raise Refused(f"pg_basebackup wrote no start of WAL into {part / store.DATABASE}/backup_label")
    return Backup(
        name=name,
        began=source.now,
        ended=ended,
        dothi=__version__,
        postgresql=source.postgresql,
        timescaledb=source.timescaledb,
        system=source.system,
        segment=found[1],
        bytes=tools.size(part),
        archived=archived,
        own=own,
        database=source.name,
        migrations=source.migrations,
    )


def retire(kept: Store, runtime: Runtime, keep: int | None, progress: tools.Progress) -> list[str]:
    """Remove all but the newest backups, and the WAL that only they needed; returns their names."""
    if keep is None:
        return []
    whole = kept.backups()
    gone = whole[:-keep]
    for backup in gone:
        store.remove(kept.path(backup))
    if kept.archived:
        first = min((backup.segment for backup in whole[-keep:]), key=archive.number)
        tools.run(runtime, "pg_archivecleanup", [str(kept.wal), first], progress, "removing old WAL")
    return [backup.name for backup in gone]
