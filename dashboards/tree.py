"""The tree that Grafana provisions itself from: data source, folder and dashboards, as files.

dashboards/dothi-wall.json, dashboards/dothi-wall-en.json
provisioning/datasources/dothi.yaml
provisioning/dashboards/dothi.yaml
provisioning/alerting/dothi-rules.yaml
provisioning/alerting/dothi-contacts.yaml, only when somebody is to be told
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from grafana_foundation_sdk.models import dashboard as grafana

from dashboards import alert_rules
from dashboards.board import as_json
from dashboards.boards.agriculture import agriculture
from dashboards.boards.air import air
from dashboards.boards.cameras import cameras
from dashboards.boards.device import device
from dashboards.boards.district import district
from dashboards.boards.energy_water import energy_water
from dashboards.boards.fire import fire
from dashboards.boards.load import load
from dashboards.boards.people import people
from dashboards.boards.platform import platform
from dashboards.boards.public_address import public_address
from dashboards.boards.rivers import rivers
from dashboards.boards.telecom import telecom
from dashboards.boards.traffic import traffic
from dashboards.boards.wall import wall
from dashboards.contacts import Contacts
from dashboards.contacts import as_file as contact_file
from dashboards.outlines import Outlines, ours
from dashboards.pen import SOURCE_UID, Source
from dashboards.vocabulary import FINEST
from dashboards.words import LANGUAGES, Words

SourceKind = Literal["grafana-postgresql-datasource", "postgres"]
Drawing = Callable[[Words, Source], grafana.Dashboard]

DRAWINGS: tuple[Drawing, ...] = (
    wall,
    traffic,
    air,
    fire,
    rivers,
    cameras,
    public_address,
    agriculture,
    energy_water,
    people,
    telecom,
    district,
    device,
    load,
    platform,
)
OURS = "dothi-*.json"  # what a build may replace or take away; anything else in the folder is somebody's


@dataclass(frozen=True, slots=True)
class Database:
    """What the data source connects to: `address` is host:port, `sslmode` as libpq names it."""

    address: str
    name: str
    user: str
    password: str
    sslmode: str


# Grafana replaces these by its own environment when it reads the file.
PLACEHOLDERS = Database(
    address="$DOTHI_GRAFANA_ADDRESS",
    name="$DOTHI_GRAFANA_DATABASE",
    user="$DOTHI_GRAFANA_USER",
    password="$DOTHI_GRAFANA_PASSWORD",  # noqa: S106 - a placeholder, not a password
    sslmode="$DOTHI_GRAFANA_SSLMODE",
)


def verbatim(text: str) -> str:
    """A text that Grafana must not take for a reference to its environment."""
    return text.replace("$", "$$")


def source_document(kind: SourceKind, database: Database) -> dict[str, Any]:
    """The data source. Pool and lifetime are never 0: some versions of Grafana refuse that."""
    return {
        "name": "dothi",
        "uid": SOURCE_UID,
        "type": kind,
        "access": "proxy",
        "url": database.address,
        "user": database.user,
        "database": database.name,
        "isDefault": False,
        "jsonData": {
            "database": database.name,
            "sslmode": database.sslmode,
            "postgresVersion": 1500,
            "timescaledb": True,
            "timeInterval": FINEST,
            "maxOpenConns": 12,
            "maxIdleConns": 4,
            "connMaxLifetime": 3600,
        },
        "secureJsonData": {"password": database.password},
    }


def datasource(kind: SourceKind, database: Database) -> str:
    """The data source file."""
    return as_yaml({"apiVersion": 1, "datasources": [source_document(kind, database) | {"editable": False}]})


def provider(folder: PurePosixPath) -> str:
    """The file that tells Grafana where the dashboards lie: `folder` as Grafana sees it."""
    document = {
        "apiVersion": 1,
        "providers": [
            {
                "name": "dothi",
                "type": "file",
                "folder": Words(LANGUAGES[0])("folder"),
                "folderUid": "dothi",
                "disableDeletion": False,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": verbatim(str(folder))},
            }
        ],
    }
    return as_yaml(document)


def as_yaml(document: object) -> str:
    """YAML that is also JSON: nothing in it can be mistaken for another type."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def dashboards(kind: SourceKind, outlines: Outlines | None = None) -> dict[str, str]:
    """Every dashboard in every language: file name → JSON text. `outlines`: of districts, None: ours."""
    source = Source(kind, outlines or ours())
    built = [draw(Words(language), source) for draw in DRAWINGS for language in LANGUAGES]
    return {f"{board.uid}.json": as_json(board) for board in built}


def alerting(kind: SourceKind, contacts: Contacts | None) -> dict[str, str]:
    """Alert rules, and who is told. Without contacts Grafana's own policies stay as they are.

    Rules are read before dashboards and name their folder by its title alone: with the title of the dashboards' folder,
    versions 10 and 11 would make it under another uid and then refuse the dashboards (grafana/grafana#87889, #125079).
    """
    rules = alert_rules.as_file(kind, f"{Words(LANGUAGES[0])('folder')} – {alert_rules.FOLDER}")
    told = {} if contacts is None else {"dothi-contacts.yaml": as_yaml(contact_file(contacts))}
    return {"dothi-rules.yaml": as_yaml(rules), **told}


def tree(
    kind: SourceKind,
    database: Database,
    installed_at: PurePosixPath,
    contacts: Contacts | None = None,
    outlines: Outlines | None = None,
) -> dict[str, str]:
    """The whole tree: path → text. `installed_at` is the tree's own place as Grafana sees it."""
    files = {f"dashboards/{name}": text for name, text in dashboards(kind, outlines).items()}
    files |= {f"provisioning/alerting/{name}": text for name, text in alerting(kind, contacts).items()}
    return files | {
        "provisioning/datasources/dothi.yaml": datasource(kind, database),
        "provisioning/dashboards/dothi.yaml": provider(installed_at / "dashboards"),
    }


def write(folder: Path, files: dict[str, str], secret: bool) -> list[Path]:
    """Write a tree and take away dashboards of ours that are no longer in it. Returns the files written.

    `secret`: the data source file holds a password and is readable by its owner alone. Raises OSError.
    """
    for name, text in files.items():
        private = secret and name.startswith("provisioning/datasources/")
        replace(folder / name, text, 0o600 if private else 0o644)
    for old in folder.glob(f"dashboards/{OURS}"):
        if f"dashboards/{old.name}" not in files:
            old.unlink()
    return [folder / name for name in files]


def replace(path: Path, text: str, mode: int) -> None:
    """Put a whole file in place at once, so that a running Grafana never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
