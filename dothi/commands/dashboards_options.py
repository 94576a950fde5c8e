"""Options that commands of dashboards share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
import yaml

from dothi.errors import WrongUsage

if TYPE_CHECKING:
    from dashboards.contacts import Contacts
    from dashboards.outlines import Outlines

T = TypeVar("T")
ContactFile = Annotated[
    Path | None,
    typer.Option("--contacts", metavar="FILE.yaml", help="Who is told: default, severity, area → e-mail or http(s)."),
]
OutlineFile = Annotated[
    Path | None,
    typer.Option(
        "--outlines",
        metavar="FILE.geojson",
        help="Outlines of districts for maps, with code, attribution and license; else ours.",
    ),
]


def contacts_at(path: Path | None) -> "Contacts | None":
    """The contacts of a file. Raises WrongUsage when it cannot be used."""
    from dashboards.contacts import ContactsRefused, contacts_from
    from devices.documents import parse_yaml

    refused = (ContactsRefused, ValueError, yaml.YAMLError)
    return made_of("--contacts", path, lambda text: contacts_from(parse_yaml(text)), refused)


def outlines_at(path: Path | None) -> "Outlines | None":
    """The outlines of a file. Raises WrongUsage when it cannot be used."""
    from dashboards.outlines import OutlinesRefused, outlines_from

    refused = (OutlinesRefused, ValueError)
    return made_of("--outlines", path, lambda text: outlines_from(json.loads(text)), refused)


def made_of(option: str, path: Path | None, made: Callable[[str], T], refused: tuple[type[Exception], ...]) -> T | None:
    """What is made of a file's text, None of no file. Raises WrongUsage: it cannot be read, or `made` raises one of
    `refused`."""
    if path is None:
        return None
    try:
        return made(path.read_text("utf-8"))
    except OSError as error:
        raise WrongUsage(f"{option}: {path} cannot be read: {error.strerror}") from None
    except refused as error:
        raise WrongUsage(f"{option}: {path}: {' '.join(str(error).split())}") from None
