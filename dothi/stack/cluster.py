"""The private PostgreSQL cluster with TimescaleDB, durable and fitted to the machine."""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg

from dothi.errors import Refused
from dothi.runtime import Runtime
from dothi.stack import machine
from dothi.stack.account import Account, starter
from dothi.stack.leftovers import end_orphans
from dothi.stack.parts import Part
from dothi.stack.passwords import write_private

USER = "dothi"
DATABASE = "dothi"
MB = 2**20
DATA = "database"
UNFINISHED = "database.restoring"
ARCHIVE = "archive.conf"
"""In the stack's folder, not in the cluster: where WAL is archived belongs to the place and is in no backup."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
# What a server process has had for one large statement (a round's readings as arrays, a packed range of what detectors
# remember) glibc keeps for it, up to 64 MB, and ever more sessions come to have it. So it is given back. Each of these
# also ends glibc's own adapting; CPU is the same (docs/performance.md).
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(MB), "MALLOC_TRIM_THRESHOLD_": str(2 * MB)}
TIME_ZONE_FILE = Path("/usr/share/zoneinfo/Asia/Ho_Chi_Minh")


def address(user: str, password: str, port: int) -> str:
    """URL of the cluster's database for one user."""
    return f"postgresql://{quote(user)}:{quote(password)}@127.0.0.1:{port}/{DATABASE}"


def create(runtime: Runtime, folder: Path, account: Account, password: str) -> None:
    """Make the cluster in folder/database unless it is there.

    Raises Refused: made by another major version, a restore was interrupted there, or initdb fails (its own words).
    """
    data = folder / DATA
    if (data / "PG_VERSION").exists():
        return require_same_major(data, runtime)
    if (folder / UNFINISHED).exists():
        raise Refused(f"{folder} holds a restore that was interrupted; run dothi storage restore again, or remove it")
    require_time_zones()
    fresh = folder / "database.new"  # renamed when complete: an interrupted initdb is not taken for a cluster
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.give(fresh)
    secret = folder / "run/password"
    write_private(secret, password + "\n")
    account.give(secret)
    try:
        run_initdb(runtime, fresh, secret, starter(account, [folder, runtime.postgres_bin], signal.SIGTERM))
    finally:
        secret.unlink()
    fresh.rename(data)
    return None


def require_same_major(data: Path, runtime: Runtime) -> None:
    """A cluster is opened only by the major version that made it."""
    made_by = (data / "PG_VERSION").read_text().strip()
    if made_by != runtime.versions.postgresql.split(".")[0]:
        raise Refused(
            f"{data} was made by PostgreSQL {made_by}, the {runtime.kind} runtime has {runtime.versions.postgresql}; "
            "set DOTHI_RUNTIME to the one that made it, or use another --dir"
        )


def require_time_zones() -> None:
    """PostgreSQL as Debian builds it reads the host's time zones, and local days need them."""
    if not TIME_ZONE_FILE.exists():
        raise Refused(f"time zones are missing ({TIME_ZONE_FILE}); as root: apt-get install tzdata")


def run_initdb(runtime: Runtime, data: Path, secret: Path, start: list[str]) -> None:
    """Make an empty cluster with data checksums, UTF-8 and a sort order that no libc update changes."""
    major = int(runtime.versions.postgresql.split(".")[0])
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command = [
        *start,
        str(runtime.postgres_bin / "initdb"),
        f"--pgdata={data}",
        f"--username={USER}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--data-checksums",
        "--encoding=UTF8",
        *(builtin if major >= 17 else ["--locale=C.UTF-8"]),
    ]
    made = subprocess.run(
        command, env=ENVIRONMENT, cwd=data, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if made.returncode:
        lines = [line for line in made.stderr.splitlines() if line.strip()] or ["no reason given"]
        telling = [line for line in lines if "error" in line.lower() or "setpriv" in line]
        raise Refused(f"the database cannot be made in {data.parent}: {(telling or lines)[-1]}")


def settings(port: int, memory: int, shared_memory: int, warm: bool = True) -> dict[str, str]:
    """postgresql.conf for a machine with so many bytes of memory and of /dev/shm. `warm`: pg_prewarm is there."""
    return {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "100",
        # What was in memory is read again, in the order of the disk, when the server was started anew: a device's day
        # is dozens of single pages of indexes, and each would be waited for.
        "shared_preload_libraries": "timescaledb, pg_prewarm" if warm else "timescaledb",
        "timescaledb.telemetry_level": "off",
        "timescaledb.max_background_workers": "4",
        "max_worker_processes": "16",
        "max_locks_per_transaction": "512",  # a query over a month of chunks locks each of them
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %u ",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "dynamic_shared_memory_type": "posix" if shared_memory >= 256 * MB else "sysv",
        # The indexes of the last day, 60 bytes a reading, ought to fit. What the kernel keeps of files it gives away
        # when it is not used for a while.
        "shared_buffers": megabytes(memory // 3, 128, 16384),
        "effective_cache_size": megabytes(memory // 2, 256, 65536),
        "maintenance_work_mem": megabytes(memory // 64, 64, 512),
        "work_mem": megabytes(memory // 512, 8, 64),
        # So much is replayed at most after a kill, for the database is to be back within ten seconds: 542 MB took 7.0.
        "wal_compression": "lz4",
        "wal_buffers": "32MB",
        "max_wal_size": megabytes(memory // 8, 512, 768),
        "min_wal_size": "256MB",
        "checkpoint_timeout": "2min",
        # Switching this needs a restart, so it is always on: until a backup names a folder, segments go nowhere at the
        # price of one shell for each 16 MB. An empty command would keep them all.
        "archive_mode": "on",
        "archive_command": "true",
        "random_page_cost": "1.1",
        # Tables here only grow: without this the visibility map of a new chunk would wait for a fifth of it.
        "autovacuum_vacuum_insert_scale_factor": "0.05",
        "autovacuum_vacuum_cost_limit": "1000",
        # ANALYZE of a chunk costs fifteen times what VACUUM of its new pages does, and a young chunk grows by a tenth
        # within every nap: 28 of them took half a CPU second per 100,000 messages.
        "autovacuum_analyze_scale_factor": "0.25",
        "autovacuum_naptime": "30s",
    }


def warms(runtime: Runtime) -> bool:
    """Whether PostgreSQL came with pg_prewarm, as Debian's does; a library that is missing would not let it start."""
    return (runtime.postgres_bin.parent / "lib/pg_prewarm.so").is_file()


def megabytes(wanted: int, least: int, most: int) -> str:
    """A size for postgresql.conf, held between two bounds in MB.

    >>> megabytes(10**9, 128, 512)
    '512MB'
    """
    return f"{max(least, min(wanted // MB, most))}MB"


def configure(data: Path, account: Account, port: int, warm: bool) -> None:
    """Write postgresql.conf anew; the archive's settings and ALTER SYSTEM override it, in this order."""
    chosen = settings(port, machine.memory(), machine.shared_memory(), warm)
    lines = [f"{name} = '{value}'" for name, value in chosen.items()]
    configuration = data / "postgresql.conf"
    include = f"include_if_exists = '../{ARCHIVE}'\n"
    write_private(configuration, "# Written by dothi up at every start.\n" + "\n".join(lines) + "\n" + include)
    account.give(configuration)


def part(
    runtime: Runtime,
    folder: Path,
    account: Account,
    port: int,
    password: str,
    name: str = DATA,
    options: Mapping[str, str] | None = None,
) -> Part:
    """The database as a part of the stack. `name`: its data in `folder`; `options` override every configuration."""
    data = folder / name
    configure(data, account, port, warms(runtime))
    url = address(USER, password, port)
    return Part(
        name="database",
        command=[
            *starter(account, [folder, runtime.postgres_bin], signal.SIGINT),
            str(runtime.postgres_bin / "postgres"),
            "-D",
            str(data),
            *(f"--{option}={value}" for option, value in (options or {}).items()),
        ],
        log=folder / "log/database.log",
        folder=folder,
        ready=lambda: accepts(url),
        before=lambda: end_orphans(data),
        environment=ENVIRONMENT | GIVES_BACK,
        stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back, then a checkpoint
        patience=60.0,
    )


def accepts(url: str) -> bool:
    """Whether the server is up and past its recovery."""
    try:
        with psycopg.connect(maintenance(url), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def maintenance(url: str) -> str:
    """The same server's database that exists from the start."""
    return url.removesuffix(f"/{DATABASE}") + "/postgres"


def ensure_database(server: str) -> None:
    """Create the stack's database on its own server unless it is there."""
    with psycopg.connect(maintenance(server), autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
            connection.execute(f"create database {DATABASE}")
