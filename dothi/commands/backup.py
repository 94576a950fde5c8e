"""`dothi storage backup`, `restore`, `verify` and `archive`; registered in the group of `dothi storage`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dothi import settings
from dothi.backup.tools import Progress
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused
from dothi.output import console, print_json, print_table
from dothi.runtime import Runtime, find_runtime
from dothi.settings import Stack, stack_at

Kept = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of backups, or one backup in it.")]


def backup(
    to: Annotated[Path, typer.Option("--to", help="Folder that backups are kept in; made unless it is there.")],
    folder: Folder = None,
    keep: Annotated[int | None, typer.Option("--keep", min=1, help="Remove all but so many backups.")] = None,
    max_rate: Annotated[
        int | None, typer.Option("--max-rate", min=1, max=1023, help="Read at most so many MB/s, to spare the disk.")
    ] = None,
    no_archive: Annotated[
        bool, typer.Option("--no-archive", help="Leave WAL archiving as it is: no way to a later moment.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Save the database while it works, and from then on all its WAL beside, so that any later moment can be restored.

    Example: dothi storage backup --dir .dothi --to /mnt/backups --keep 7
    """
    from dothi.backup.make import Wanted, make

    stack = stack_at(folder)
    wanted = Wanted(stack.database, own_folder(stack), to.absolute(), not no_archive, keep, max_rate)
    with plain_errors(to):
        made = make(wanted, tools_of_runtime(), Progress("backup"))
    if as_json:
        print_json({"backup": made.backup, "path": str(wanted.to / made.backup.name), "removed": made.removed})
        return
    seconds = (made.backup.ended - made.backup.began).total_seconds()
    console.print(f"backup {wanted.to / made.backup.name}: {megabytes(made.backup.bytes)}, {seconds:.1f} s")
    if made.removed:
        console.print(f"removed: {', '.join(made.removed)}")


def restore(
    source: Annotated[Path, typer.Option("--from", help="Folder of backups, or one backup in it.")],
    folder: Annotated[Path, typer.Option("--dir", help="Empty or new folder for the restored stack.")],
    until: Annotated[
        str | None,
        typer.Option("--until", help="Up to this moment: 30m, 12h, 7d ago, or RFC 3339; else all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back into a new folder, with all that was archived since; then start it with `dothi up`.

    Example: dothi storage restore --from /mnt/backups --dir restored --until 2026-11-21T07:00:00+07:00
    """
    from dothi.backup.restore import restore as bring_back
    from dothi.times import moment

    when = None if until is None else moment("--until", until, datetime.now(UTC))
    with plain_errors(source):
        done = bring_back(source.absolute(), folder.absolute(), when, tools_of_runtime(), Progress("restore"))
    if as_json:
        print_json(done._asdict() | {"backup": done.backup.name})
        return
    console.print(f"restored {done.backup.name} as of {done.until.isoformat()}, {done.seconds:.1f} s")
    print_table(("ledger", "readings"), list(done.ledger.items()))
    console.print(f"start it with: dothi up --dir {folder}")


def verify(kept: Kept, as_json: AsJson = False) -> None:
    """Read every byte of the backups and of the WAL archived since; exit 1 when anything is not as it was written.

    Example: dothi storage verify /mnt/backups
    """
    from dothi.backup import check, store

    with plain_errors(kept):
        folder, one = store.opened(kept.absolute())
        found = check.verify(folder, one, tools_of_runtime(), Progress("verify"))
    if as_json:
        print_json(document(kept, found))
    else:
        rows = [(c.backup.name, c.backup.ended, megabytes(c.backup.bytes), c.trouble or "ok") for c in found.checked]
        print_table(("backup", "ended", "size", "state"), rows)
        console.print(f"archived WAL: {found.wal} segments, {megabytes(found.wal_bytes)}; {found.gap or 'no gap'}")
        for name in found.interrupted:
            console.print(f"{name}: interrupted, or being made; the next backup removes it")
    if not found.ok:
        bad = [f"{c.backup.name}: {c.trouble}" for c in found.checked if c.trouble]
        raise Refused("; ".join([*bad, *([found.gap] if found.gap else [])]))


def document(kept: Path, found: Any) -> dict[str, Any]:
    """The verdict as `--json` prints it."""
    return {
        "folder": str(kept.absolute()),
        "ok": found.ok,
        "backups": [
            {"name": c.backup.name, "ended": c.backup.ended, "bytes": c.backup.bytes, "trouble": c.trouble}
            for c in found.checked
        ],
        "interrupted": found.interrupted,
        "wal": {"segments": found.wal, "bytes": found.wal_bytes, "newest": found.newest_wal, "trouble": found.gap},
    }


def archive(
    folder: Folder = None,
    off: Annotated[bool, typer.Option("--off", help="Archive no more; the next backup switches it on again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show whether and where the WAL of a stack is archived; exit 1 when that fails just now.

    Example: dothi storage archive --dir .dothi
    """
    from dothi.backup.archive import state, switch_off
    from dothi.migrations import connected

    stack = stack_at(folder)
    place = own_folder(stack)
    if place is None:
        raise Refused("this database is not the stack's own: its server decides what becomes of its WAL")
    with connected(stack.database, "dothi backup") as connection, plain_errors(place):
        if off:
            switch_off(connection, place)
        found = state(connection)
    if as_json:
        print_json(found._asdict())
    else:
        print_table(("archive", ""), [(name.replace("_", " "), value) for name, value in found._asdict().items()])
    if found.failing:
        raise Refused(
            f"WAL cannot be archived into {found.folder}, {found.waiting} segments wait on the database's disk; "
            f"mend that folder, or: dothi storage archive --dir {place} --off"
        )


def own_folder(stack: Stack) -> Path | None:
    """The stack's folder when the database is its own, None when DOTHI_DATABASE_URL names it."""
    own = stack.folder is not None and stack.document.get("processes", {}).get("database") is not None
    return stack.folder.absolute() if own and stack.folder else None


def tools_of_runtime() -> Runtime:
    """Where PostgreSQL's programs are."""
    return find_runtime(settings.runtime())


def megabytes(count: int) -> str:
    """Bytes for people.

    >>> megabytes(12_345_678)
    '12.3 MB'
    """
    return f"{count / 1e6:,.1f} MB"


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """A full disk or a missing permission, in one line."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.filename or folder}: {error.strerror or error}") from None
