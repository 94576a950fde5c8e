"""`dothi devices doctor`: why a device's readings are not there, and the way out."""

from typing import Annotated

import psycopg
import typer

from dothi.at_door import seen_at
from dothi.checkup import examine
from dothi.commands.options import AsJson, Folder
from dothi.findings import Finding
from dothi.output import console, print_json, print_line
from dothi.settings import stack_at

MARK = {True: "ok   ", False: "WRONG", None: "–    "}
STYLE = {True: "green", False: "bold red", None: "dim"}


def doctor_device(
    device: Annotated[str, typer.Argument(help="Id of the device.")], folder: Folder = None, as_json: AsJson = False
) -> None:
    """Say why a device's readings are not there, or that all is well; exit code 1 when something is wrong.

    Looked at: registry, token, session, refused connections, fights for its id, topics closed to it, last reading, last
    rejection, clock and heartbeat.

    Example: dothi devices doctor aq-213-1
    """
    stack = stack_at(folder)
    seen, has_gate = seen_at(stack.folder, device)
    with psycopg.connect(stack.database, autocommit=True, connect_timeout=5) as connection:
        findings = list(examine(connection, device, seen, has_gate))
    well = not any(finding.ok is False for finding in findings)
    if as_json:
        print_json({"device": device, "ok": well, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            show(finding)
        console.print("all is well" if well else "something is wrong")
    if not well:
        raise typer.Exit(1)


def show(finding: Finding) -> None:
    """One finding, and below it the way out."""
    console.print(MARK[finding.ok], end=" ", markup=False, highlight=False, style=STYLE[finding.ok])
    print_line(f"{finding.name}: {finding.said}")
    if finding.mend:
        print_line(f"      → {finding.mend}")
