"""A copied cluster recovered: what was archived is replayed to the wanted moment, by PostgreSQL itself."""

import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from dothi.backup import tools
from dothi.backup.adopt import adopt
from dothi.backup.store import Backup, Store
from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.stack import cluster
from dothi.stack.account import Account
from dothi.stack.leftovers import record
from dothi.stack.parts import Part, Running
from dothi.stack.passwords import passwords
from dothi.stack.ports import free_port

LAST = re.compile(r"last completed transaction was at log time (\S+ \S+)")
TOO_EARLY = "recovery ended before configured recovery target"
POLL = 0.1


class Restored(NamedTuple):
    """What came back. `until`: commit time of the newest transaction; `ledger`: readings it has counted."""

    backup: Backup
    folder: str
    until: datetime
    timeline: int
    ledger: dict[str, int]
    seconds: float


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
    data = target / cluster.UNFINISHED
    put_signal(data, account)
    port, password = free_port(set()), passwords(target)[cluster.USER]
    part = cluster.part(runtime, target, account, port, password, cluster.UNFINISHED, recovery(kept, until))
    if not backup.own:
        adopt(data, backup, runtime, account, password)
    with running(part) as process:
        wait(process, progress, until)
        return facts(cluster.address(cluster.USER, password, port), backup, target)


def put_signal(data: Path, account: Account) -> None:
    """The file that tells PostgreSQL to replay archived WAL."""
    path = data / "recovery.signal"
    path.touch(mode=0o600)
    account.give(path)


def recovery(kept: Store, until: datetime | None) -> dict[str, str]:
    """Settings of the recovery; on the command line, so that nothing of them stays."""
    archived = shlex.quote(str(kept.wal)).replace("%", "%%") + "/%f"
    wanted = {"recovery_target_time": shown(until), "recovery_target_action": "promote"} if until else {}
    return {
        "restore_command": f"test -f {archived} && cp {archived} %p",
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


def shown(when: datetime) -> str:
    """A time as `--until` takes it.

    >>> shown(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000+00:00'
    """
    return when.astimezone(UTC).isoformat(timespec="microseconds")
