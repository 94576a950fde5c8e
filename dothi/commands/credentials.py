"""`dothi devices credentials issue|rotate|revoke|stale`: the tokens with which devices come in at the broker."""

import csv
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TextIO

import psycopg
import typer

from devices import credentials
from devices.credentials import Issued, NoCredential
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from dothi.settings import stack_at

app = typer.Typer(help="Tokens with which devices come in at the broker.", no_args_is_help=True)

Maker = Callable[[credentials.Connection, list[str]], list[Issued]]
Devices = Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Ids of devices.")]
From = Annotated[Path | None, typer.Option("--from", help="CSV with a column device; more devices than one types.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write device,token here (mode 0600) and not to the screen.")]


@app.callback()
def group() -> None:
    """Tokens with which devices come in at the broker: user name and client id are the device's id, password the token.

    Example: dothi devices credentials issue aq-213-1
    """


@app.command()
def issue(
    devices: Devices = None, file: From = None, out: Out = None, folder: Folder = None, as_json: AsJson = False
) -> None:
    """Issue a token for each device; it is shown once. What the device had before ends at once.

    Example: dothi devices credentials issue --from devices.csv --out tokens.csv
    """
    hand_out(credentials.issue, named(devices, file), out, folder, as_json)


@app.command()
def rotate(
    devices: Devices = None, file: From = None, out: Out = None, folder: Folder = None, as_json: AsJson = False
) -> None:
    """Issue a second token for each device; the old one stays valid until the new one has been seen.

    Example: dothi devices credentials rotate aq-213-1
    """
    hand_out(credentials.rotate, named(devices, file), out, folder, as_json)


@app.command()
def revoke(devices: Devices = None, file: From = None, folder: Folder = None, as_json: AsJson = False) -> None:
    """End every token of these devices; sessions that stand are ended, too, within seconds.

    Example: dothi devices credentials revoke aq-213-1
    """
    wanted = named(devices, file)
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        revoked = credentials.revoke(connection, wanted)
    if as_json:
        print_json({"devices": len(wanted), "revoked": revoked})
    else:
        console.print(f"{revoked} of {len(wanted)} devices had a token; it is revoked")
    if not revoked:
        raise Refused("none of these devices had a valid token; dothi devices list shows which are enrolled")


@app.command()
def stale(
    days: Annotated[float, typer.Option(min=0, help="Not used for so many days.")] = 90,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List valid tokens that were not used for long, the longest first.

    Example: dothi devices credentials stale --days 30
    """
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        found = list(credentials.stale(connection, days))
    if as_json:
        print_json([one._asdict() for one in found])
    else:
        heads = ("device", "issued (Asia/Ho_Chi_Minh)", "last used (Asia/Ho_Chi_Minh)")
        print_table(heads, [(one.device, one.issued, one.seen) for one in found])


def named(devices: list[str] | None, file: Path | None) -> list[str]:
    """The devices that were named, each once. Raises WrongUsage when none was."""
    found = [*(devices or []), *(read_devices(file) if file else [])]
    if not found:
        raise WrongUsage("no device is named; give ids, or --from FILE.csv with a column device")
    return list(dict.fromkeys(found))


def read_devices(file: Path) -> list[str]:
    """The column device of a CSV file."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = csv.DictReader(text)
            if "device" not in (rows.fieldnames or ()):
                raise WrongUsage(f"file {file}: no column device in its first line")
            return [row["device"] for row in rows]
    except UnicodeDecodeError as error:
        raise WrongUsage(f"file {file}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise WrongUsage(f"file {file}: {error.strerror}") from None


def hand_out(make: Maker, devices: list[str], out: Path | None, folder: Folder, as_json: bool) -> None:
    """Make new tokens and show them, or say in one line why there are none; then no file is left."""
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        target = private(out) if out else None
        try:
            issued = make(connection, devices)
        except (NoCredential, psycopg.Error) as error:
            if out and target:
                target.close()
                out.unlink()
            if isinstance(error, NoCredential):
                raise Refused(f"no token was made: {error}") from None
            raise
        show_issued(issued, target, as_json)


def show_issued(issued: list[Issued], target: TextIO | None, as_json: bool) -> None:
    """Tokens in clear, this once."""
    if target:
        with target:
            write_tokens(target, issued)
        console.print(f"{len(issued)} tokens written; they are nowhere else")
    elif as_json:
        print_json([one._asdict() for one in issued])
    else:
        write_tokens(sys.stdout, issued)


def private(path: Path) -> TextIO:
    """A new file that only we may read. Raises WrongUsage when it is there already or cannot be written."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", newline="")
    except OSError as error:
        raise WrongUsage(f"file {path}: {error.strerror}; name a new file") from None


def write_tokens(file: TextIO, issued: list[Issued]) -> None:
    """device,token as CSV."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Issued._fields)
    writer.writerows(issued)
