"""A backup brought back into a new folder: copied, verified, recovered to the wanted moment, then put into place."""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dothi.backup import check, store, tools
from dothi.backup.recover import Restored, recover, shown
from dothi.backup.store import Backup, Store
from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.stack import cluster
from dothi.stack.account import Account, account_for, starter
from dothi.stack.leftovers import end_leftovers, held
from dothi.stack.passwords import write_private

BEGUN = {"run", "log", "lock"}
OURS = {*BEGUN, cluster.UNFINISHED, store.SECRETS}


def restore(source: Path, target: Path, until: datetime | None, runtime: Runtime, progress: tools.Progress) -> Restored:
    """Restore the newest fitting backup. Raises Refused with nothing left in `target`."""
    began = time.monotonic()
    kept, backup = choose(source, until)
    check.require_usable(backup, kept.path(backup), runtime)
    require_reachable(kept, backup, until)
    require_apart(kept, target)
    with fresh(target):
        tools.require_space(target, backup.bytes, "the restore")
        account = account_for(target)
        starter(account, places(kept, target, runtime), signal.SIGINT)  # refuses before anything is copied
        copy(kept, backup, target, account, progress)
        trouble = check.cluster(target / cluster.UNFINISHED, backup.name, runtime, progress)
        if trouble:
            raise Refused(f"{kept.path(backup)} is damaged: {trouble}")
        restored = recover(kept, backup, target, until, runtime, account, progress)
        (target / cluster.UNFINISHED).rename(target / cluster.DATA)
    return restored._replace(seconds=round(time.monotonic() - began, 1))


def choose(source: Path, until: datetime | None) -> tuple[Store, Backup]:
    """The backup to begin with: the one that was named, or the newest that had ended by then."""
    kept, named = store.opened(source)
    if named is None:
        return kept, kept.newest(until)
    if until is not None and until < named.ended:
        raise Refused(f"--until {shown(until)} lies before the end of {source}; allowed: from {shown(named.ended)} on")
    return kept, named


def require_reachable(kept: Store, backup: Backup, until: datetime | None) -> None:
    """A moment after the backup needs WAL that was archived since, and must have come."""
    if until is None:
        return
    if until > datetime.now(UTC):
        raise Refused(f"--until {shown(until)} has not come yet")
    if not backup.archived or not kept.archived:
        raise Refused(
            f"{kept.path(backup)} has no archived WAL, so it can only be restored as of {shown(backup.ended)}: "
            "leave --until away"
        )


def require_apart(kept: Store, target: Path) -> None:
    """A stack does not lie among backups."""
    if target.resolve().is_relative_to(kept.folder.resolve()):
        raise Refused(f"--dir {target} lies inside the folder of backups {kept.folder}; choose one outside")


@contextmanager
def fresh(target: Path) -> Iterator[None]:
    """The folder of the new stack, held; what was made in it is removed when the restore fails.

    Raises Refused: held by a running stack, not empty, not writable.
    """
    there = target.exists()
    left = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if there and (not target.is_dir() or not unfinished(left)):
        running = " (it holds a stack, which stays as it is)" if cluster.DATA in left else ""
        raise Refused(f"--dir {target} is not empty{running}; a restore takes an empty or a new folder")
    with held(target):
        end_leftovers(target)
        shutil.rmtree(target / cluster.UNFINISHED, ignore_errors=True)
        try:
            yield
        except BaseException:
            clear(target)
            if not there:
                target.rmdir()
            raise


def unfinished(left: set[str]) -> bool:
    """Whether a folder is empty, or holds a restore that was interrupted and no stack."""
    return left <= BEGUN or (cluster.UNFINISHED in left and cluster.DATA not in left)


def clear(target: Path) -> None:
    """Remove what a restore makes."""
    for name in OURS:
        path = target / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def places(kept: Store, target: Path, runtime: Runtime) -> list[Path]:
    """Folders that the database must be able to enter."""
    return [target, runtime.postgres_bin, *([kept.wal] if kept.wal.is_dir() else [])]


def copy(kept: Store, backup: Backup, target: Path, account: Account, progress: tools.Progress) -> None:
    """Copy the cluster and the passwords; the database flushes its files itself when it recovers."""
    done = 0

    def one(source: str, place: str) -> str:
        nonlocal done
        try:
            shutil.copyfile(source, place)
        except OSError as error:  # as an OSError it would be collected, and every other file tried
            raise Refused(f"{error.filename or place}: {error.strerror}; nothing was restored") from None
        done += Path(place).stat().st_size
        progress.at(done, backup.bytes, "copying the backup")
        return place

    data = target / cluster.UNFINISHED
    shutil.copytree(kept.path(backup) / store.DATABASE, data, copy_function=one)
    for path in (data, *data.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        account.give(path)
    secrets = kept.path(backup) / store.SECRETS
    if secrets.exists():
        write_private(target / store.SECRETS, secrets.read_text())
