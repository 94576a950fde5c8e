"""`dothi analytics compute` as tests ask it."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from dothi.cli import assemble


def asked(kind: str, text: str, folder: Path, *options: str) -> Result:
    """The command on a file with this text."""
    file = folder / "in.csv"
    file.write_text(text.strip() + "\n")
    return CliRunner().invoke(assemble(), ["analytics", "compute", kind, str(file), *options])


def computed(kind: str, text: str, folder: Path, *options: str) -> list[dict[str, Any]]:
    """Its results."""
    done = asked(kind, text, folder, "--json", *options)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def refused(kind: str, text: str, folder: Path, *options: str) -> str:
    """What it says when it refuses."""
    done = asked(kind, text, folder, *options)
    assert done.exit_code != 0
    return f"{done.output} {done.exception}"
