"""`dothi devices …`: the group, list and try; each of the other commands has a file of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import typer

from devices import lookup
from dothi import trial
from dothi.commands import catalogue, credentials, life
from dothi.commands.accept import accept
from dothi.commands.decode import decode
from dothi.commands.doctor_device import doctor_device
from dothi.commands.enroll import enroll
from dothi.commands.import_codec import import_codec
from dothi.commands.new import new
from dothi.commands.options import AsJson, Folder
from dothi.commands.pending import pending
from dothi.commands.tail import tail
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from dothi.settings import stack_at

app = typer.Typer(help="Families, profiles and the devices that are enrolled.", no_args_is_help=True)

LONGEST_LAYER = 1000

for command in (
    catalogue.families,
    catalogue.profiles,
    catalogue.check,
    decode,
    new,
    import_codec,
    enroll,
    pending,
    accept,
    tail,
):
    app.command()(command)
app.command()(life.show)
app.command()(life.state)
app.command()(life.retire)


app.command("doctor")(doctor_device)
app.add_typer(credentials.app, name="credentials")


@app.callback()
def group() -> None:
    """Families, profiles and the devices that are enrolled.

    Example: dothi devices enroll devices.csv --dry-run
    """


@app.command("list")
def list_devices(
    folder: Folder = None,
    find: Annotated[
        str | None,
        typer.Option("--find", "--like", help="Id, name (without diacritics, too), serial, EUI, alias, owner or tag."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many devices.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List enrolled devices and when each was last seen.

    Words may be cut short: "dong mo" finds "Trạm Đồng Mỏ".

    Example: dothi devices list --dir .dothi --find "dong mo"
    """
    with psycopg.connect(stack_at(folder).database) as connection:
        devices = lookup.list_devices(connection, find, limit)
    if as_json:
        print_json([dict(zip(lookup.COLUMNS, device, strict=True)) for device in devices])
        return
    rows = [[one[place] for place in (0, 2, 3, 4, 7, 8)] for one in devices]
    print_table(("device", "family", "area", "name", "state", "last seen (Asia/Ho_Chi_Minh)"), rows)


def show_layers(found: Sequence[Mapping[str, Any]]) -> None:
    """What each layer made of the message, a line each."""
    for layer in found:
        said = msgspec.json.encode(layer["result"]).decode()
        line = f"{'ok    ' if layer['ok'] else 'failed'} {layer['layer']}: {said[:LONGEST_LAYER]}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def read_file(file: Path) -> bytes:
    """The file's bytes, or a line that says why not."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"file {file}: {error.strerror}") from None


@app.command("try")
def try_message(
    file: Annotated[Path, typer.Argument(help="The message as the device sends it.")],
    profile: Annotated[str, typer.Option(help="Profile of the device model.")],
    folder: Folder = None,
    area: Annotated[str, typer.Option(help="Operating zone under whose topic it is sent.")] = "213",
    topic: Annotated[str | None, typer.Option(help="Topic for a profile of a foreign route.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send one message through broker, ingest and database, and show what each layer makes of it: envelope, codec,
    mapping, values, and the stored row or the reason.

    It is sent for a device `try-<profile>` that is enrolled for this purpose and stays in the registry.

    Example: dothi devices try message.json --profile native-air-quality
    """
    verdict = trial.send(stack_at(folder), content_of(file), profile, area, topic)
    if as_json:
        print_json(verdict)
    else:
        show_layers(verdict.pop("layers"))
        rows = [(key, value) for key, value in verdict.items() if value is not None]
        print_table(("field", "value"), rows, title="stored" if verdict["stored"] else "quarantined")
    if not verdict["stored"]:
        raise Refused(f"not stored: {verdict['reason']}: {verdict['detail']}")


def content_of(file: Path) -> bytes:
    """The file's bytes, or a line that says why not."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"file {file}: {error.strerror}") from None
