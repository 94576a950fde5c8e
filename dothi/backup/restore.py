"""A backup brought back into a new folder: copied, verified, recovered to the wanted moment, then put into place."""

import re
import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from dothi.backup import check, store, tools
from dothi.backup.store import Backup, Store
from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.stack import cluster
from dothi.stack.account import Account, account_for, starter
from dothi.stack.leftovers import held, record
from dothi.stack.parts import Part, Running
from dothi.stack.passwords import passwords, write_private
from dothi.stack.ports import free_port

LAST = re.compile(r"last completed transaction was at log time (\S+ \S+)")
TOO_EARLY = "recovery ended before configured recovery target"
OURS = {"run", "log", "lock", cluster.UNFINISHED, store.SECRETS}
POLL = 0.1


class Restored(NamedTuple):
    """What came back. `until`: commit time of the newest transaction; `ledger`: readings it has counted."""

    backup: Backup
    folder: str
    until: datetime
    timeline: int
    ledger: dict[str, int]
    seconds: float


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


def shown(when: datetime) -> str:
    """A time as `--until` takes it.

    >>> shown(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000+00:00'
    """
    return when.astimezone(UTC).isoformat(timespec="microseconds")


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
        shutil.rmtree(target / cluster.UNFINISHED, ignore_errors=True)
        try:
            yield
        except BaseException:
            clear(target)
            if not there:
                target.rmdir()
            raise


def unfinished(left: set[str]) -> bool:
    """Whether a folder is empty, or holds only what an interrupted restore left."""
    return not left or (cluster.UNFINISHED in left and left <= OURS)


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
        shutil.copyfile(source, place)
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


def recover(
    kept: Store,
    backup: Backup,
    target: Path,
    until: datetime | None,
    runtime: Runtime,
    account: Account,
    progress: tools.Progress,
) -> Restored:
    """Let PostgreSQL replay what was archived, until the wanted moment or the end; then stop it cleanly."""
    signal_file = target / cluster.UNFINISHED / "recovery.signal"
    signal_file.touch(mode=0o600)
    account.give(signal_file)
    port, password = free_port(set()), passwords(target)[cluster.USER]
    url = cluster.address(cluster.USER, password, port)
    part = cluster.part(runtime, target, account, port, password, cluster.UNFINISHED, recovery(kept, until))
    with running(part) as process:
        wait(process, progress, until)
        return facts(url, backup, target)


def recovery(kept: Store, until: datetime | None) -> dict[str, str]:
    """Settings of the recovery; on the command line, so that nothing of them stays."""
    archived = shlex.quote(str(kept.wal)).replace("%", "%%")
    wanted = {"recovery_target_time": shown(until), "recovery_target_action": "promote"} if until else {}
    return {
        "restore_command": f"cp {archived}/%f %p",
        "archive_mode": "off",
        "hot_standby": "off",  # nobody is let in before it is over
        **wanted,
    }


@contextmanager
def running(part: Part) -> Iterator[Running]:
    """Run the database while the block lasts; then it is stopped, and the block's end means that it stopped cleanly."""
    process = Running(part)
    process.start()
    assert process.process is not None  # started above
    if process.trace:
        record(part.folder, [process.trace])
    try:
        yield process
        process.process.send_signal(part.stop_signal)
        if process.process.wait(part.patience):
            raise Refused(f"the restored database did not stop cleanly: {process.last_words()}")
    finally:
        if process.process.poll() is None:
            process.process.send_signal(part.stop_signal)
            process.process.wait(part.patience)
        record(part.folder, [])


def wait(process: Running, progress: tools.Progress, until: datetime | None) -> None:
    """Wait until the recovery is over and the database writable. Raises Refused when it ends before."""
    assert process.process is not None  # running() started it
    began = time.monotonic()
    progress.say("recovering")
    while not process.part.ready():
        if process.process.poll() is not None:
            raise Refused(explained(process, until))
        progress.tell(f"recovering for {time.monotonic() - began:.0f} s")
        time.sleep(POLL)


def explained(process: Running, until: datetime | None) -> str:
    """Why the recovery ended, in a sentence."""
    words = process.last_words()
    log = process.part.log.read_bytes()[process.log_start :].decode(errors="replace")
    if until is not None and TOO_EARLY in log:
        last = LAST.findall(log)
        ends = f"it ends with a transaction of {shown(datetime.fromisoformat(last[-1]))}" if last else "it is empty"
        return (
            f"--until {shown(until)} lies behind the end of the archive: {ends}; without --until all of it comes back"
        )
    return f"the recovery failed: {words}"


def facts(url: str, backup: Backup, target: Path) -> Restored:
    """What the recovered database holds."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select coalesce(pg_last_xact_replay_timestamp(), %s), (select timeline_id from pg_control_checkpoint())",
            (backup.ended,),
        ).fetchone()
        ledger = connection.execute(
            "select coalesce(sum(received), 0)::bigint, coalesce(sum(stored), 0)::bigint, "
            "coalesce(sum(duplicate), 0)::bigint, coalesce(sum(quarantined), 0)::bigint from ops.ledger"
        ).fetchone()
    assert row is not None  # selects without a table, or of sums
    assert ledger is not None
    names = ("received", "stored", "duplicate", "quarantined")
    return Restored(backup, str(target), row[0], row[1], dict(zip(names, ledger, strict=True)), 0.0)
