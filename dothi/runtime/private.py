"""The private runtime: Debian's packages unpacked into the user's cache, started through their own loader.

The host's libc stays as it is and root is not needed.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from dothi import settings
from dothi.errors import Refused
from dothi.runtime import debian
from dothi.runtime.found import Runtime, Versions
from dothi.runtime.host import mosquitto_version, postgresql_version, timescaledb_version
from dothi.runtime.packages import LEFT_OUT, LIBRARIES, PROGRAMS, SUITE, WRAPPER, runtime_id

MAJOR = 17
NEEDED_MB = 400
POSTGRES_BIN = f"usr/lib/postgresql/{MAJOR}/bin"
LOADED = (
    f"{POSTGRES_BIN}/postgres.bin",
    f"{POSTGRES_BIN}/initdb.bin",
    f"{POSTGRES_BIN}/psql.bin",
    f"usr/lib/postgresql/{MAJOR}/lib/timescaledb.so",
    "usr/sbin/mosquitto.bin",
    "usr/bin/mosquitto_passwd.bin",
    "usr/bin/tcc.bin",
)


def folder() -> Path:
    """Where this version's private runtime lies once it is complete."""
    return settings.cache() / f"runtime-{runtime_id(debian.architecture())}"


def prepared() -> Runtime | None:
    """The private runtime if it is there: the folder is renamed into place only when complete."""
    root = folder()
    try:
        versions = Versions(**json.loads((root / "runtime.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    runtime = at(root, versions)
    programs = (runtime.postgres_bin / "postgres.bin", runtime.mosquitto, runtime.mosquitto_passwd)
    return runtime if all(program.exists() for program in programs) else None


def at(root: Path, versions: Versions) -> Runtime:
    """The runtime unpacked in `root`."""
    return Runtime(
        kind="private",
        postgres_bin=root / POSTGRES_BIN,
        mosquitto=root / "usr/sbin/mosquitto",
        mosquitto_passwd=root / "usr/bin/mosquitto_passwd",
        versions=versions,
        tcc=root / "usr/bin/tcc",
    )


def prepare() -> Runtime:
    """Fetch and unpack the private runtime unless it is there; says on stderr what it does.

    Raises Refused: not Debian, no network, bad signature, no space.
    """
    debian.require_debian()
    cache = settings.cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with only_one(cache / "runtime.lock"):
            return prepared() or build(cache)
    except OSError as error:
        raise Refused(f"the private runtime cannot be kept in {cache}: {error.strerror or error}") from None


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Let one preparation run at a time; the others wait and then find it done."""
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process prepares it, waiting")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def build(cache: Path) -> Runtime:
    """Make the runtime in a temporary folder beside its place and rename it, so that a half-made one is never used."""
    require_space(cache)
    for left in cache.glob("preparing-*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="preparing-", dir=cache))
    try:
        root = fill(work)
        place = folder()
        shutil.rmtree(place, ignore_errors=True)
        root.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    runtime = prepared()
    if not runtime:
        raise Refused(f"the private runtime in {place} is not complete; remove that folder and try again")
    return runtime


def require_space(cache: Path) -> None:
    """Refuse before fetching what would not fit."""
    free = shutil.disk_usage(cache).free // 2**20
    if free < NEEDED_MB:
        raise Refused(f"{cache} has {free} MB free, the private runtime needs {NEEDED_MB} MB while it is prepared")


def fill(work: Path) -> Path:
    """Fetch, unpack and check everything under `work`; returns the folder to be put in place."""
    uri = debian.mirror()
    say(f"PostgreSQL {MAJOR}, TimescaleDB and mosquitto are fetched once into {folder()}; nothing is installed")
    apt = debian.configure(work, uri)
    say(f"1/3 package index of Debian {SUITE} from {uri}")
    debian.run([*apt, "update"])
    fetch(apt, work / "debs")
    root = work / "root"
    root.mkdir()
    root.chmod(0o755)  # whatever the umask: the database may run as another user
    for package in sorted((work / "debs").glob("*.deb")):
        debian.unpack(package, root, LEFT_OUT)
    wrap_programs(root)
    check_libraries(root)
    versions = ask_versions(root)
    (root / "runtime.json").write_text(json.dumps(asdict(versions)))
    say(f"3/3 unpacked, {size(root) // 10**6} MB on disk")
    return root


def fetch(apt: list[str], place: Path) -> None:
    """Download all packages, saying how far it is."""
    packages = [*PROGRAMS, *LIBRARIES]
    plan = debian.plan_download(apt, packages)
    total = sum(package.size for package in plan) / 10**6
    say(f"2/3 download of {len(plan)} packages, {total:.0f} MB")
    said = time.monotonic()

    def progress() -> None:
        nonlocal said
        if time.monotonic() - said >= 2:
            said = time.monotonic()
            say(f"2/3 {size(place) / 10**6:.0f} of {total:.0f} MB")

    debian.download(apt, packages, place, progress)


def size(place: Path) -> int:
    """Bytes of all files below a folder; a file that vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(place):
        for name in names:
            try:
                total += os.lstat(f"{parent}/{name}").st_size
            except FileNotFoundError:
                continue
    return total


def wrap_programs(root: Path) -> None:
    """Put a wrapper in the place of every program, so that it starts through the loader and libraries beside it."""
    libc = next(root.glob("usr/lib/*/libc.so.6"))
    loader = next(libc.parent.glob("ld-linux*.so.*"))
    others = ("usr/sbin/mosquitto", "usr/bin/mosquitto_passwd", "usr/bin/tcc")
    programs = [*(root / POSTGRES_BIN).iterdir(), *(root / name for name in others)]
    for program in programs:
        with program.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        up = "/".join([".."] * (len(program.relative_to(root).parts) - 1))
        text = WRAPPER.replace("@UP@", up).replace("@TRIPLET@", libc.parent.name).replace("@LOADER@", loader.name)
        program.rename(program.with_name(program.name + ".bin"))
        program.write_text(text)
        program.chmod(0o755)


def check_libraries(root: Path) -> None:
    """Refuse a runtime of which a library is missing, or would be taken from the host."""
    libc = next(root.glob("usr/lib/*/libc.so.6"))
    loader = next(libc.parent.glob("ld-linux*.so.*"))
    for program in LOADED:
        command = [str(loader), "--library-path", str(libc.parent), "--list", str(root / program)]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        strange = [line.strip() for line in listed.stdout.splitlines() if "=>" in line and f"=> {root}/" not in line]
        if listed.returncode or strange:
            reason = strange[0] if strange else listed.stderr.strip()
            raise Refused(f"the private runtime is incomplete: {Path(program).name} needs {reason}")


def ask_versions(root: Path) -> Versions:
    """Start each program once; one that does not run is found out here and not at the first `up`."""
    versions = Versions(
        postgresql=postgresql_version(root / POSTGRES_BIN / "postgres"),
        timescaledb=timescaledb_version(root, MAJOR) or "unknown",
        mosquitto=mosquitto_version(root / "usr/sbin/mosquitto"),
    )
    for name, version in asdict(versions).items():
        if version == "unknown":
            raise Refused(f"the private runtime does not run here: {name} does not say its version")
    return versions


def say(text: str) -> None:
    """One line of progress on stderr."""
    sys.stderr.write(f"runtime: {text}\n")
    sys.stderr.flush()
