"""Options that commands of dashboards share."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from dothi.errors import WrongUsage

if TYPE_CHECKING:
    from dashboards.contacts import Contacts
    from dashboards.outlines import Outlines

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

    if path is None:
        return None
    try:
        return contacts_from(parse_yaml(path.read_text("utf-8")))
    except OSError as error:
        raise WrongUsage(f"--contacts: {path} cannot be read: {error.strerror}") from None
    except (ContactsRefused, ValueError, yaml.YAMLError) as error:
        raise WrongUsage(f"--contacts: {path}: {' '.join(str(error).split())}") from None


def outlines_at(path: Path | None) -> "Outlines | None":
    """The outlines of a file. Raises WrongUsage when it cannot be used."""
    from dashboards.outlines import OutlinesRefused, outlines_from

    if path is None:
        return None
    try:
        return outlines_from(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise WrongUsage(f"--outlines: {path} cannot be read: {error.strerror}") from None
    except (OutlinesRefused, ValueError) as error:
        raise WrongUsage(f"--outlines: {path}: {' '.join(str(error).split())}") from None
