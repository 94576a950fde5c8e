"""`dothi dashboards …`: Grafana as files."""

import json
import os
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from dothi.commands.dashboards_apply import apply
from dothi.commands.dashboards_options import ContactFile, OutlineFile, contacts_at, outlines_at
from dothi.commands.dashboards_preview import preview
from dothi.commands.options import AsJson
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_line
from dothi.settings import stack_at

if TYPE_CHECKING:
    from dashboards.tree import SourceKind

app = typer.Typer(help="Grafana dashboards as files.", no_args_is_help=True)


class SourceType(StrEnum):
    """Ids of Grafana's PostgreSQL data source: the first since version 11, the second before."""

    GRAFANA_POSTGRESQL = "grafana-postgresql-datasource"
    POSTGRES = "postgres"


app.command()(preview)
app.command()(apply)


@app.callback()
def group() -> None:
    """Grafana dashboards as files."""


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the tree is written; made when missing.")],
    stack: Annotated[
        Path | None,
        typer.Option("--dir", metavar="STACK", help="A running stack whose read-only database the dashboards ask."),
    ] = None,
    datasource_type: Annotated[
        SourceType, typer.Option(help="Id of the PostgreSQL plugin: 'postgres' for Grafana 9 and 10.")
    ] = SourceType.GRAFANA_POSTGRESQL,
    installed_at: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where Grafana will see DIR, when that is another place.")
    ] = None,
    contacts: ContactFile = None,
    outlines: OutlineFile = None,
    check: Annotated[bool, typer.Option("--check", help="Lint first; write nothing when faulty.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a Grafana provisioning tree: data source, folder, alert rules, every dashboard in Vietnamese and English.

    Needs no running stack: without --dir the data source takes its address and password from Grafana's environment.
    With --contacts the tree also says who is told, which replaces all notification policies of that Grafana.

    Example: dothi dashboards build grafana --dir .dothi
    """
    from dashboards.tree import PLACEHOLDERS, tree, write
    from dothi.grafana import reader_database

    database = PLACEHOLDERS if stack is None else reader_database(stack_at(stack).reader)
    place = seen_at(folder, installed_at)
    told, drawn = contacts_at(contacts), outlines_at(outlines)
    if check:
        refuse_faulty(datasource_type.value)
    refuse_unwritable(folder)
    try:
        written = write(folder, tree(datasource_type.value, database, place, told, drawn), secret=stack is not None)
    except OSError as error:
        raise Refused(f"DIR: {folder} cannot be written: {error.strerror}; give a folder of your own") from None
    if as_json:
        print_json({"written": [str(path) for path in written], "environment": environment(place, stack is None)})
    else:
        tell(written, place, placeholders=stack is None)


def refuse_faulty(kind: "SourceKind") -> None:
    """Say what is wrong with the dashboards, a line each."""
    from dashboards.lint import every_fault
    from dashboards.tree import dashboards

    boards = {board["uid"]: board for board in map(json.loads, dashboards(kind).values())}
    found = [f"{uid}: {line}" for uid, lines in every_fault(boards).items() for line in lines]
    for line in found:
        print_line(line)
    if found:
        raise Refused(f"{len(found)} faults in {len(boards)} dashboards; nothing was written")


def seen_at(folder: Path, installed_at: str | None) -> PurePosixPath:
    """The tree's own place as Grafana sees it: an absolute path."""
    if installed_at is None:
        return PurePosixPath(folder.absolute())
    if not installed_at.startswith("/"):
        raise WrongUsage(f"--installed-at: {installed_at} is not allowed, an absolute path is needed")
    return PurePosixPath(installed_at)


def refuse_unwritable(folder: Path) -> None:
    """Say what is wrong with DIR before anything is written."""
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise Refused(f"DIR: {folder} cannot be used: {nearest} is a file; give a folder, or a name that is free")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise Refused(f"DIR: {folder} cannot be written: no right to write in {nearest}; give a folder of your own")


def environment(place: PurePosixPath, placeholders: bool) -> dict[str, str]:
    """What Grafana must find in its environment to use the tree: variable → value or what it means."""
    needed = {"GF_PATHS_PROVISIONING": str(place / "provisioning")}
    if placeholders:
        needed |= {
            "DOTHI_GRAFANA_ADDRESS": "host:port of the database",
            "DOTHI_GRAFANA_DATABASE": "name of the database",
            "DOTHI_GRAFANA_USER": "a login that may do no more than dothi_reader",
            "DOTHI_GRAFANA_PASSWORD": "its password",
            "DOTHI_GRAFANA_SSLMODE": "disable, require, verify-ca or verify-full",
        }
    return needed


def tell(written: list[Path], place: PurePosixPath, placeholders: bool) -> None:
    """What was written, and how to hand it to a Grafana."""
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True, highlight=False)
    console.print("\nTo use it, start Grafana (9 or newer) with this in its environment:")
    for name, value in environment(place, placeholders).items():
        console.print(f"  {name}={value if name.startswith('GF_') else f'<{value}>'}", soft_wrap=True, highlight=False)
    console.print("Then open /d/dothi-wall (English: /d/dothi-wall-en); on a wall add ?kiosk to the address.")
    if not placeholders:
        secret = place / "provisioning" / "datasources" / "dothi.yaml"
        console.print(f"{secret} holds the reader's password: only Grafana's user should read it.", soft_wrap=True)
