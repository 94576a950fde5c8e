"""Where a run took place: the machine, and the settings and versions of the platform that figures depend on."""

import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg

from dothi import __version__
from dothi.settings import Stack
from dothi.stack import machine

LIBRARIES = ("numpy", "psycopg", "msgspec")
SETTINGS = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
)


def machine_document(folder: Path) -> dict[str, Any]:
    """The machine as a reader needs it to repeat a run. `folder`: whose disk counts."""
    return {
        "processor": processor(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 0,
        "threads": psutil.cpu_count() or 0,
        "memory_bytes": machine.memory(),
        "system": system(),
        "kernel": platform.release(),
        "disk": disk(folder),
        "load_average_1_min": round(psutil.getloadavg()[0], 1),
    }


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def system() -> str:
    """The operating system's name."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def disk(folder: Path) -> dict[str, Any]:
    """Size and free bytes of the disk that holds a folder, and its file system."""
    place = folder.absolute()
    usage = shutil.disk_usage(place)
    mounts = [one for one in psutil.disk_partitions(all=True) if place.is_relative_to(one.mountpoint)]
    kind = max(mounts, key=lambda one: len(one.mountpoint)).fstype if mounts else "?"
    return {"bytes": usage.total, "free_bytes": usage.free, "file_system": kind}


def platform_document(stack: Stack) -> dict[str, Any]:
    """The parts of the platform, how many there are of each, and how its database is set."""
    processes = stack.document.get("processes", {})
    return {
        "brokers": len(stack.document.get("brokers") or [stack.broker]),
        "workers": len(processes.get("workers", [])) or None,
        "database": database_settings(stack.database),
    }


def database_settings(url: str) -> dict[str, str]:
    """Version and settings of the database that durability and speed depend on."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        rows = connection.execute(
            "select name, current_setting(name) from unnest(%s::text[]) name", (list(SETTINGS),)
        ).fetchall()
        found = connection.execute(
            "select current_setting('server_version'), max(extversion) from pg_extension where extname = 'timescaledb'"
        ).fetchone()
    server, extension = found or ("?", "?")
    return {"PostgreSQL": server, "TimescaleDB": extension or "none", **dict(rows)}


def versions() -> dict[str, str]:
    """Of this program and of what its speed depends on."""
    return {
        "dothi": __version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }
