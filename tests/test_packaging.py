"""What is released is whole: a wheel made from the sdist runs in an empty environment with all its data files."""

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("devices", "ingest", "analytics", "dashboards", "simulators", "dothi")


def run(*command: str | Path) -> str:
    """Run to its end; its output."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, as an index would receive it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return next(folder.glob("*.whl"))


def test_every_file_of_the_rooms_is_in_the_wheel(wheel: Path) -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()]
    there = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        missing = there - set(archive.namelist())
    assert len(there) > 100
    assert not missing


def test_the_sdist_holds_the_rooms_and_little_else(wheel: Path) -> None:
    sdist = next(wheel.parent.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert tops == {*ROOMS, "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}


@pytest.mark.full
def test_the_wheel_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python, dothi = tmp_path / "venv/bin/python", tmp_path / "venv/bin/dothi"
    run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", ROOT / "requirements.lock")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    assert run(dothi, "--version") == "dothi 0.1.0\n"
    families = json.loads(run(dothi, "devices", "families", "--json"))
    assert {"air_quality", "weather", "traffic_flow", "camera_event", "fire_watch", "water_level", "meter"} <= {
        family["name"] for family in families
    }
    run(dothi, "devices", "check")
    run(dothi, "simulate", "plan", "--province", "bac-giang", "--density", "150", "--json")
    run(dothi, "dashboards", "build", tmp_path / "grafana")
