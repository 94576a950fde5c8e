"""Whether a backup can be used here, and whether every byte of it is still what was written."""

from pathlib import Path
from typing import NamedTuple

from dothi.backup import archive, store, tools
from dothi.backup.store import Backup, Store
from dothi.errors import Refused
from dothi.migrations import known_migrations
from dothi.runtime import Runtime


class Checked(NamedTuple):
    """One backup. `trouble` None: it is whole."""

    backup: Backup
    trouble: str | None


class Verdict(NamedTuple):
    """A folder of backups. `wal`: archived segments; `gap` names what is wrong with them, None: nothing is."""

    checked: list[Checked]
    interrupted: list[str]
    wal: int
    wal_bytes: int
    newest_wal: str | None
    gap: str | None

    @property
    def ok(self) -> bool:
        """Whether all of it can be restored."""
        return not self.gap and all(one.trouble is None for one in self.checked)


def require_usable(backup: Backup, where: Path, runtime: Runtime) -> None:
    """Refuse a backup that another PostgreSQL, another TimescaleDB or a newer dothi made."""
    require_major(backup, where, runtime)
    library = runtime.postgres_bin.parent / f"lib/timescaledb-{backup.timescaledb}.so"
    if not library.exists():
        raise Refused(
            f"{where} needs TimescaleDB {backup.timescaledb}, the {runtime.kind} runtime has "
            f"{runtime.versions.timescaledb}; set DOTHI_RUNTIME to one that has it"
        )
    known = {migration.name: migration.sha256 for migration in known_migrations()}
    for name, digest in sorted(backup.migrations.items()):
        if name not in known:
            raise Refused(f"{where} was made by a newer dothi ({backup.dothi}): it has migration {name}; use that one")
        if known[name] != digest:
            raise Refused(f"{where} was made by another dothi: its migration {name} has another text; use that one")


def require_major(backup: Backup, where: Path, runtime: Runtime) -> None:
    """PostgreSQL's programs work on files of their own major version alone."""
    if backup.major != int(runtime.versions.postgresql.split(".")[0]):
        raise Refused(
            f"{where} was made by PostgreSQL {backup.postgresql}, the {runtime.kind} runtime has "
            f"{runtime.versions.postgresql}; set DOTHI_RUNTIME to one of the same major version"
        )


def verify(kept: Store, one: Backup | None, runtime: Runtime, progress: tools.Progress) -> Verdict:
    """Check one backup, or all of the folder, and the WAL archived since the oldest of them.

    Raises Refused when there is nothing complete to check.
    """
    kept.newest()
    backups = [one] if one else kept.backups()
    checked = [Checked(backup, files(kept, backup, runtime, progress)) for backup in backups]
    found = archive.segments(kept.wal)
    trouble = stream(kept, backups, found, runtime, progress)
    total = sum((kept.wal / name).stat().st_size for name in found)
    return Verdict(checked, kept.interrupted(), len(found), total, found[-1] if found else None, trouble)


def files(kept: Store, backup: Backup, runtime: Runtime, progress: tools.Progress) -> str | None:
    """pg_verifybackup: every file by its checksum, none too many, and the WAL readable; what is wrong, or None."""
    path = kept.path(backup)
    require_major(backup, path, runtime)
    return cluster(path / store.DATABASE, backup.name, runtime, progress)


def cluster(data: Path, name: str, runtime: Runtime, progress: tools.Progress) -> str | None:
    """pg_verifybackup on a copied cluster."""
    return tools.attempt(runtime, "pg_verifybackup", ["--progress", str(data)], progress, f"verifying {name}")


def stream(
    kept: Store, backups: list[Backup], found: list[str], runtime: Runtime, progress: tools.Progress
) -> str | None:
    """What is wrong with the WAL archived since the oldest of the backups that lean on it, or None."""
    leaning = [backup.segment for backup in backups if backup.archived]
    if not leaning or not found:
        return None
    first = min(leaning, key=archive.number)
    after = archive.gap(found, first)
    if after:
        return f"{kept.wal} lacks the segment after {after}: restores end there"
    needed = [name for name in found if archive.number(name) >= archive.number(first)]
    return records(kept.wal, needed, runtime, progress)


def records(wal: Path, names: list[str], runtime: Runtime, progress: tools.Progress) -> str | None:
    """pg_waldump over the segments of each timeline: every record by its checksum; what is wrong, or None."""
    for timeline in sorted({name[:8] for name in names}):
        own = [name for name in names if name.startswith(timeline)]
        progress.say(f"reading {len(own)} segments of archived WAL")
        words = tools.attempt(
            runtime, "pg_waldump", ["--quiet", f"--path={wal}", own[0], own[-1]], progress, "reading WAL"
        )
        if words:
            return f"{wal}: {words}"
    return None
