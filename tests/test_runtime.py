"""Where broker and database come from: found, prepared, interrupted, refused."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dothi import settings
from dothi.errors import Refused, WrongUsage
from dothi.runtime import debian, find_runtime, look_for_runtime, private
from dothi.runtime.debian import Target
from dothi.runtime.host import system_runtime

PROJECT = Path(__file__).parents[1]


def prepare(cache: Path, python: str = sys.executable, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    """Start `python -m dothi.runtime` for the private runtime with a cache of its own."""
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache), "DOTHI_RUNTIME": "private"}
    return subprocess.Popen(
        [*before, python, "-m", "dothi.runtime"],
        cwd=PROJECT,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_unknown_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongUsage, match=r"DOTHI_RUNTIME='docker'.*private and system"):
        find_runtime("docker")
    monkeypatch.setenv("DOTHI_RUNTIME", "docker")
    with pytest.raises(WrongUsage, match=r"DOTHI_RUNTIME='docker'.*private and system"):
        settings.runtime()


def test_the_runtime_names_its_versions_and_starts() -> None:
    runtime = find_runtime("private")
    assert runtime.kind == "private"
    assert runtime.versions.postgresql.startswith("17.")
    assert runtime.versions.mosquitto.startswith("2.")
    said = subprocess.run([runtime.postgres_bin / "psql", "--version"], capture_output=True, text=True, check=True)
    assert runtime.versions.postgresql in said.stdout


def test_a_prepared_runtime_is_found_again() -> None:
    find_runtime("private")
    assert find_runtime("private") == look_for_runtime("private")


def test_a_library_of_the_host_is_never_mixed_in(tmp_path: Path) -> None:
    whole = find_runtime("private").postgres_bin.parents[4]
    copy = tmp_path / "runtime"
    shutil.copytree(whole, copy, symlinks=True, copy_function=os.link)
    private.check_libraries(copy)
    for library in copy.glob("usr/lib/*/libxxhash.so*"):
        library.unlink()
    with pytest.raises(Refused, match=r"postgres.bin needs .*libxxhash"):
        private.check_libraries(copy)


def test_a_half_made_runtime_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    private.folder().mkdir(parents=True)
    assert look_for_runtime("private") is None
    (private.folder() / "runtime.json").write_text(
        json.dumps({"postgresql": "17.0", "timescaledb": "2.0", "mosquitto": "2.0"})
    )
    assert look_for_runtime("private") is None  # the programs are still missing


def fake_program(place: Path, says: str) -> None:
    """A program that says one line."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\necho '{says}'\n")
    place.chmod(0o755)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with PostgreSQL 16 and 17, mosquitto 2, and TimescaleDB for 16 alone."""
    for major in (16, 17):
        fake_program(tmp_path / f"usr/lib/postgresql/{major}/bin/postgres", f"postgres (PostgreSQL) {major}.4")
    (tmp_path / "usr/lib/postgresql/16/lib").mkdir()
    (tmp_path / "usr/lib/postgresql/16/lib/timescaledb.so").touch()
    control = tmp_path / "usr/share/postgresql/16/extension/timescaledb.control"
    control.parent.mkdir(parents=True)
    control.write_text("comment = 'time series'\ndefault_version = '2.21.1'\n")
    fake_program(tmp_path / "bin/mosquitto", "mosquitto version 2.0.18")
    fake_program(tmp_path / "bin/mosquitto_passwd", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path


def test_a_complete_host_is_found(host: Path) -> None:
    runtime = system_runtime(host)
    assert runtime is not None
    assert runtime.kind == "system"
    assert runtime.postgres_bin == host / "usr/lib/postgresql/16/bin"
    assert (runtime.versions.postgresql, runtime.versions.timescaledb) == ("16.4", "2.21.1")
    assert runtime.versions.mosquitto == "2.0.18"


def test_a_host_that_has_what_the_private_runtime_has_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = find_runtime("private")
    monkeypatch.setenv("PATH", f"{packaged.mosquitto.parent}:{packaged.mosquitto_passwd.parent}", prepend=":")
    found = system_runtime(packaged.postgres_bin.parents[4])
    assert found is not None
    assert found.versions == packaged.versions


@pytest.mark.parametrize("missing", ["usr/share/postgresql/16/extension/timescaledb.control", "timescaledb.so"])
def test_a_host_without_timescaledb_is_not_enough(host: Path, missing: str) -> None:
    for path in host.rglob(Path(missing).name):
        path.unlink()
    assert system_runtime(host) is None


def test_a_host_with_an_old_mosquitto_is_not_enough(host: Path) -> None:
    fake_program(host / "bin/mosquitto", "mosquitto version 1.6.12")
    assert system_runtime(host) is None


def test_the_mirror_is_the_one_of_the_machine() -> None:
    security = Target("Packages", "Debian", "Debian-Security", "bookworm-security", "main", "http://one/security/")
    other = Target("Packages", "Node Source", "Node", "nodistro", "main", "http://two/")
    release = Target("Packages", "Debian", "Debian", "bookworm", "main", "http://three/debian/")
    assert debian.debian_mirror([security, other, release]) == "http://three/debian/"
    assert debian.debian_mirror([security, other]) is None


def test_without_fetched_lists_the_mirror_is_that_of_the_release() -> None:
    unknown = ("Packages", "$(ORIGIN)", "$(LABEL)")
    rows = [
        Target(*unknown, "bookworm-security", "main", "http://one/security/"),
        Target(*unknown, "bookworm", "main", "http://three/debian/"),
    ]
    assert debian.configured_mirror(rows, {"ID": "debian", "VERSION_CODENAME": "bookworm"}) == "http://three/debian/"
    assert debian.configured_mirror(rows, {"ID": "ubuntu", "VERSION_CODENAME": "bookworm"}) is None


def test_the_mirror_of_this_machine_is_known() -> None:
    assert debian.mirror()


def test_without_apt_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match=r"apt-get, dpkg.* missing; or install PostgreSQL"):
        debian.require_debian()


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = prepare(tmp_path / "file")
    _, said = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert said.count("\n") == 1
    assert "cannot be kept in" in said


@pytest.fixture
def open_cache() -> Iterator[Path]:
    """A folder that any user may enter and fill; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="dothi-cache-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def as_user() -> tuple[str, tuple[str, ...]]:
    """A Python, and the beginning of a command line, of someone who is not root."""
    if os.geteuid() != 0:
        return sys.executable, ()
    python = shutil.which("python3", path="/usr/bin:/bin")
    version = subprocess.run([python or "false", "-c", "import sys; exit(sys.version_info < (3, 11))"], check=False)
    if version.returncode:
        pytest.skip("no Python 3.11 that other users can start")
    nobody = pwd.getpwnam("nobody")
    switch = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--")
    return str(python), switch


@pytest.mark.full
def test_a_user_prepares_it_in_an_empty_cache(open_cache: Path) -> None:
    first, second = prepare(open_cache, *as_user()), prepare(open_cache, *as_user())
    said = first.communicate(timeout=300)[1], second.communicate(timeout=300)[1]
    assert first.returncode == second.returncode == 0, said
    assert sum("3/3 unpacked" in text for text in said) == 1, "one prepares, the other waits for it"
    runtimes = list((open_cache / "dothi").glob("runtime-*/runtime.json"))
    assert len(runtimes) == 1
    assert runtimes[0].stat().st_uid == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())
    assert not list((open_cache / "dothi").glob("preparing-*"))


@pytest.mark.full
def test_an_interrupted_preparation_is_repeated(open_cache: Path) -> None:
    killed = prepare(open_cache)
    assert killed.stderr is not None
    for line in killed.stderr:
        if "2/3" in line:
            break
    killed.kill()
    killed.communicate()
    assert list((open_cache / "dothi").glob("preparing-*"))
    again = prepare(open_cache)
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert "3/3 unpacked" in said
    assert not list((open_cache / "dothi").glob("preparing-*"))
