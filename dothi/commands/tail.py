"""`dothi devices tail`: what becomes of messages, line by line while they come."""

import sys
import time
from typing import Annotated, Any

import msgspec
import psycopg
import typer

from dothi.commands.options import Folder
from dothi.output import LOCAL, print_line
from dothi.settings import stack_at
from dothi.verdicts import Kind, Verdict, Wanted, Watch

NAMED: dict[str, Any] = {"application_name": "dothi devices tail"}
LOOK_S = 0.5
STYLE: dict[Kind, str] = {
    "stored": "green",
    "partial": "yellow",
    "rejected": "red",
    "unknown": "magenta",
    "door": "bold red",
    "note": "cyan",
    "more": "dim",
}


def tail(
    folder: Folder = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Only what was not stored, or not all of it.")] = False,
    unknown: Annotated[bool, typer.Option("--unknown", help="Only of devices that nobody enrolled.")] = False,
    device: Annotated[str | None, typer.Option(help="Only of this device, or of one that claims to be.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after so many seconds.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on each line.")] = False,
) -> None:
    """Show what becomes of each message while it happens: stored, stored in part, rejected with its reason, unknown,
    or stopped at the broker's door. Ends with Ctrl-C.

    Of a flood of messages some are shown and the others counted, so that watching costs the platform little.

    Example: dothi devices tail --rejected --for 60
    """
    end = time.monotonic() + seconds if seconds else None
    try:
        with psycopg.connect(stack_at(folder).database, autocommit=True, connect_timeout=5, **NAMED) as connection:
            watch = Watch(connection, Wanted(device, rejected, unknown))
            while True:
                over = end is not None and time.monotonic() >= end
                for verdict in watch.look(time.monotonic(), last=over):
                    say(verdict, as_json)
                if over:
                    return
                time.sleep(LOOK_S if end is None else max(min(LOOK_S, end - time.monotonic()), 0.0))
    except KeyboardInterrupt:
        return


def say(verdict: Verdict, as_json: bool) -> None:
    """One line, at once also into a pipe."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(verdict._asdict()).decode() + "\n")
    else:
        clock = verdict.at.astimezone(LOCAL).strftime("%H:%M:%S")
        line = f"{clock} {verdict.kind:<8} {verdict.device or '–'}  {verdict.where or ''}  {verdict.said}"
        print_line(line, STYLE[verdict.kind])
    sys.stdout.flush()
