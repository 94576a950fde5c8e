"""`dothi dashboards apply`: dashboards and alert rules into a Grafana that runs already."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from dothi.commands.dashboards_options import ContactFile, OutlineFile, contacts_at, outlines_at
from dothi.commands.options import AsJson
from dothi.errors import Refused, WrongUsage
from dothi.output import print_json, print_line
from dothi.settings import grafana_token, stack_at

if TYPE_CHECKING:
    from dashboards.apply import Change

MOST_LINES = 12  # of one difference; --json has all


def apply(
    url: Annotated[str, typer.Option(metavar="URL", help="The Grafana: http(s)://host[:port][/path].")],
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Of a service account; better in DOTHI_GRAFANA_TOKEN.")
    ] = None,
    stack: Annotated[
        Path | None,
        typer.Option("--dir", metavar="STACK", help="A running stack: makes the data source as well."),
    ] = None,
    contacts: ContactFile = None,
    outlines: OutlineFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="As --dry-run, and exit code 1 when anything differs from what is built.")
    ] = False,
    timeout_s: Annotated[float, typer.Option(min=1, max=300, help="Seconds to wait for each answer.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Bring a running Grafana (9 or newer) to what is built here; what is there already stays as it is.

    Makes the folder, every dashboard and alert rule; with --dir the data source, with --contacts who is told. Takes
    away only what it made itself and no longer makes. Broken off half way, it is simply called again.

    Example: dothi dashboards apply --url http://127.0.0.1:3000 --dir .dothi --dry-run
    """
    from dashboards.apply import Wanted, plan
    from dashboards.grafana_gateway import Gateway, GrafanaRefused
    from dothi.grafana import database_of

    secret = token or grafana_token()
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise WrongUsage(f"--url: {url.rpartition('@')[2]} is not allowed, http(s)://host[:port] is needed")
    if not secret:
        raise WrongUsage("--token: none is given; make one for a service account and set DOTHI_GRAFANA_TOKEN")
    told, drawn = contacts_at(contacts), outlines_at(outlines)
    wanted = Wanted(None if stack is None else database_of(stack_at(stack).reader), told, drawn)
    done: list[Change] = []
    try:
        with closing(Gateway(url, secret, timeout_s)) as gateway:
            version = gateway.version()
            changes = plan(gateway, wanted, version)
            if not (dry_run or check):
                run(changes, done, quiet=as_json)
    except GrafanaRefused as refused:
        behind = f"; {len(done)} changes are made, call it again for the rest" if done else ""
        raise Refused(f"{refused}{behind}") from None
    tell(changes, version, applied=not (dry_run or check), as_json=as_json)
    differing = [change for change in changes if change.action != "same"]
    if check and differing:
        names = ", ".join(f"{change.kind} {change.uid}" for change in differing)
        raise Refused(f"{len(differing)} differ from what is built: {names}")


def run(changes: "list[Change]", done: "list[Change]", quiet: bool) -> None:
    """Carry the changes out, noting each that is made."""
    from dashboards.apply import carry_out

    for change in carry_out(changes):
        done.append(change)
        if not quiet:
            print_line(f"{DONE[change.action]} {change.kind} {change.uid}")


DONE = {"create": "made", "change": "changed", "remove": "removed"}


def tell(changes: "list[Change]", version: str, applied: bool, as_json: bool) -> None:
    """What differs, thing by thing."""
    differing = [change for change in changes if change.action != "same"]
    if as_json:
        document = [{"kind": c.kind, "uid": c.uid, "action": c.action, "diff": c.diff} for c in changes]
        print_json({"grafana": version, "applied": applied, "changed": len(differing), "changes": document})
        return
    if not applied:
        for change in differing:
            print_line(f"{change.action} {change.kind} {change.uid}")
            for line in change.diff[:MOST_LINES]:
                print_line(f"    {line}")
            if len(change.diff) > MOST_LINES:
                print_line(f"    and {len(change.diff) - MOST_LINES} more")
    same = len(changes) - len(differing)
    verb = "changed" if applied else "to change"
    print_line(f"Grafana {version}: {len(differing)} {verb}, {same} as they should be")
