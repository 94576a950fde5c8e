"""`dothi devices alias remove`: a name that a foreign system gives a device leads nowhere from now on."""

from typing import Annotated

import psycopg
import typer

from devices.alias import NoSuchAlias, remove_alias
from dothi.commands.life import Reason, checked
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import print_json, print_line
from dothi.settings import stack_at

app = typer.Typer(help="Names that foreign systems give devices.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Names that foreign systems give devices: `devices show` lists them, `devices enroll` and `accept` give them.

    Example: dothi devices alias remove tasmota:plug-kitchen
    """


@app.command()
def remove(
    alias: Annotated[str, typer.Argument(metavar="ROUTE:NAME", help="As `dothi devices show` lists it.")],
    reason: Reason = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Take a name away from the device that it leads to. What comes under it is unknown then, and can be accepted anew.

    Example: dothi devices alias remove tasmota:plug-kitchen --reason "the plug went to another house"
    """
    route, colon, foreign_id = alias.partition(":")
    if not (route and colon and foreign_id):
        raise WrongUsage(f"alias {alias!r}: expected ROUTE:NAME, such as tasmota:plug-kitchen")
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        try:
            device = remove_alias(connection, route, foreign_id.replace("\0", ""), checked(reason))
        except NoSuchAlias as error:
            raise Refused(str(error)) from None
    if as_json:
        print_json({"alias": alias, "device": device})
    else:
        said = f"{alias} leads to {device} no more; its messages are pending: dothi devices pending"
        print_line(said)
