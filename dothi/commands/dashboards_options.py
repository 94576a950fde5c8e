"""Options that commands of dashboards share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from dothi.errors import WrongUsage

if TYPE_CHECKING:
    from dashboards.contacts import Contacts

ContactFile = Annotated[
    Path | None,
    typer.Option("--contacts", metavar="FILE.yaml", help="Who is told: default, severity, area → e-mail or http(s)."),
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
