"""`dothi devices list|enroll`: what concerns the registry. The catalogue's commands are in catalogue.py."""

import csv
import sys
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from devices import registry
from devices.enroll import Checked, Mistake, check_file
from devices.profile import PROFILES
from dothi.commands import catalogue, credentials
from dothi.commands.accept import accept
from dothi.commands.decode import decode
from dothi.commands.doctor_device import doctor_device
from dothi.commands.import_codec import import_codec
from dothi.commands.new import new
from dothi.commands.options import AsJson, Folder
from dothi.commands.pending import pending
from dothi.commands.tail import tail
from dothi.commands.try_message import try_message
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from dothi.settings import stack_at

app = typer.Typer(help="Families, profiles and the devices that are enrolled.", no_args_is_help=True)

SHOWN_MISTAKES = 20
COLUMNS = ("device", "profile", "family", "area", "name", "lat", "lon", "state", "last_seen", "last_seq")


for command in (
    catalogue.families,
    catalogue.profiles,
    catalogue.check,
    decode,
    new,
    import_codec,
    pending,
    accept,
    tail,
):
    app.command()(command)


app.command("doctor")(doctor_device)
app.command("try")(try_message)
app.add_typer(credentials.app, name="credentials")


@app.callback()
def group() -> None:
    """Families, profiles and the devices that are enrolled.

    Example: dothi devices enroll devices.csv --dry-run
    """


@app.command("list")
def list_devices(
    folder: Folder = None,
    like: Annotated[str | None, typer.Option(help="Part of the id or the name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many devices.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List enrolled devices and when each was last seen.

    Example: dothi devices list --dir .dothi --like aq-213
    """
    with psycopg.connect(stack_at(folder).database) as connection:
        devices = registry.list_devices(connection, like, limit)
    if as_json:
        print_json([dict(zip(COLUMNS, device, strict=True)) for device in devices])
        return
    rows = [[one[place] for place in (0, 2, 3, 4, 7, 8)] for one in devices]
    print_table(("device", "family", "area", "name", "state", "last seen (Asia/Ho_Chi_Minh)"), rows)


@app.command()
def enroll(
    file: Annotated[Path, typer.Argument(help="CSV with the columns device,profile,area[,name,lat,lon,alias]")],
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Enrol the devices of a file: all of them, or none and every mistake with its line.

    A device is known to ingest within five seconds. Enrolling again brings it up to date. `alias` is what a foreign
    system calls the device, as route:name (frigate:front_door).

    Example: dothi devices enroll devices.csv --dry-run
    """
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        routes = {profile.name: profile.route for profile in PROFILES.values()}
        checked = check_file(read_file(file), routes, registry.known_areas(connection))
        if checked.mistakes:
            report_mistakes(checked, as_json)
            raise Refused(f"{file}: {len(checked.mistakes)} mistakes, nothing was enrolled")
        try:
            result = registry.Enrolled(0, 0, 0) if dry_run else registry.enroll(connection, checked.rows)
        except registry.ProfileChange as error:
            raise Refused(f"{file}: {error}") from None
    if as_json:
        print_json({"devices": len(checked.rows), "dry_run": dry_run, **result._asdict(), "mistakes": []})
    elif dry_run:
        console.print(f"{len(checked.rows)} devices, no mistakes; nothing was changed (dry run)")
    else:
        console.print(f"{result.new} devices enrolled, {result.changed} changed, {result.unchanged} unchanged")


def read_file(file: Path) -> bytes:
    """The file's bytes, or a line that says why not."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"file {file}: {error.strerror}") from None


def report_mistakes(checked: Checked, as_json: bool) -> None:
    """All mistakes as JSON, or the first of them as a table."""
    if as_json:
        mistakes = [mistake._asdict() for mistake in checked.mistakes]
        print_json({"devices": len(checked.rows), "dry_run": False, "mistakes": mistakes})
        return
    writer = csv.writer(sys.stdout)
    writer.writerow(Mistake._fields)
    writer.writerows(checked.mistakes[:SHOWN_MISTAKES])
    if len(checked.mistakes) > SHOWN_MISTAKES:
        console.print(f"… and {len(checked.mistakes) - SHOWN_MISTAKES} more (all of them with --json)")
