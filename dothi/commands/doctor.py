"""`dothi doctor`: what was found on this machine, what is missing, and the one command that mends it."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import typer

from dothi import settings
from dothi.backup import archive
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.migrations import one_line
from dothi.output import console, print_json, print_table
from dothi.runtime import look_for_runtime
from dothi.runtime.debian import require_debian
from dothi.runtime.found import describe
from dothi.stack import machine
from dothi.stack.cluster import TIME_ZONE_FILE

GB = 2**30
LEAST_MEMORY = 2 * GB
LEAST_FILES = 4096
LATE_NEWS_S = 60
ALARMS = """
select (select count(*) from city.alarm where cleared is null),
       (select count(*) from city.alarm where cleared is null and severity = 'critical' and state = 'unacknowledged'),
       (select extract(epoch from now() - h.recorded)::float8 from ops.alarm_history h
        where h.id = (select min(n.history) from ops.alarm_news n))
"""
MANY_PAGES = 500  # of 2 MB; a smaller memory's pages are found quickly anyhow
PAGES = """
select current_setting('huge_pages_status', true), current_setting('shared_memory_size'),
       current_setting('shared_memory_size_in_huge_pages')::int8
"""
EDITION = """
select current_setting('server_version'), extversion, current_setting('timescaledb.license')
from pg_extension where extname = 'timescaledb'
"""


class Finding(NamedTuple):
    """One thing looked at. `mend` is a command or a sentence, empty when all is well."""

    name: str
    found: str
    ok: bool = True
    mend: str = ""


def doctor(folder: Folder = None, as_json: AsJson = False) -> None:
    """Say what was found on this machine, what is missing, and what mends it. Exit code 1 when something is missing.

    Example: dothi doctor --dir .dothi
    """
    findings = list(look(folder))
    well = all(finding.ok for finding in findings)
    if as_json:
        print_json({"ok": well, "findings": [finding._asdict() for finding in findings]})
    else:
        rows = [(f.name, f.found, "ok" if f.ok else "missing", f.mend or None) for f in findings]
        print_table(("what", "found", "state", "mend with"), rows)
        console.print("all is well" if well else "something is missing")
    if not well:
        raise typer.Exit(1)


def look(folder: Path | None) -> Iterator[Finding]:
    """Everything that is looked at, in order."""
    yield system()
    yield python()
    yield runtime()
    yield time_zones()
    yield disk("disk for data", folder or settings.DEFAULT_FOLDER)
    yield disk("disk for the runtime", settings.cache())
    yield memory()
    yield open_files()
    yield kept()
    yield lake()
    yield from stack(folder)


def system() -> Finding:
    """Operating system and architecture."""
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        name = platform.system()
    return Finding("system", f"{name}, {platform.machine()}, kernel {platform.release()}")


def python() -> Finding:
    """The interpreter; its version is a condition of installation."""
    return Finding("python", f"{platform.python_version()} in {sys.prefix}")


def runtime() -> Finding:
    """Where broker and database would come from."""
    try:
        found = look_for_runtime(settings.runtime())
        if found:
            return Finding("runtime", describe(found))
        require_debian()
    except Refused as refusal:
        return Finding("runtime", "none", ok=False, mend=str(refusal))
    return Finding("runtime", "not prepared yet", ok=False, mend=f"{sys.executable} -m dothi.runtime")


def time_zones() -> Finding:
    """The host's time zones, which PostgreSQL reads."""
    if TIME_ZONE_FILE.exists():
        return Finding("time zones", str(TIME_ZONE_FILE.parent.parent))
    return Finding("time zones", "none", ok=False, mend="apt-get install tzdata")


def disk(name: str, folder: Path) -> Finding:
    """Free space where a folder lies or would lie."""
    place = next(step for step in (folder.absolute(), *folder.absolute().parents) if step.exists())
    free = shutil.disk_usage(place).free
    ok = free >= machine.LEAST_FREE
    mend = "" if ok else f"free at least {machine.LEAST_FREE // 2**20} MB, or choose another folder"
    return Finding(name, f"{free / GB:.1f} GB free at {place}", ok, mend)


def memory() -> Finding:
    """Memory that the stack may count on."""
    size = machine.memory()
    ok = size >= LEAST_MEMORY
    return Finding("memory", f"{size / GB:.1f} GB", ok, "" if ok else f"give it at least {LEAST_MEMORY // GB} GB")


def open_files() -> Finding:
    """How many connections one process may hold."""
    limit = machine.open_files()
    ok = limit >= LEAST_FILES
    return Finding("open files", f"{limit} per process", ok, "" if ok else f"ulimit -Hn {LEAST_FILES}, as root")


def stack(folder: Path | None) -> Iterator[Finding]:
    """The running stack, if there is one: the database is asked what it offers."""
    try:
        found = settings.stack_at(folder)
    except Refused as refusal:
        yield Finding("stack", str(refusal))
        return
    yield Finding("stack", f"process {found.document.get('pid', 'elsewhere')}")
    yield database(found.database)
    yield from huge_pages(found.database)
    yield from wal_archive(found.database)
    yield from alarms(found.database)


def huge_pages(url: str) -> Iterator[Finding]:
    """Whether the database's shared memory lies in huge pages; nothing is said where that cannot be asked."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(PAGES).fetchone()
    except psycopg.Error:
        return
    if row is not None:
        yield from paged(*row)


def paged(status: str | None, size: str, pages: int) -> Iterator[Finding]:
    """What PostgreSQL says of its pages; nothing where its memory is small. `status`: None before version 17."""
    if status == "on":
        yield Finding("huge pages", f"all {size} of the database's shared memory")
    elif status == "off" and pages >= MANY_PAGES:
        mend = f"for a large city, as root: sysctl vm.nr_hugepages={pages}, then dothi up anew (docs/performance.md)"
        yield Finding("huge pages", f"none: the database's {size} of shared memory lie in small ones", mend=mend)


def wal_archive(url: str) -> Iterator[Finding]:
    """Whether the log is archived, and whether that fails; nothing is said where only its owner may look."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            found = archive.state(connection)
    except psycopg.Error:
        return
    yield archived(found)


def alarms(url: str) -> Iterator[Finding]:
    """How many alarms last, as in `dothi status`, and whether what happens to them is told to anybody."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(ALARMS).fetchone()
    except psycopg.Error:
        return
    if row is not None:
        last, urgent, waiting_s = row
        said = f"{last:,} active, {urgent:,} of them critical and not taken on"
        late = (waiting_s or 0) > LATE_NEWS_S
        mend = "see in the log of dothi up why the part that tells of alarms does not run" if late else ""
        yield Finding("alarms", said + (f"; nobody was told for {waiting_s:.0f} s" if late else ""), not late, mend)


def archived(found: archive.Archiving) -> Finding:
    """What the archiver says of itself."""
    if found.folder is None:
        return Finding("WAL archive", "none: a backup holds what was there when it was made")
    last = f"last {found.last} at {found.last_at:%Y-%m-%d %H:%M:%S %Z}" if found.last_at else "nothing yet"
    said = f"{found.folder}, {last}, {found.waiting} segments waiting"
    mend = f"see whether {found.folder} is there, writable and not full; the database tries again by itself"
    return Finding("WAL archive", said, not found.failing, mend if found.failing else "")


def database(url: str) -> Finding:
    """Versions and edition; only the Community edition compresses and keeps continuous aggregates by itself."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(EDITION).fetchone()
    except psycopg.Error as error:
        return Finding("database", f"does not answer: {one_line(error)}", ok=False, mend="dothi up")
    if not row:
        return Finding("database", "without TimescaleDB", ok=False, mend="dothi migrate")
    server, extension, licence = row
    more = "with" if licence == "timescale" else "without"
    edition = "Community" if licence == "timescale" else "Apache"
    offers = f"{edition} edition, {more} columnstore and continuous aggregates"
    used = "neither is used: retention and the lake keep the disk" if licence == "timescale" else "neither is needed"
    return Finding("database", f"PostgreSQL {server}, TimescaleDB {extension}, {offers} ({used})")


def kept() -> Finding:
    """How long readings are kept, and whether that can be."""
    from dothi.commands.storage import retention_kept
    from ingest.retention import KEPT, shown

    try:
        set_here = retention_kept()
    except WrongUsage as refusal:
        return Finding("retention", str(refusal), ok=False, mend=f"set {settings.RETENTION}")
    names = ["", *(name for name in set_here if name and set_here[name] != KEPT.get(name))]
    return Finding("retention", ", ".join(f"{name or 'readings'} {shown(set_here[name])}" for name in names))


def lake() -> Finding:
    """The folder of the history lake, if one is set."""
    try:
        folder = settings.lake()
    except WrongUsage as refusal:
        return Finding("history lake", str(refusal), ok=False, mend=f"set {settings.LAKE} to a folder")
    if folder is None:
        return Finding("history lake", f"none, {settings.LAKE} is not set: readings end with their retention")
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return Finding("history lake", f"{folder} is not there or not writable", ok=False, mend=f"mkdir {folder}")
    return disk("history lake", folder)
