"""`dothi devices show|state|retire`: one device with all that is known of it, and the states people bring it to."""

from collections.abc import Sequence
from typing import Annotated, Any

import psycopg
import typer

from devices import life, lookup
from devices.life import NoSuchStep
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table, shown
from dothi.settings import stack_at

Reason = Annotated[str | None, typer.Option("--reason", help="Why; it is kept in the history of the device.")]
LONGEST_REASON = 500


def show(
    device: Annotated[str, typer.Argument(help="Id of the device.")], folder: Folder = None, as_json: AsJson = False
) -> None:
    """Show all that is known of a device, with its history.

    Example: dothi devices show aq-213-1
    """
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        known = lookup.show(connection, device)
        stays = life.history(connection, device)
        near = [] if known else lookup.find(connection, device, 3)
    if known is None:
        hint = f"; is it {' or '.join(near)}?" if near else "; first: dothi devices enroll FILE.csv"
        raise Refused(f"device {device} is not enrolled{hint}")
    if as_json:
        print_json({**known, "history": [stay._asdict() for stay in stays]})
        return
    print_table(("field", "value"), [(key, plain(value)) for key, value in known.items() if value not in (None, [])])
    rows = [(stay.since, stay.state, stay.reason) for stay in stays]
    print_table(("since (Asia/Ho_Chi_Minh)", "state", "reason"), rows, title="history")


def plain(value: Any) -> object:
    """A list in one cell."""
    if isinstance(value, list):
        return ", ".join(map(plain_item, value))
    return value


def plain_item(value: object) -> str:
    """A member of a list: a text, or a row of another table."""
    if isinstance(value, dict):
        return " ".join(f"{key} {shown(one)}" for key, one in value.items() if one is not None)
    return str(value)


def state(
    device: Annotated[str, typer.Argument(help="Id of the device.")],
    to: Annotated[str, typer.Argument(metavar="STATE", help=f"One of {', '.join(life.STATES)}.")],
    reason: Reason = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Bring a device to another state. Readings of one in maintenance are stored; of one that is retired they are not.

    Example: dothi devices state aq-213-1 maintenance --reason "filter is changed"
    """
    if to not in life.STATES:
        raise WrongUsage(f"state {to!r}: allowed: {', '.join(life.STATES)}")
    bring((device,), to, reason, folder, as_json)


def retire(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...", help="Ids of devices.")],
    reason: Reason = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Retire devices, all of those named or none: what they send goes to quarantine, what they sent stays.

    Enrolling one again brings it back.

    Example: dothi devices retire aq-213-1 --reason "stolen"
    """
    bring(devices, "retired", reason, folder, as_json)


def bring(devices: Sequence[str], to: str, reason: str | None, folder: Folder, as_json: bool) -> None:
    """Change the state and say what came of it."""
    reason = checked(reason)
    with psycopg.connect(stack_at(folder).database, autocommit=True) as connection:
        try:
            changed = life.change_state(connection, devices, to, reason)
        except NoSuchStep as error:
            raise Refused(str(error)) from None
    if as_json:
        print_json({"devices": len(devices), "state": to, "changed": changed})
    else:
        console.print(f"{changed} of {len(devices)} devices changed; state: {to}")


def checked(reason: str | None) -> str | None:
    """The reason. Raises WrongUsage when it is no line of text."""
    if reason and (len(reason) > LONGEST_REASON or not reason.isprintable()):
        raise WrongUsage(f"--reason {reason[:40]!r}: at most {LONGEST_REASON} characters of text")
    return reason
