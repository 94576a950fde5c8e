"""Debian's packages through the machine's own apt: its mirror, its proxy, its keyring, but folders of our own."""

import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dothi.errors import Refused
from dothi.runtime.packages import SUITE

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
)
ADVICE = "or install PostgreSQL with TimescaleDB and mosquitto 2 yourself and set DOTHI_RUNTIME=system"
TARGET = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)"
CONFIGURATION = """\
#clear APT::Update;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear APT::Default-Release;
Dir::State "{work}/state";
Dir::State::Lists "{work}/state/lists";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::SourceList "{work}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
"""


class Target(NamedTuple):
    """One package index that the machine's apt knows."""

    created_by: str
    origin: str
    label: str
    release: str
    component: str
    uri: str


class Package(NamedTuple):
    """One package file to fetch, size in bytes."""

    file: str
    size: int


def require_debian() -> None:
    """Refuse in one line where Debian's packages cannot be had."""
    missing = [name for name in ("apt-get", "dpkg", "dpkg-deb", "tar", "setpriv") if not shutil.which(name)]
    if missing:
        raise Refused(f"the private runtime is made of Debian packages, but {', '.join(missing)} is missing; {ADVICE}")
    if not keyring():
        raise Refused("the Debian keyring is missing; as root: apt-get install debian-archive-keyring")


def keyring() -> Path | None:
    """The keys that Debian's archive is signed with."""
    return next((path for path in KEYRINGS if path.is_file()), None)


def architecture() -> str:
    """Debian's name of this machine's architecture, without starting a program for the usual ones."""
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    return known.get(platform.machine(), platform.machine())


def mirror() -> str:
    """The Debian mirror that the machine's apt uses.

    Raises Refused when apt knows none.
    """
    found = debian_mirror(targets()) or configured_mirror(targets("--no-release-info"), os_release())
    if not found:
        raise Refused(f"apt on this machine knows no Debian mirror; add one to its sources, {ADVICE}")
    return found


def targets(*options: str) -> list[Target]:
    """Package indices of the machine's apt; without options only those that were fetched."""
    said = run(["apt-get", "indextargets", *options, "--format", TARGET])
    rows = [line.split("|") for line in said.splitlines() if line.count("|") == 5]
    return [Target(*row) for row in rows]


def debian_mirror(known: Sequence[Target]) -> str | None:
    """The mirror of a release signed as Debian's."""
    return next((t.uri for t in known if t.origin == t.label == "Debian" and t.component == "main"), None)


def configured_mirror(known: Sequence[Target], system: dict[str, str]) -> str | None:
    """Without fetched lists origins are unknown: on Debian, the mirror of the release itself, not of its updates."""
    if system.get("ID") != "debian":
        return None
    releases = {system.get("VERSION_CODENAME"), SUITE, "stable", "oldstable", "testing"}
    return next((t.uri for t in known if t.release in releases and t.component == "main"), None)


def os_release() -> dict[str, str]:
    """What the system calls itself."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def configure(work: Path, uri: str) -> list[str]:
    """Lay out apt's folders under `work`; returns the beginning of every apt-get command line."""
    for folder in ("state/lists/partial", "cache/archives/partial", "debs"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [target=Packages signed-by={keyring()}] {uri} {SUITE} main\n")
    (work / "apt.conf").write_text(CONFIGURATION.format(work=work))
    return ["apt-get", "-q", "-c", str(work / "apt.conf")]


def plan_download(apt: list[str], packages: Sequence[str]) -> list[Package]:
    """What `download` will fetch."""
    said = run([*apt, "download", "--print-uris", *packages])
    rows = [line.rsplit(" ", 3) for line in said.splitlines() if line.startswith("'")]
    return [Package(row[1], int(row[2])) for row in rows]


def download(apt: list[str], packages: Sequence[str], folder: Path, watch: Callable[[], None]) -> None:
    """Fetch packages into `folder`; apt checks each against the signed index. `watch` is called while it runs."""
    run([*apt, "download", *packages], cwd=folder, watch=watch)


def unpack(package: Path, root: Path, left_out: Sequence[str]) -> None:
    """Unpack a package's files below `root`, with nothing of it executed."""
    stream = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    excluded = [f"--exclude={pattern}" for pattern in left_out]
    command = ["tar", "-x", "-C", str(root), "--no-same-owner", *excluded]
    unpacked = subprocess.run(command, stdin=stream.stdout, capture_output=True, text=True, check=False)
    if stream.stdout:
        stream.stdout.close()
    if stream.wait() or unpacked.returncode:
        raise Refused(f"{package.name} cannot be unpacked: {last_line(unpacked.stderr)}")


def run(command: list[str], cwd: Path | None = None, watch: Callable[[], None] | None = None) -> str:
    """Run a program to its end; returns its stdout, raises Refused with its own last error line."""
    with subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, err = finish(process, watch)
        except BaseException:  # also Ctrl-C: a download is not carried on behind the user's back
            process.kill()
            raise
    if process.returncode:
        raise Refused(f"{' '.join(command[:1])} failed: {last_line(err)}")
    return out


def finish(process: "subprocess.Popen[str]", watch: Callable[[], None] | None) -> tuple[str, str]:
    """Wait for a program, calling `watch` meanwhile; returns its stdout and stderr."""
    while True:
        try:
            return process.communicate(timeout=0.2)
        except subprocess.TimeoutExpired:
            if watch:
                watch()


def last_line(text: str) -> str:
    """The line that says what went wrong: apt's first error, else the last line."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    return (errors or lines or ["no reason given"])[0 if errors else -1]
