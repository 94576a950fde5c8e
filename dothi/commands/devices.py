"""`dothi devices …`: the group and list; each of the other commands has a file of its own."""

from typing import Annotated

import psycopg
import typer

from devices import lookup
from dothi.commands import alias, catalogue, credentials, life
from dothi.commands.accept import accept
from dothi.commands.decode import decode
from dothi.commands.doctor_device import doctor_device
from dothi.commands.enroll import enroll
from dothi.commands.import_codec import import_codec
from dothi.commands.new import new
from dothi.commands.options import AsJson, Folder
from dothi.commands.pending import pending
from dothi.commands.tail import tail
from dothi.commands.try_message import try_message
from dothi.output import print_json, print_table
from dothi.settings import stack_at

app = typer.Typer(help="Families, profiles and the devices that are enrolled.", no_args_is_help=True)

for command in (
    *(catalogue.families, catalogue.profiles, catalogue.check),
    *(decode, new, import_codec),
    *(enroll, pending, accept, life.show, life.state, life.retire, tail),
):
    app.command()(command)
app.command("doctor")(doctor_device)
app.command("try")(try_message)
app.add_typer(credentials.app, name="credentials")
app.add_typer(alias.app, name="alias")


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
