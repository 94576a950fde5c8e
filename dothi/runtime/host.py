"""The host's own PostgreSQL with TimescaleDB and mosquitto, when it has them."""

import re
import shutil
import subprocess
from pathlib import Path

from dothi.runtime.found import Runtime, Versions

OLDEST_POSTGRESQL = 15
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # not on an ordinary user's PATH in Debian, and mosquitto lies there


def system_runtime(root: Path = Path("/")) -> Runtime | None:
    """The newest PostgreSQL of the host that has TimescaleDB, with its mosquitto 2; None when something is missing."""
    mosquitto = find_program("mosquitto")
    passwd = find_program("mosquitto_passwd")
    if not mosquitto or not passwd:
        return None
    broker = mosquitto_version(mosquitto)
    for major in sorted(postgresql_majors(root), reverse=True):
        timescaledb = timescaledb_version(root, major)
        if timescaledb and broker.startswith("2."):
            folder = root / "usr/lib/postgresql" / str(major) / "bin"
            return Runtime(
                kind="system",
                postgres_bin=folder,
                mosquitto=mosquitto,
                mosquitto_passwd=passwd,
                versions=Versions(postgresql_version(folder / "postgres"), timescaledb, broker),
            )
    return None


def find_program(name: str) -> Path | None:
    """Where a program lies, the system folders included."""
    found = shutil.which(name) or shutil.which(name, path=SBIN)
    return Path(found) if found else None


def postgresql_majors(root: Path) -> list[int]:
    """Major versions whose server programs are installed."""
    folders = (root / "usr/lib/postgresql").glob("*/bin/postgres")
    majors = [int(found.parts[-3]) for found in folders if found.parts[-3].isdigit()]
    return [major for major in majors if major >= OLDEST_POSTGRESQL]


def timescaledb_version(root: Path, major: int) -> str | None:
    """Version that `create extension timescaledb` would take, or None when its files are missing."""
    control = root / f"usr/share/postgresql/{major}/extension/timescaledb.control"
    library = root / f"usr/lib/postgresql/{major}/lib/timescaledb.so"
    if not control.is_file() or not library.is_file():
        return None
    found = re.search(r"default_version\s*=\s*'([^']+)'", control.read_text())
    return found[1] if found else None


def postgresql_version(postgres: Path) -> str:
    """What `postgres --version` says, without the name."""
    return first_match(r"(\d+[.\w]*)", [str(postgres), "--version"])


def mosquitto_version(mosquitto: Path) -> str:
    """What `mosquitto -h` says in its first line."""
    return first_match(r"mosquitto version (\S+)", [str(mosquitto), "-h"])


def first_match(pattern: str, command: list[str]) -> str:
    """Run a program that names its version; "unknown" when it does not run or says something else."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(pattern, said.stdout + said.stderr)
    return found[1] if found else "unknown"
