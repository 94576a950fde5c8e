"""`dothi devices list`: the devices that are enrolled."""

from typing import Annotated

import psycopg
import typer

from devices import lookup
from dothi.commands.options import AsJson, Folder
from dothi.output import print_json, print_table
from dothi.settings import stack_at


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
