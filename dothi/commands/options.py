"""Options that many commands share, written once."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder of a running stack; else DOTHI_DATABASE_URL and DOTHI_BROKER_URL, else .dothi"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
