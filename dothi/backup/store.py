"""The folder that backups are kept in: what lies where, which of them are whole.

FOLDER/backups.json   whose backups these are
FOLDER/wal/           WAL archived by the running database, a file per segment
FOLDER/NAME/          one backup: backup.json, secrets.json, database/ as pg_basebackup wrote it
FOLDER/NAME.part/     one that is being made, or was interrupted
FOLDER/NAME.gone/     one that is being removed
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from dothi.errors import Refused
from dothi.stack.passwords import write_private

FORMAT = 1
DATABASE = "database"
ABOUT = "backup.json"
SECRETS = "secrets.json"
WHOSE = "backups.json"
WAL = "wal"
PART = ".part"
GONE = ".gone"


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What backup.json says. Times are the database's; `segment`: the first WAL segment that a restore needs.

    `own`: the cluster was a stack's own. `archived`: all WAL since then is archived beside it.
    """

    format: int = FORMAT
    name: str
    began: datetime
    ended: datetime
    dothi: str
    postgresql: str
    timescaledb: str
    system: str
    segment: str
    bytes: int
    archived: bool
    own: bool
    database: str
    migrations: dict[str, str]

    @property
    def major(self) -> int:
        """Major version of PostgreSQL."""
        return int(self.postgresql.split(".")[0])


class Store:
    """A folder of backups that is there. Raises Refused when it is none, OSError when it cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.system = whose(folder)

    @property
    def wal(self) -> Path:
        """Where archived WAL lies, if it is archived."""
        return self.folder / WAL

    @property
    def archived(self) -> bool:
        """Whether there is any archived WAL."""
        return self.wal.is_dir() and any(len(path.name) == 24 for path in self.wal.iterdir())

    def path(self, backup: Backup) -> Path:
        """Folder of a backup."""
        return self.folder / backup.name

    def backups(self) -> list[Backup]:
        """The whole ones, oldest first."""
        names = [path for path in self.folder.iterdir() if path.is_dir() and not path.suffix and path.name != WAL]
        found = [read(path) for path in names if (path / ABOUT).is_file()]  # glob would pass over what may not be read
        return sorted(found, key=lambda backup: backup.ended)

    def interrupted(self) -> list[str]:
        """Names of those that were begun and are not whole, or are being made just now."""
        return sorted(path.name for path in self.folder.glob(f"*{PART}"))

    def newest(self, until: datetime | None = None) -> Backup:
        """The newest backup, or the newest that had ended at a time. Raises Refused when there is none."""
        whole = self.backups()
        if not whole:
            broken = self.interrupted()
            had = f", only one that was interrupted ({broken[-1]})" if broken else ""
            raise Refused(f"{self.folder} holds no complete backup{had}")
        fit = [backup for backup in whole if until is None or backup.ended <= until]
        if not fit:
            raise Refused(
                f"--until {until:%Y-%m-%dT%H:%M:%S%z} lies before the end of the oldest backup in {self.folder}; "
                f"allowed: from {whole[0].ended:%Y-%m-%dT%H:%M:%S%z} on"
            )
        return fit[-1]


def whose(folder: Path) -> str:
    """System identifier of the database whose backups a folder holds. Raises Refused when it holds none."""
    try:
        return str(msgspec.json.decode((folder / WHOSE).read_bytes())["system"])
    except FileNotFoundError:
        raise Refused(f"{folder} is no folder of backups; make one with: dothi storage backup --to {folder}") from None
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise Refused(f"{folder / WHOSE} is damaged: it does not name the database it belongs to") from None


def read(path: Path) -> Backup:
    """backup.json of one backup. Raises Refused: damaged, or of a newer dothi."""
    about = path / ABOUT
    try:
        backup = msgspec.json.decode(about.read_bytes(), type=Backup)
    except msgspec.MsgspecError as error:
        raise Refused(f"{about} is no description of a backup: {error}") from None
    if backup.format != FORMAT:
        raise Refused(f"{about} has format {backup.format}, this dothi reads format {FORMAT}; use the dothi it names")
    return backup


def opened(place: Path) -> tuple[Store, Backup | None]:
    """A folder of backups, or one backup in it when `place` is that."""
    if (place / ABOUT).is_file():
        return Store(place.parent), read(place)
    if place.suffix == PART:
        raise Refused(f"{place} is a backup that was interrupted; it cannot be used")
    return Store(place), None


@contextmanager
def for_writing(folder: Path, system: str, mode: int) -> Iterator[Store]:
    """The folder, made unless it is there, and held against other backups; what was interrupted is removed.

    Raises Refused: another database's, something else in it, another backup runs, not writable.
    """
    try:
        prepare(folder, system, mode)
        with (folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(f"another backup into {folder} runs; wait until it ends") from None
            sweep(folder)
            yield Store(folder)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise Refused(f"--to {folder} cannot be written: {error.strerror}; choose another folder") from None


def prepare(folder: Path, system: str, mode: int) -> None:
    """Make the folder of backups, or make sure that it is this database's."""
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    if not any(folder.iterdir()):
        folder.chmod(mode)
        write_private(folder / WHOSE, msgspec.json.encode({"format": FORMAT, "system": system}).decode() + "\n")
    elif not (folder / WHOSE).exists():
        raise Refused(f"--to {folder} is not empty and holds no backups; choose an empty or a new folder")
    elif (other := whose(folder)) != system:
        raise Refused(f"--to {folder} holds backups of another database ({other}, this one is {system})")


def sweep(folder: Path) -> None:
    """Remove what was interrupted. Only while the folder is held."""
    for path in (*folder.glob(f"*{PART}"), *folder.glob(f"*{GONE}")):
        shutil.rmtree(path)


def remove(path: Path) -> None:
    """Remove a backup; interrupted, it is no backup any more."""
    gone = path.with_name(path.name + GONE)
    path.rename(gone)
    shutil.rmtree(gone)
